"""Release: plan, approval by another person, and the way back to the restore point."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from forensics import case_keys
from forensics.case.beginning import begin
from forensics.case.recorder import CaseRecorder
from forensics.case.step import Json
from forensics.containment.approval_operators import Question, _ApprovalOperator, case_address
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.plan_text import call_lines
from forensics.containment.question_text import release_text
from forensics.containment.release import TargetRelease
from forensics.containment.release_plan import unapproved_calls
from forensics.containment.restore_points import RestorePoints
from forensics.errors import ContainmentError
from forensics.models.approval import Approval, ApprovalSubject
from forensics.models.containment import ApiCall, ReleasePlan, ReleaseResult
from forensics.models.evidence import Outcome

RELEASE, KEEP = "Release", "Keep it contained"
# Who started the run; the form's field counts where Airflow does not know the user. For people to read: who may approve follows from
# the run itself.
REQUESTER = "{{ dag_run.triggering_user_name | default(params.requester, true) or '' }}"
START_AGAIN = "What to do next: start forensic_release again"


class _ReleaseOperator(_ApprovalOperator):
    """What the steps of a release share: the release itself, and the question whether to."""

    about = ApprovalSubject.RELEASE

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="Release the target?", options=[RELEASE, KEEP], defaults=[KEEP], **kwargs)

    def release(self, recorder: CaseRecorder) -> TargetRelease:
        """The release to the verified restore point, under the ``release`` role."""
        original = RestorePoints(recorder).verified()
        gateway = ContainmentGateway.of(self.sessions.target("release"))
        return TargetRelease(recorder, gateway, self.settings, original=original)

    def ask_release(self, recorder: CaseRecorder, plan: ReleasePlan, context: Context) -> None:
        """Ask whether the recorded plan may be carried out."""
        said = (("Requested by", plan.requester), ("Reason", plan.reason or "no reason given"))
        question = Question(
            digest=plan.digest,
            askers=recorder.run.askers,
            headline=f"Release {recorder.case.instance_id}?",
            text=release_text(plan.calls, warnings=plan.warnings, said=said, page=case_address(recorder)),
            event=f"release:{plan.digest[:12]}",
            why=tuple(f"attention: {warning}" for warning in plan.warnings),
        )
        self.ask(recorder, question, context)

    def recorded(self, recorder: CaseRecorder) -> ReleasePlan:
        """The release plan on record."""
        plan = recorder.get(case_keys.RELEASE_PLAN, ReleasePlan)
        if plan is None:
            msg = f"the release plan of case {recorder.case_id} is gone from the case store"
            raise ContainmentError(msg, next_action="start forensic_release again")
        return plan

    def asked_digest(self, recorder: CaseRecorder) -> str:
        """Digest of the recorded plan."""
        return self.recorded(recorder).digest


class PlanReleaseOperator(_ReleaseOperator):
    """Show what a release would change and ask another person; with ``show_only`` only show it.

    The approval is bound to the calls and to this run, counts once and ends. When the target changes in between, or the
    approval has ended, ``release_target`` asks again.

    :param reason: why the target is released
    :param requester: who requests it, as text
    :param show_only: whether to show the calls without asking
    """

    template_fields = ("case_id", "reason", "requester", "show_only")

    def __init__(
        self,
        *,
        reason: str = "{{ params.reason or '' }}",
        requester: str = REQUESTER,
        show_only: bool | str = "{{ params.dry_run }}",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.reason = reason
        self.requester = requester
        self.show_only = show_only

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Plan, record, ask."""
        requester = self.requester or "the Airflow user who started the run"
        warnings = RestorePoints(recorder).warnings()
        plan = self.release(recorder).plan(requester=requester, reason=self.reason, warnings=warnings)
        if not plan.calls:
            raise AirflowSkipException("nothing is changed: nothing differs from the restore point")
        if str(self.show_only) == "True":
            calls = "; ".join(call_lines(plan.calls))
            self.log.info("dry run: %s", calls)
            raise AirflowSkipException(f"nothing is changed: dry run: {calls[:1500]}")
        if given := self.approvals(recorder).given(plan.digest):
            # the try that asked was answered, and died before it could end
            return self.decided(recorder, given, context)
        self.ask_release(recorder, plan, context)
        return None

    def decided(self, recorder: CaseRecorder, approval: Approval, context: Context) -> Json:
        """Skips when the target stays contained."""
        if not approval.granted:
            raise AirflowSkipException(f"the target stays contained: {approval.reason}")
        plan = self.recorded(recorder)
        return {"plan": plan.digest, "calls": len(plan.calls), "approved_by": approval.by}


