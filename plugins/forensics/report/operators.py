"""Write the report, close the case."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from forensics.aws.cloudwatch import Metrics
from forensics.case.links import CaseLink, ReportLink
from forensics.case.recorder import CaseRecorder
from forensics.case.retention import kept_until, retain
from forensics.case.step import ForensicOperator, Json
from forensics.containment.protection_operators import end_protection
from forensics.custody.holding import EvidenceHolding
from forensics.intake.annotation import annotate
from forensics.intake.write_back import FindingWriteBack
from forensics.investigation.forensic_instance import remove_forensic_resources
from forensics.models.case import Case, CaseStatus, Phase
from forensics.printable import count
from forensics.report.assets import CASE_REPORT
from forensics.report.closing import close_case
from forensics.report.summarizing import BedrockProvider, summarize
from forensics.report.time_metrics import put_times
from forensics.report.writer import complete_report, write_report


def _task_states(context: Context) -> dict[str, str]:
    """The states of the run's tasks by id."""
    run = context["dag_run"]
    states: dict[str, str] = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id]).get(run.run_id, {})
    return states


class WriteReportOperator(ForensicOperator):
    """Render the case and store the report, HTML and JSON, and its exports in the evidence store.

    Each report is an event of the asset ``forensics_case_report``.
    """

    takes_artifacts = True

    operator_extra_links = (CaseLink(), ReportLink())

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("outlets", [CASE_REPORT])
        super().__init__(**kwargs)

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Write a new version of the report; earlier ones stay."""
        # of what failed it tells what is not mended: an earlier try of this step is over
        recorder.clear_failed(self.task_id)
        self._summarize(recorder)
        uris = write_report(recorder, task_states=_task_states(context))
        context["outlet_events"][CASE_REPORT].extra = {"case_id": recorder.case_id, "report": uris["html"]}
        return uris

    def _summarize(self, recorder: CaseRecorder) -> None:
        """Where the deployment has a model for it, the report has a summary; what goes wrong with that is said in it."""
        if self.settings.summary_model:
            summarize(
                recorder,
                lambda: BedrockProvider.of(self.sessions.forensic("summary"), self.settings),
                most_records=self.settings.summary_records,
                model=self.settings.summary_model,
            )


class WriteProfileReportOperator(WriteReportOperator):
    """Store a new report after an activity that a person ordered on a case that has ended; the case stays as it was closed."""

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Write the report; the case is in no phase of its run any more."""
        uris = super().act(recorder, context)
        recorder.phase(Phase.DONE)
        return uris


class CloseCaseOperator(ForensicOperator):
    """Close the case; fails when anything is missing, so that the run's state shows it."""

    takes_artifacts = True

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Decide the status, sign the ledger, release the instance's lock."""
        # its own earlier failure is no gap of the case: otherwise no clear could ever end it
        recorder.clear_failed(self.task_id)

        def annotate_findings(closed: Case) -> None:
            annotate(
                recorder.findings(),
                case=closed,
                store=recorder.gateways.store,
                write_back=lambda: FindingWriteBack.of(self.sessions),
                settings=self.settings,
                step=self.task_id,
            )

        found = close_case(
            recorder,
            remove_forensic_resources=lambda: remove_forensic_resources(recorder, self.sessions.forensic()),
            complete_report=lambda: complete_report(recorder, task_states=_task_states(context)),
            end_protection=lambda: end_protection(recorder, self.sessions, recorder.plan()),
            keep_evidence=lambda closed_at: retain(
                recorder,
                EvidenceHolding.of(self.sessions),
                until=kept_until(closed_at, days=self.settings.retention_days),
                closed=True,
                hold=False,
            ),
            annotate_findings=annotate_findings,
        )
        if self.settings.case_metrics:
            put_times(recorder, Metrics.of(self.sessions.own()))
        if found:
            listed = "; ".join(f"{gap} (next: {gap.next_action})" for gap in found)
            raise AirflowFailException(
                f"the case is closed with {count(len(found), 'gap')}: {listed}. "
                "What to do next: remove the causes and clear the failed tasks in this run"
            )
        return CaseStatus.CLOSED.value
