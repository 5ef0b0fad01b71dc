"""Containment: plan and approval beside the acquisition, isolation after the memory capture."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics import case_keys
from forensics.case.containment_advice import next_action
from forensics.case.links import CaseLink, ReleaseRunLink
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.containment.announcements import (
    announce_contain_first,
    announce_incomplete,
    announce_isolated,
    note,
)
from forensics.containment.approval import isolation_askers, withheld
from forensics.containment.approval_operators import Question, _ApprovalOperator, case_address
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.drift_watch import HELD
from forensics.containment.isolation import TargetIsolation, record_failure, record_not_isolated
from forensics.containment.plan import with_requested_approval
from forensics.containment.plan_preflight import preflight_once
from forensics.containment.planner import ContainmentPlanner, recorded_plan
from forensics.containment.policy import ContainmentPolicy, isolation_due
from forensics.containment.question_text import isolation_text
from forensics.containment.triggers import ContainmentWatchTrigger
from forensics.errors import ContainmentError, ForensicsError, HeldElsewhereError, ResourceGoneError
from forensics.models.approval import Approval, ApprovalSubject
from forensics.models.case import Phase
from forensics.models.containment import ContainmentPlan, ContainmentResult, PlanPreflight
from forensics.models.evidence import Outcome
from forensics.models.plan import ResponsePlan

ISOLATE, REFUSE = "Isolate", "Do not isolate"
# The step whose failure an isolation by any task makes good.
ISOLATE_TASK = "containment.isolate_target"
# How an incomplete isolation is tried again beside the case's run, in seconds.
TRY_AGAIN_SECONDS = 60
OPEN_SECONDS, CLOSED_SECONDS = 1800, 900
_UNFINISHED = frozenset({Outcome.PENDING, Outcome.PARTIAL, Outcome.FAILED})


class _ContainmentOperator(ForensicOperator):
    """What both containment tasks share: the isolation, and how its result ends the task."""

    def response_plan(self, recorder: CaseRecorder) -> ResponsePlan:
        """The case's response plan; skips when triage made none."""
        response = recorder.plan()
        if response is None:
            raise AirflowSkipException("there is no response plan: triage did not complete, nothing is changed")
        return response

    def gateway(self) -> ContainmentGateway:
        """The target's account under the ``contain`` role."""
        return ContainmentGateway.of(self.sessions.target("contain"))

    def isolate(self, recorder: CaseRecorder, response: ResponsePlan) -> Json:
        """Isolate and announce; raises when isolation is incomplete, so that Airflow tries again."""
        result = TargetIsolation(recorder, self.gateway(), self.settings, response=response).isolate()
        if result.outcome is Outcome.DONE:
            # whichever task isolated: the one that failed to has nothing left to do
            recorder.clear_failed(ISOLATE_TASK)
            recorder.clear_failed(HELD)
            announce_isolated(recorder, result)
            return {"state": result.state.value, "outcome": result.outcome.value, "group_id": result.group_id}
        if result.outcome is Outcome.PENDING:
            msg = f"the target is not isolated yet: {result.reason} (containment.plan_containment)"
            raise AirflowSkipException(msg)
        if result.outcome in {Outcome.NOT_APPLICABLE, Outcome.SKIPPED}:
            raise AirflowSkipException(f"the target is not isolated: {result.reason}")
        announce_incomplete(recorder, result)
        raise ContainmentError(
            f"containment of {recorder.case.instance_id} is incomplete ({result.state.value}): {result.reason}",
            next_action=next_action(result),
        )

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """The case says what is open: the target may be reachable, unless its network is known to be closed."""
        record_failure(recorder, cause)