class ReleaseTargetOperator(_ReleaseOperator):
    """Carry out the approved release, read back, and compare with the restore point.

    Without an approval that covers exactly what is to be done now, because it was used, has ended, or the target has changed,
    this step asks itself. It stops at the first call that fails: what is not released yet stays contained, and the next try
    continues from there.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Check the approval, restore, verify."""
        began, release = begin(recorder), self.release(recorder)
        calls = release.pending().calls
        if not calls and (done := self._done_since(recorder, began.at)):
            return done
        if self._not_approved(recorder, calls):
            calls = release.settled().calls
        if why := self._not_approved(recorder, calls):
            self._ask_again(recorder, release, why, context)
        return self._carry_out(recorder, release, calls)

    def decided(self, recorder: CaseRecorder, approval: Approval, context: Context) -> Json:
        """The answer to this step's own question."""
        if not approval.granted:
            raise AirflowSkipException(f"the target stays contained: {approval.reason}")
        return self.act(recorder, context)

    def _done_since(self, recorder: CaseRecorder, began: datetime) -> Json:
        """What an earlier try of this order has carried out to its end, before it could tell Airflow; None when none has."""
        result = recorder.get(case_keys.RELEASE, ReleaseResult)
        if result is None or result.outcome is not Outcome.DONE or not self.approvals(recorder).spent_since(began):
            return None
        return {"outcome": result.outcome.value, "calls": len(result.steps)}

    def _not_approved(self, recorder: CaseRecorder, calls: tuple[ApiCall, ...]) -> str | None:
        plan = recorder.get(case_keys.RELEASE_PLAN, ReleasePlan)
        if plan is None:
            return "there is no plan of this release"
        if why := self.approvals(recorder).why_not_usable(plan.digest):
            return why
        if new := unapproved_calls(calls, approved=plan):
            return f"the target changed after approval; these calls are new: {', '.join(new[:8])}"
        return None

    def _ask_again(self, recorder: CaseRecorder, release: TargetRelease, why: str, context: Context) -> None:
        known = self.approvals(recorder).current()
        if known is not None and known.open and (known.run_id, known.step) != (recorder.run.run_id, self.task_id):
            msg = f"a question about this release is open in {known.step} of run {known.run_id}: answer it there"
            raise AirflowFailException(msg)
        before = recorder.get(case_keys.RELEASE_PLAN, ReleasePlan)
        plan = release.plan(
            requester=before.requester if before else "somebody who cleared the step",
            reason=before.reason if before else "",
            warnings=(f"asked again: {why}", *RestorePoints(recorder).warnings()),
        )
        if not plan.calls:
            raise AirflowSkipException(f"nothing is changed: nothing differs from the restore point ({why})")
        self.ask_release(recorder, plan, context)

    def _carry_out(self, recorder: CaseRecorder, release: TargetRelease, calls: tuple[ApiCall, ...]) -> Json:
        approvals, plan = self.approvals(recorder), self.recorded(recorder)
        refused, approval = approvals.use(plan.digest), approvals.current()
        if refused or approval is None:
            raise ContainmentError(f"nothing was released: {refused}", next_action="clear the task: it asks again")
        result = release.carry_out(calls, approval=approval)
        if result.outcome is not Outcome.DONE:
            msg = f"the release of {recorder.case.instance_id} is incomplete: {result.reason}"
            raise ContainmentError(msg, next_action="fix the cause and clear the task: it continues where it stopped")
        approvals.spend()
        return {"outcome": result.outcome.value, "calls": len(result.steps)}
