"""The daily audit: are evidence, ledger, signatures and locks still what they were?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseOperator, Context

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.ebs import EbsGateway
from forensics.aws.hook import ForensicsHook
from forensics.aws.s3_archive import EvidenceArchive
from forensics.case.audit_record import list_cases, record_audit, remember
from forensics.case.audit_schedule import schedule, summarize
from forensics.case.parameters import optional_case_id
from forensics.case.recorder import CaseRecorder
from forensics.case.retention import lifted
from forensics.case.step import ForensicOperator, Json
from forensics.custody.audit import CaseAudit
from forensics.custody.audit_plan import AuditPlan
from forensics.models.custody import Retention

# Source identity of the look at all cases; the roles' trust policies ask for fc-*.
AUDIT = "fc-audit"


class ListCasesOperator(BaseOperator):
    """The ids of the cases to audit: the one that was named, which is then read as a whole, or what the budget allows.

    :param case_id: one case; empty for all
    """

    template_fields = ("case_id",)

    def __init__(self, *, case_id: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case_id = case_id

    def execute(self, context: Context) -> list[str]:
        """Return the ids; what is read of each case is written down in it."""
        named = optional_case_id("case_id", self.case_id)
        if named:
            return [named]
        hook = ForensicsHook()
        store = CaseStore.of(hook.own(), hook.settings)
        archive = EvidenceArchive.of(hook.forensic(AUDIT, "custodian"), hook.settings)
        return schedule(
            store,
            archive,
            list_cases(store),
            settings=hook.settings,
            run_id=context["dag_run"].run_id,
            now=datetime.now(UTC),
        )


class AuditCaseOperator(ForensicOperator):
    """Audit one case. Every difference is an alarm: the task fails at once, people are notified, the ledger gets an event."""

    takes_artifacts = True

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Read everything, compare it with what is recorded, record the result."""
        sessions, settings = self.sessions, self.settings
        run_id = context["dag_run"].run_id
        plan = recorder.get(case_keys.AUDIT_PLAN, AuditPlan)
        audit = CaseAudit(
            recorder.case_id,
            ledger=recorder.gateways.ledger,
            archive=EvidenceArchive.of(sessions.forensic("custodian"), settings),
            accounts=lambda name, region: EbsGateway.of(
                sessions.target("acquire") if name == "target" else sessions.forensic(region=region)
            ),
            legal_hold=settings.legal_hold and not lifted(recorder),
            retention=recorder.get(case_keys.RETENTION, Retention),
            only=set(plan.marks) if plan and plan.run_id == run_id else None,
            progress=self.log.info,
        )
        report = remember(recorder, audit, audit.run(recorder.evidence()), run_id=run_id, settings=settings)
        record_audit(recorder, report)
        self.log.info(
            "audit of %s passed: %s events, %s heads, %s of %s objects read (%s bytes), %s snapshots",
            *(recorder.case_id, report.events, report.heads, report.read, report.objects, report.read_bytes),
            report.snapshots,
        )
        return report.model_dump(mode="json")


class SummarizeAuditOperator(BaseOperator):
    """Sum up the run for the page on the audit, whatever became of its cases."""

    def execute(self, context: Context) -> Json:
        """Read the cases' own records; returns budget, use and coverage."""
        hook = ForensicsHook()
        store = CaseStore.of(hook.own(), hook.settings)
        summary = summarize(
            store,
            list_cases(store),
            settings=hook.settings,
            run_id=context["dag_run"].run_id,
            now=datetime.now(UTC),
        )
        self.log.info("%s", summary.model_dump_json(exclude={"rows"}))
        return summary.model_dump(mode="json", exclude={"rows"})
