"""Hand a case over: write its bundle for people who have no access to AWS."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Context

from forensics.aws.s3_archive import EvidenceArchive
from forensics.case.parameters import optional_number, optional_text
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.report.handover import export_case


class ExportCaseOperator(ForensicOperator):
    """Write the case bundle: what an outsider needs to check the case with ``forensics-verify`` (docs/custody.md).

    :param largest_mib: objects above this size are listed by their digest only; empty or 0: everything is included
    :param requester: who gets the bundle; recorded in the custody ledger
    """

    takes_artifacts = True

    template_fields = ("case_id", "largest_mib", "requester")

    def __init__(
        self,
        *,
        largest_mib: int | str = "",
        requester: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.largest_mib = largest_mib
        self.requester = requester

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Record the export, sign the ledger with it, write the bundle."""
        return export_case(
            recorder,
            archive=EvidenceArchive.of(self.sessions.forensic("custodian"), self.settings),
            requester=optional_text(self.requester) or "",
            largest_mib=optional_number("largest_mib", self.largest_mib) or None,
        )
