"""Write the report, close the case."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from forensics.case.gaps import gaps
from forensics.case.killed_steps import tell_killed_steps
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.errors import ForensicsError
from forensics.intake.annotation import annotate
from forensics.intake.write_back import FindingWriteBack
from forensics.investigation.forensic_instance import remove_forensic_resources
from forensics.models.case import CaseStatus, Milestone, Phase
from forensics.models.custody import CustodyAction
from forensics.naming import case_prefix
from forensics.report import render_html, render_json
from forensics.report.exports import exports


class WriteReportOperator(ForensicOperator):
    """Render the case and store the report, HTML and JSON, and its exports in the evidence store."""

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Write a new version of the report; earlier ones stay."""
        recorder.phase(Phase.REPORT)
        tell_killed_steps(recorder, context)
        ended = [i.ended_at for i in recorder.view().investigations if i.ended_at]
        if ended:
            recorder.milestone(Milestone.INVESTIGATION_COMPLETE, max(ended))
        recorder.sign_ledger("report")
        view = recorder.view()
        prefix = f"{case_prefix(recorder.case_id)}report/{view.generated_at.strftime('%Y%m%dT%H%M%S.%fZ')}/"
        stored = {
            made.name: recorder.gateways.evidence.put(
                prefix + made.name, made.text.encode(), content_type=made.content_type
            )
            for made in exports(view)
        }
        # The report lists the exports beside it.
        view = view.model_copy(update={"objects": (*view.objects, *(item.uri for item in stored.values()))})
        for name, text, kind in (
            ("html", render_html(view), "text/html; charset=utf-8"),
            ("json", render_json(view), "application/json"),
        ):
            stored[name] = recorder.gateways.evidence.put(f"{prefix}report.{name}", text.encode(), content_type=kind)
        recorder.milestone(Milestone.REPORTED)
        uris = {name: item.uri for name, item in stored.items()}
        recorder.custody(
            CustodyAction.REPORT_WRITTEN,
            detail={n: {"uri": s.uri, "sha256": s.sha256} for n, s in stored.items()},
        )
        recorder.note(f"report written: {uris['html']}")
        missing = gaps(view)
        recorder.announce(
            "report",
            "Report written" + (f", with {len(missing)} gaps" if missing else ""),
            lines=[f"Report: {uris['html']}", *[f"Gap: {gap}" for gap in missing]],
            facts={"report": uris},
            once=False,
        )
        return uris


class CloseCaseOperator(ForensicOperator):
    """Close the case; fails when anything that the plan wanted is missing, so that the run's state tells the truth."""

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Decide the status, sign the ledger, release the instance's lock."""
        now = datetime.now(UTC)
        missing = self._sweep(recorder)
        view = recorder.view()
        missing += gaps(view)
        if not any("/report/" in uri for uri in view.objects):
            missing.append("no report was written")
        closing = CaseStatus.CLOSED_WITH_GAPS if missing else CaseStatus.CLOSED
        recorder.milestone(Milestone.CLOSED, now)
        recorder.custody(
            CustodyAction.CASE_CLOSED,
            detail={"status": closing.value, "gaps": [g[:300] for g in missing][:50]},
        )
        recorder.note(f"case closed: {closing.value}")
        unsigned = self._sign(recorder)
        missing += unsigned
        if unsigned:
            closing = CaseStatus.CLOSED_WITH_GAPS
        recorder.gateways.store.update_case(recorder.case_id, status=closing, phase=Phase.DONE, closed_at=now)
        recorder.gateways.store.release_lock(recorder.case)
        closed = recorder.gateways.store.case(recorder.case_id)
        annotate(
            recorder.findings(),
            case=closed,
            store=recorder.gateways.store,
            write_back=lambda: FindingWriteBack.of(self.sessions),
            settings=self.settings,
            step=self.task_id,
        )
        recorder.announce(
            "case_closed",
            "Case closed: complete" if not missing else f"Case closed WITH GAPS: {len(missing)}",
            lines=[f"Gap: {gap}" for gap in missing] or ["Everything that the plan wanted was done and verified."],
            facts={"status": closing.value, "gaps": missing[:50]},
            once=False,
        )
        if missing:
            msg = "the case is closed with gaps: " + "; ".join(missing)
            raise AirflowFailException(
                f"{msg}. What to do next: mend the causes and clear the failed tasks in this run"
            )
        return closing.value

    def _sweep(self, recorder: CaseRecorder) -> list[str]:
        """No forensic instance of this case may outlive it, whatever happened to the teardown."""
        try:
            remove_forensic_resources(recorder, self.sessions.forensic())
        except ForensicsError as error:
            return [f"the forensic instance may still be there: {error}"]
        return []

    def _sign(self, recorder: CaseRecorder) -> list[str]:
        """A broken ledger is told and does not keep the case, and its lock on the instance, open for ever."""
        try:
            recorder.sign_ledger("close")
        except ForensicsError as error:
            return [f"the custody ledger could not be signed: {error}"]
        return []
