"""The daily audit: evidence, ledger, signatures and locks are what they were (R5, R12, R14)."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator, Context

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.ebs import EbsGateway
from forensics.aws.hook import ForensicsHook
from forensics.aws.s3_archive import EvidenceArchive
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.custody.audit import CaseAudit
from forensics.custody.audit_rules import AuditReport
from forensics.errors import AuditError, ForensicsError
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction

PAGE = 100


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
        if self.case_id and self.case_id != "None":
            return [self.case_id]
        hook, found, cursor = ForensicsHook(), [], None
        store = CaseStore.of(hook.own(), hook.settings)
        while True:
            cases, cursor = store.list_cases(limit=PAGE, cursor=cursor)
            found += [case.case_id for case in cases]
            if cursor is None:
                return found


class AuditCaseOperator(ForensicOperator):
    """Audit one case. Every difference is an alarm: the task fails at once, people are told, the ledger gets an event."""

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Read everything, compare, tell."""
        sessions, settings = self.sessions, self.settings
        audit = CaseAudit(
            recorder.case_id,
            ledger=recorder.gateways.ledger,
            archive=EvidenceArchive.of(sessions.forensic("custodian"), settings),
            accounts=lambda name, region: EbsGateway.of(
                sessions.target("acquire") if name == "target" else sessions.forensic(region=region)
            ),
            legal_hold=settings.legal_hold,
            beat=self.log.info,
        )
        report = audit.run(recorder.evidence())
        recorder.put(case_keys.AUDIT, report)
        if report.differences:
            self._alarm(recorder, report)
        self.log.info(
            "audit of %s passed: %s events, %s heads, %s objects (%s bytes), %s snapshots",
            *(recorder.case_id, report.events, report.heads, report.objects, report.size_bytes, report.snapshots),
        )
        return report.model_dump(mode="json")

    def _alarm(self, recorder: CaseRecorder, report: AuditReport) -> None:
        named = [str(d) for d in report.differences]
        recorder.note(f"AUDIT FAILED: {'; '.join(named)[:900]}", kind=TimelineKind.CUSTODY)
        try:
            recorder.custody(CustodyAction.AUDIT_FAILED, detail={"differences": [n[:500] for n in named[:50]]})
        except ForensicsError as error:
            # The alarm itself must go out, also when it is the ledger that is damaged.
            named.append(f"the alarm could not be written into the ledger: {error}")
        msg = f"the audit of {recorder.case_id} found {len(report.differences)} differences: {'; '.join(named)}"
        raise AuditError(
            msg,
            next_action="treat the evidence as tampered with until an examiner has looked: who did it is in CloudTrail; "
            "the first versions, the signed heads and the snapshots are still there",
        )
