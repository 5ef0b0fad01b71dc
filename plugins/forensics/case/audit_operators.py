"""The daily audit: are evidence, ledger, signatures and locks still what they were?"""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator, Context

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.ebs import EbsGateway
from forensics.aws.hook import ForensicsHook
from forensics.aws.s3_archive import EvidenceArchive
from forensics.case.audit_record import list_case_ids, record_audit
from forensics.case.parameters import optional_case_id
from forensics.case.recorder import CaseRecorder
from forensics.case.retention import lifted
from forensics.case.step import ForensicOperator, Json
from forensics.custody.audit import CaseAudit
from forensics.models.custody import Retention


class ListCasesOperator(BaseOperator):
    """The ids of the cases to audit: the one that was named, or all.

    :param case_id: one case; empty for all
    """

    template_fields = ("case_id",)

    def __init__(self, *, case_id: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case_id = case_id

    def execute(self, context: Context) -> list[str]:
        """Return the ids, newest first."""
        named = optional_case_id("case_id", self.case_id)
        hook = ForensicsHook()
        return [named] if named else list_case_ids(CaseStore.of(hook.own(), hook.settings))


class AuditCaseOperator(ForensicOperator):
    """Audit one case. Every difference is an alarm: the task fails at once, people are notified, the ledger gets an event."""

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Read everything, compare it with what is recorded, record the result."""
        sessions, settings = self.sessions, self.settings
        audit = CaseAudit(
            recorder.case_id,
            ledger=recorder.gateways.ledger,
            archive=EvidenceArchive.of(sessions.forensic("custodian"), settings),
            accounts=lambda name, region: EbsGateway.of(
                sessions.target("acquire") if name == "target" else sessions.forensic(region=region)
            ),
            legal_hold=settings.legal_hold and not lifted(recorder),
            retention=recorder.get(case_keys.RETENTION, Retention),
            progress=self.log.info,
        )
        report = audit.run(recorder.evidence())
        record_audit(recorder, report)
        self.log.info(
            "audit of %s passed: %s events, %s heads, %s objects (%s bytes), %s snapshots",
            *(recorder.case_id, report.events, report.heads, report.objects, report.size_bytes, report.snapshots),
        )
        return report.model_dump(mode="json")
