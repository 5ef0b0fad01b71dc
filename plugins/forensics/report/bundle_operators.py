"""Custody for people: hand a case over as a bundle, hash stored evidence again before anything reads it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Context

from forensics import __version__
from forensics.aws.s3_archive import EvidenceArchive
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.custody.bundle_writer import CaseExport, ExportOrder
from forensics.errors import InvalidCaseError
from forensics.models.custody import CustodyAction, CustodyFacts
from forensics.naming import case_prefix
from forensics.report.exports.case_uco import render_case_uco


class ExportCaseOperator(ForensicOperator):
    """Write the case bundle: what an outsider needs to check the case with ``forensics-verify`` (docs/custody.md).

    :param largest_mib: objects above this size are listed by their digest only; empty or 0: everything goes in
    :param requester: who gets the bundle; goes into the custody ledger
    """

    template_fields = ("case_id", "largest_mib", "requester")

    def __init__(self, *, largest_mib: str = "", requester: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.largest_mib = largest_mib
        self.requester = requester

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Record the export, sign the ledger with it, write the bundle."""
        limit = self._limit()
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        recorder.custody(
            CustodyAction.CASE_EXPORTED,
            detail={"requester": self.requester, "largest_mib": limit or 0},
            facts=CustodyFacts(moved_to=self.requester or "not said"),
        )
        recorder.sign_ledger("export")
        export = CaseExport(
            order=ExportOrder(
                case_id=recorder.case_id,
                exported_by=self.requester or "not said",
                product=f"ec2-forensics {__version__}",
                largest_mib=limit,
            ),
            store=recorder.gateways.store,
            ledger=recorder.gateways.ledger,
            archive=EvidenceArchive.of(self.sessions.forensic("custodian"), self.settings),
        )
        key = f"{case_prefix(recorder.case_id)}bundle/{stamp}/{recorder.case_id}.tar"
        records = {"case.jsonld": render_case_uco(recorder.view()).encode()}
        stored = recorder.gateways.evidence.put_stream(key, export.chunks(records))
        fingerprint = recorder.gateways.ledger.public_key().fingerprint
        recorder.note(f"case exported: {stored.uri}")
        made = {"uri": stored.uri, "sha256": stored.sha256, "bytes": stored.size_bytes, "fingerprint": fingerprint}
        recorder.announce(
            "case_exported",
            "Case bundle written",
            lines=[
                f"Bundle: {stored.uri} ({stored.size_bytes} bytes, SHA-256 {stored.sha256})",
                f"Signing key: {fingerprint}",
                f"Check it with: forensics-verify --fingerprint {fingerprint} {recorder.case_id}.tar",
            ],
            facts=made,
            once=False,
        )
        return made

    def _limit(self) -> int | None:
        text = str(self.largest_mib or "").strip()
        if text in {"", "0", "None"}:
            return None
        if not text.isdigit():
            msg = f"largest_mib is {text!r}; a whole number of MiB is expected, or nothing"
            raise InvalidCaseError(msg, next_action="start the DAG again with the parameter mended")
        return int(text)
