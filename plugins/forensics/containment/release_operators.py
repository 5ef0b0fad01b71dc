"""Release: plan, approval by a second person, and the way back to the restore point."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from forensics import case_keys
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.containment.approval import HumanResponse, approval_of
from forensics.containment.approval_operators import _ApprovalOperator
from forensics.containment.approval_record import ApprovalSubject, record_approval
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.plan_text import call_lines
from forensics.containment.release import (
    TargetRelease,
    announce_release_approval,
    approval_text,
    approved_release,
)
from forensics.containment.release_plan import unapproved_calls
from forensics.containment.restore_points import RestorePoints
from forensics.errors import ContainmentError
from forensics.models.containment import ReleasePlan
from forensics.models.evidence import Outcome

RELEASE, KEEP = "Release", "Keep it contained"
# Who started the run; the form's field counts where Airflow does not know the user.
REQUESTER = "{{ dag_run.triggering_user_name | default(params.requester, true) or '' }}"
START_AGAIN = "What to do next: start forensic_release again"


class _ReleaseOperator(ForensicOperator):
    """What the steps of a release share."""

    def release(self, recorder: CaseRecorder) -> TargetRelease:
        """The release to the verified restore point, under the ``release`` role."""
        original = RestorePoints(recorder).verified()
        gateway = ContainmentGateway.of(self.sessions.target("release"))
        return TargetRelease(recorder, gateway, self.settings, original=original)


class PlanReleaseOperator(_ReleaseOperator, _ApprovalOperator):
    """Show what a release would change and ask a second person; with ``show_only`` only show it.

    The answer is bound to the digest of the calls: when the target changes in between, a new plan needs a new answer.

    :param reason: why the target is released
    :param requester: who requests it, and so may not approve it
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
        super().__init__(subject="Release the target?", options=[RELEASE, KEEP], defaults=[KEEP], **kwargs)
        self.reason = reason
        self.requester = requester
        self.show_only = show_only

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Plan, record, ask."""
        requester = self.requester or "the Airflow user who started the run"
        warnings = RestorePoints(recorder).warnings()
        plan = self.release(recorder).plan(requester=requester, warnings=warnings)
        if not plan.calls:
            raise AirflowSkipException("nothing is changed: nothing differs from the restore point")
        if str(self.show_only) == "True":
            calls = "; ".join(call_lines(plan.calls))
            self.log.info("dry run: %s", calls)
            raise AirflowSkipException(f"nothing is changed: dry run: {calls[:1500]}")
        reason = self.reason or "no reason given"
        announce_release_approval(recorder, plan, reason=reason, default=KEEP)
        subject = f"Release {recorder.case.instance_id}? (case {recorder.case_id})"
        self.ask(subject, approval_text(plan, reason=reason), default=KEEP, context=context)
        return None

    def answered(self, recorder: CaseRecorder, response: HumanResponse) -> Json:
        """Record the answer; skips when the target stays contained."""
        plan = recorder.get(case_keys.RELEASE_PLAN, ReleasePlan)
        if plan is None:
            msg = f"the release plan of case {recorder.case_id} is gone from the case store"
            raise ContainmentError(msg, next_action="start forensic_release again")
        approval = approval_of(
            response,
            digest=plan.digest,
            accept=RELEASE,
            requester=plan.requester,
            two_persons=self.settings.approval_two_persons,
            at=datetime.now(UTC),
        )
        record_approval(recorder, ApprovalSubject.RELEASE, approval)
        if not approval.granted:
            raise AirflowSkipException(f"the target stays contained: {approval.reason}")
        return {"plan": plan.digest, "calls": len(plan.calls), "approved_by": approval.by}


class ReleaseTargetOperator(_ReleaseOperator):
    """Carry out the approved release, read back, and compare with the restore point.

    It stops at the first call that fails: what is not released yet stays contained, and the next try continues from there.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Check the approval, restore, verify."""
        approved = approved_release(recorder)
        if approved is None:
            raise AirflowFailException(f"there is no approval of this release. {START_AGAIN}")
        plan, approval = approved
        release = self.release(recorder)
        calls = release.pending().calls
        if new := unapproved_calls(calls, approved=plan):
            msg = f"the target changed after approval; these calls are new: {', '.join(new[:8])}: refused"
            raise AirflowFailException(f"{msg}. {START_AGAIN}")
        result = release.carry_out(calls, approval=approval)
        if result.outcome is not Outcome.DONE:
            msg = f"the release of {recorder.case.instance_id} is incomplete: {result.reason}"
            raise ContainmentError(msg, next_action="fix the cause and clear the task: it continues where it stopped")
        return {"outcome": result.outcome.value, "calls": len(result.steps)}