class IsolateTargetOperator(_ContainmentOperator):
    """Contain the target: protect it, cut it off on every interface, end its credentials, and state what was read back.

    Nothing is ever undone when a later step fails: a failure leaves the target more closed, never less.
    """

    operator_extra_links = (CaseLink(), ReleaseRunLink())

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Carry out what is open of the plan; a plan that waits for a person is left to ``plan_containment``."""
        response = self.response_plan(recorder)
        if not response.isolate.go:
            reason = record_not_isolated(recorder, response.isolate)
            raise AirflowSkipException(f"the target is not isolated: {reason}")
        recorder.phase(Phase.CONTAINMENT)
        return self.isolate(recorder, response)


class PlanContainmentOperator(_ContainmentOperator, _ApprovalOperator):
    """Plan the containment beside the acquisition, ask a person where policy says so, and watch the deadline.

    The plan is recorded before anything is changed, also when the target is not to be isolated: then it is a dry run.
    Contain-first moves the target into the forensic-access group here, before IAM is asked anything. When the deadline
    passes while the memory capture still runs, this task isolates. It ends by itself as soon as the target is isolated; while
    ``isolate_target`` has a result that is not complete it tries again, until half an hour after the deadline.
    """

    about = ApprovalSubject.CONTAINMENT

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="Isolate the target?", options=[ISOLATE, REFUSE], defaults=[REFUSE], **kwargs)

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Plan, then ask or watch."""
        response = self.response_plan(recorder)
        if not response.isolate.possible:
            raise AirflowSkipException(f"nothing to plan: {'; '.join(response.isolate.reasons)}")
        gateway = self.gateway()
        planner = ContainmentPlanner(recorder, gateway, self.settings, response=response)
        try:
            plan, restore = planner.prepare()
        except HeldElsewhereError as error:
            raise AirflowSkipException(f"nothing to plan: {error.message}") from error
        if response.isolate.wanted and not self._as_decided(plan, response).approval:
            self._contain_first(recorder, response)
        plan = planner.complete(plan, restore)
        planner.try_to_seal()
        preflight_once(recorder, gateway, plan)
        if not response.isolate.wanted:
            note(recorder, "isolation is not wanted; the containment plan is a dry run")
            return {"steps": len(plan.steps), "carried_out": False}
        if self._as_decided(plan, response).approval:
            self._ask_where_needed(recorder, response, context, again=True)
        return self._proceed(recorder, response, context)

    def _as_decided(self, plan: ContainmentPlan, response: ResponsePlan) -> ContainmentPlan:
        return with_requested_approval(plan, policy=ContainmentPolicy.of(self.settings, response))

    def _decided_plan(self, recorder: CaseRecorder, response: ResponsePlan) -> ContainmentPlan:
        plan = recorded_plan(recorder)
        if plan is None:
            raise ContainmentError(f"the containment plan of case {recorder.case_id} is gone from the case store")
        return self._as_decided(plan, response)

    def _ask_where_needed(
        self, recorder: CaseRecorder, response: ResponsePlan, context: Context, *, again: bool = False
    ) -> None:
        """Ask when no approval covers what is still to be done: none was given, it ended or was used, or the target changed.

        With ``again`` also after a refusal: somebody has cleared the task.
        """
        plan = self._decided_plan(recorder, response)
        if not plan.approval:
            return
        gateway = self.gateway()
        planner = ContainmentPlanner(recorder, gateway, self.settings, response=response)
        try:
            plan, remaining = planner.renewed(plan)
        except ResourceGoneError:
            return
        why = withheld(
            plan,
            remaining=remaining,
            approval=self.approvals(recorder).current(),
            run_id=recorder.run.run_id,
            now=datetime.now(UTC),
        )
        if why is None or (why.outcome is Outcome.SKIPPED and not again):
            return
        self._ask(recorder, plan, preflight_once(recorder, gateway, plan), context)

    def _ask(self, recorder: CaseRecorder, plan: ContainmentPlan, preflight: PlanPreflight, context: Context) -> None:
        text = isolation_text(plan, preflight=preflight, page=case_address(recorder))
        question = Question(
            digest=plan.digest,
            askers=isolation_askers(recorder.findings(), run=recorder.run.askers),
            headline=f"Isolate {plan.instance_id}?",
            text=text,
            event=f"approval:{plan.digest[:12]}",
            why=plan.approval,
        )
        self.ask(recorder, question, context)

    @property
    def default_option(self) -> str:
        """What policy says when nobody answers."""
        return ISOLATE if self.settings.approval_default == "isolate" else REFUSE

    def asked_digest(self, recorder: CaseRecorder) -> str:
        """Digest of the recorded plan."""
        return self._decided_plan(recorder, self.response_plan(recorder)).digest

    def decided(self, recorder: CaseRecorder, approval: Approval, context: Context) -> Json:
        """Isolate when the memory capture has ended by now, else watch the deadline."""
        return self._proceed(recorder, self.response_plan(recorder), context)

    def _proceed(self, recorder: CaseRecorder, response: ResponsePlan, context: Context) -> Json:
        plan = self._decided_plan(recorder, response)
        result = recorder.get(case_keys.CONTAINMENT, ContainmentResult)
        due = self._due(response)
        overdue = _now() >= due
        if result is not None and result.outcome in _UNFINISHED and (plan.approval or overdue):
            # isolate_target left it to this task, or this task started it at the deadline and did not finish
            return self._isolate_or_watch(recorder, response, context)
        approval = self.approvals(recorder).current()
        if plan.approval and not (approval and approval.granted):
            return {"steps": len(plan.steps), "approved": False}
        if plan.approval:
            self._contain_first(recorder, response)
        self._watch(recorder, due=due)
        return {"steps": len(plan.steps)}

    def _contain_first(self, recorder: CaseRecorder, response: ResponsePlan) -> None:
        """Leave the target only the endpoints that the acquisition needs, where the playbook contains first."""
        policy = ContainmentPolicy.of(self.settings, response)
        if policy.contain_first and recorder.get(case_keys.CONTAINMENT, ContainmentResult) is None:
            isolation = TargetIsolation(recorder, self.gateway(), self.settings, response=response)
            announce_contain_first(recorder, isolation.restrict_to_endpoints())

    # ------------------------------------------------------------------ the deadline
    def _due(self, response: ResponsePlan) -> float:
        return isolation_due(response.decided_at, seconds=self.settings.isolation_deadline_seconds)

    def _watch(self, recorder: CaseRecorder, *, due: float) -> None:
        """Wait for the result of isolation; go on here at ``due``, or when the result stays incomplete."""
        timing = {**self.timing(0, ends_task=True), "deadline": due + 3600}
        self.wait(ContainmentWatchTrigger(case_id=recorder.case_id, due=due, **timing))

    def resume_after_wait(self, context: Context, event: dict[str, object]) -> Json:
        """The deadline has passed while the capture still runs, or isolation is not complete: isolate now."""
        if event.get("due"):
            return self._guarded(context, lambda recorder: self._isolate_now(recorder, context))
        return super().resume_after_wait(context, event)

    def _isolate_now(self, recorder: CaseRecorder, context: Context) -> Json:
        result = recorder.get(case_keys.CONTAINMENT, ContainmentResult)
        if result is None:
            seconds = self.settings.isolation_deadline_seconds
            note(recorder, f"{seconds} s after triage the memory capture still runs: isolating now")
        else:
            note(recorder, f"isolation is {result.outcome.value}: this task tries it again")
        return self._isolate_or_watch(recorder, self.response_plan(recorder), context)

    def _isolate_or_watch(self, recorder: CaseRecorder, response: ResponsePlan, context: Context) -> Json:
        """Isolate; when that fails, try again after a pause until the end of the tries, then fail for good."""
        try:
            self._ask_where_needed(recorder, response, context)
            return self.isolate(recorder, response)
        except ForensicsError as error:
            result = recorder.get(case_keys.CONTAINMENT, ContainmentResult)
            until = last_try(result, due=self._due(response))
            if _now() >= until:
                raise
            until_text = f"{datetime.fromtimestamp(until, UTC):%H:%M:%SZ}"
            note(recorder, f"isolation is tried again in {TRY_AGAIN_SECONDS} s, until {until_text}: {str(error)[:600]}")
        self._watch(recorder, due=_now() + TRY_AGAIN_SECONDS)
        return None


def last_try(result: ContainmentResult | None, *, due: float) -> float:
    """Unix time after which an incomplete isolation is not tried again by itself.

    While the network is open that is half an hour after the deadline; once it is closed, a quarter of an hour for the rest,
    so that the report does not wait for what a person has to mend.
    """
    if result is not None and result.network_closed and result.contained_at:
        return min(due, result.contained_at.timestamp()) + CLOSED_SECONDS
    return due + OPEN_SECONDS


def _now() -> float:
    return datetime.now(UTC).timestamp()
