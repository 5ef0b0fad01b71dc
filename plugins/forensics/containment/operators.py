"""Containment: plan and approval beside the acquisition, isolation after the memory flow (seed step 6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics import case_keys
from forensics.case.links import CaseLink, ReleaseRunLink
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.isolation import Containment, open_items
from forensics.containment.preflight_report import rehearsed
from forensics.containment.read_back import due
from forensics.containment.text import manual_lines, plan_lines
from forensics.containment.triggers import ContainmentWatchTrigger
from forensics.errors import ContainmentError
from forensics.models.case import Milestone, Phase, TimelineKind
from forensics.models.containment import Approval, ContainmentPlan, ContainmentResult, ContainmentState, Rehearsal
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Outcome

ISOLATE, REFUSE = "Isolate", "Do not isolate"


_UNFINISHED = frozenset({Outcome.PENDING, Outcome.PARTIAL, Outcome.FAILED})


class _ContainmentOperator(ForensicOperator):
    """What both containment tasks do."""

    def work(self, recorder: CaseRecorder) -> Containment:
        """Containment of the recorder's case; skips when triage made no plan."""
        response = recorder.plan()
        if response is None:
            msg = "there is no response plan: triage did not end, nothing is changed"
            raise AirflowSkipException(msg)
        return Containment(
            recorder, lambda: ContainmentGateway.of(self.sessions.target("contain")), self.settings, response=response
        )

    def finish(self, recorder: CaseRecorder, result: ContainmentResult) -> Json:
        """Tell what came of it; raises when isolation is incomplete, so that Airflow tries again."""
        summary = {"state": result.state.value, "outcome": result.outcome.value, "group_id": result.group_id}
        if result.outcome is Outcome.DONE:
            self._announce(recorder, result)
            return summary
        if result.outcome is Outcome.PENDING:
            raise AirflowSkipException(
                f"the target is not isolated yet: {result.reason} (containment.plan_containment)"
            )
        if result.outcome in {Outcome.NOT_APPLICABLE, Outcome.SKIPPED}:
            raise AirflowSkipException(f"the target is not isolated: {result.reason}")
        recorder.announce(
            "containment_partial",
            f"Containment is PARTIAL: {result.state.value}",
            lines=[
                f"Open: {result.reason}",
                "What was done stays in place; the step is tried again. If it stays so, isolate the instance by hand.",
            ],
            facts={"state": result.state.value, "outcome": result.outcome.value},
        )
        raise ContainmentError(
            f"containment of {recorder.case.instance_id} is incomplete ({result.state.value}): {result.reason}"
        )

    def _announce(self, recorder: CaseRecorder, result: ContainmentResult) -> None:
        recorder.milestone(Milestone.CONTAINED, result.contained_at)
        recorder.note(
            f"target isolated: {result.state.value} (group {result.group_id})",
            kind=TimelineKind.CONTAINMENT,
            at=result.contained_at,
        )
        recorder.announce(
            "contained",
            f"Target isolated: {result.state.value}",
            lines=[
                *[f"Not proven: {r}" for r in result.residuals],
                *[f"Could not be done: {s}" for s in open_items(result)],
                *[f"Left to a person: {s}" for s in manual_lines(result.by_hand)],
            ],
            facts={"state": result.state.value, "group_id": result.group_id},
        )
        recorder.sign_ledger("containment")

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """The case says that the target may be reachable."""
        known = recorder.get(case_keys.CONTAINMENT, ContainmentResult)
        if known is None or known.outcome is not Outcome.DONE:
            result = known or ContainmentResult(outcome=Outcome.FAILED, state=ContainmentState.FAILED)
            outcome = Outcome.PARTIAL if result.steps else Outcome.FAILED
            update = {"reason": cause[:1500], "outcome": outcome}
            recorder.put(case_keys.CONTAINMENT, result.model_copy(update=update))


class IsolateTargetOperator(_ContainmentOperator):
    """Contain the target: protect it, cut it off on every interface, kill its credentials, and state what was read back.

    Nothing is ever undone when a later step fails: a failure leaves the target more closed, never less (R48).
    """

    operator_extra_links = (CaseLink(), ReleaseRunLink())

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Carry out what is open of the plan; a plan that waits for a person is left to ``plan_containment``."""
        work = self.work(recorder)
        if not work.response.isolate.go:
            not_isolated(recorder, work)
        recorder.phase(Phase.CONTAINMENT)
        return self.finish(recorder, work.contain())


class PlanContainmentOperator(_ContainmentOperator, HITLOperator):
    """Plan the containment beside the acquisition, ask a person where policy says so, and watch the deadline.

    The plan is recorded before anything is changed, also when the target is not to be isolated: then it is a dry run.
    Contain-first moves the target into the forensic-access group here. When the deadline passes while the memory capture
    still runs, this task isolates. It ends by itself as soon as ``isolate_target`` has a result.
    """

    template_fields = ("case_id",)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="Isolate the target?", options=[ISOLATE, REFUSE], defaults=[REFUSE], **kwargs)

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Plan, then ask or watch."""
        work = self.work(recorder)
        if not work.response.isolate.possible:
            raise AirflowSkipException(f"nothing to plan: {'; '.join(work.response.isolate.reasons)}")
        plan, _ = work.prepare()
        rehearsal = rehearsed(work, plan)
        if not work.response.isolate.wanted:
            recorder.note("isolation is not wanted; the containment plan is a dry run", kind=TimelineKind.CONTAINMENT)
            return {"steps": len(plan.steps), "carried_out": False}
        plan = _as_decided(plan, work)
        if plan.approval and work.approval() is None:
            self._ask(recorder, plan, rehearsal, context)
        return self._go_on(recorder, work, plan)

    def _ask(self, recorder: CaseRecorder, plan: ContainmentPlan, rehearsal: Rehearsal, context: Context) -> None:
        settings = self.settings
        self.subject = f"Isolate {plan.instance_id}? (case {recorder.case_id})"
        self.body = "\n".join(plan_lines(plan, rehearsal=rehearsal))
        self.defaults = [ISOLATE if settings.approval_default == "isolate" else REFUSE]
        self.response_timeout = timedelta(seconds=settings.approval_timeout_seconds)
        until = datetime.now(UTC) + self.response_timeout
        recorder.note(
            f"approval asked for plan {plan.digest[:12]}: {'; '.join(plan.approval)}", kind=TimelineKind.CONTAINMENT
        )
        recorder.announce(
            f"approval:{plan.digest[:12]}",
            "Approval needed: isolate the target?",
            lines=[
                *[f"Why: {reason}" for reason in plan.approval],
                f"Answer in Airflow, task containment.plan_containment, until {until:%Y-%m-%d %H:%M:%SZ};"
                f" no answer means: {self.defaults[0]}. Acquisition goes on meanwhile.",
            ],
            facts={"plan_digest": plan.digest, "until": until.isoformat()},
        )
        HITLOperator.execute(self, context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Json:
        """Airflow's entry after a person's answer, or the deadline."""
        return self._guarded(context, lambda recorder: self._answered(recorder, event))

    def _answered(self, recorder: CaseRecorder, event: dict[str, Any]) -> Json:
        work = self.work(recorder)
        plan = work.plan()
        if plan is None:
            msg = f"the containment plan of case {recorder.case_id} is gone from the case store"
            raise ContainmentError(msg)
        answer = answer_of(
            event,
            digest=plan.digest,
            yes=ISOLATE,
            requester=recorder.case.requester,
            two=self.settings.approval_two_persons,
        )
        recorder.put(case_keys.APPROVAL, answer)
        recorder.custody(
            CustodyAction.CONTAINMENT_APPROVED if answer.granted else CustodyAction.CONTAINMENT_REFUSED,
            detail={"plan": answer.digest, "by": answer.by or "nobody", "reason": answer.reason},
        )
        recorder.note(
            f"containment {'approved' if answer.granted else 'refused'}: {answer.reason}", kind=TimelineKind.CONTAINMENT
        )
        return self._go_on(recorder, work, _as_decided(plan, work))

    def _go_on(self, recorder: CaseRecorder, work: Containment, plan: ContainmentPlan) -> Json:
        waiting = recorder.get(case_keys.CONTAINMENT, ContainmentResult)
        if waiting is not None and waiting.outcome in _UNFINISHED and (plan.approval or self._overdue(work)):
            # isolate_target has left it to this task, or this task began it at the deadline and was not done
            return self.finish(recorder, work.contain())
        answer = work.approval()
        if plan.approval and not (answer and answer.granted):
            return {"steps": len(plan.steps), "approved": False}
        if work.policy.contain_first and waiting is None:
            self._contain_first(recorder, work)
        self._watch(recorder, work)
        return {"steps": len(plan.steps)}

    def _contain_first(self, recorder: CaseRecorder, work: Containment) -> None:
        left = work.contain_access()
        said = (
            "; ".join(left)
            if left
            else "only the VPC endpoints of SSM and S3 are reachable until acquisition has ended"
        )
        recorder.note(f"contain first: {said}", kind=TimelineKind.CONTAINMENT)
        if left:
            recorder.announce("contain_first", "The target could not be contained first", lines=[f"Open: {said}"])

    def _overdue(self, work: Containment) -> bool:
        seconds = self.settings.isolation_deadline_seconds
        return datetime.now(UTC).timestamp() >= due(work.response.decided_at, seconds=seconds)

    def _watch(self, recorder: CaseRecorder, work: Containment) -> None:
        until = due(work.response.decided_at, seconds=self.settings.isolation_deadline_seconds)
        timing = {**self.timing(0, ends_task=True), "deadline": until + 3600}
        self.wait(ContainmentWatchTrigger(case_id=recorder.case_id, due=until, **timing))

    def resume_after_wait(self, context: Context, event: dict[str, Any]) -> Json:
        """The deadline has passed and the capture still runs: isolate now."""
        if event.get("due"):
            return self._guarded(context, self._late)
        return super().resume_after_wait(context, event)

    def _late(self, recorder: CaseRecorder) -> Json:
        seconds = self.settings.isolation_deadline_seconds
        recorder.note(
            f"{seconds} s after triage the memory capture still runs: isolating now", kind=TimelineKind.CONTAINMENT
        )
        return self.finish(recorder, self.work(recorder).contain())


def _as_decided(plan: ContainmentPlan, work: Containment) -> ContainmentPlan:
    """The recorded plan with the approval that the response plan asks for now.

    It was a dry run, without approval, until a later finding extended the response plan; the steps are the same.
    """
    if work.policy.approval and not plan.approval:
        return plan.model_copy(update={"approval": work.policy.approval})
    return plan


def answer_of(event: dict[str, Any], *, digest: str, yes: str, requester: str | None, two: bool) -> Approval:
    """The approval that a human-in-the-loop event is; bound to the plan's digest.

    With ``two``, who asked for the action may not approve it (R99). An answer that nobody gave is the default.
    """
    now = datetime.now(UTC)
    if "error" in event:
        return Approval(digest=digest, granted=False, at=now, reason=f"no valid answer: {event['error']}")
    chosen = yes in event.get("chosen_options", [])
    user = event.get("responded_by_user") or {}
    name = str(user.get("name") or user.get("id") or "") or None
    if event.get("timedout") or name is None:
        said = "nobody answered in time; policy's default counts"
        return Approval(digest=digest, granted=chosen, at=now, reason=said)
    if chosen and two and requester and name.casefold() == requester.casefold():
        return Approval(
            digest=digest, granted=False, by=name, at=now, reason=f"{name} asked for it and may not approve it"
        )
    return Approval(
        digest=digest, granted=chosen, by=name, at=now, reason=f"{'approved' if chosen else 'refused'} by {name}"
    )


def not_isolated(recorder: CaseRecorder, work: Containment) -> None:
    """Record that the plan does not isolate, or cannot, and skip."""
    decision = work.response.isolate
    reason = "; ".join(decision.reasons)
    outcome = Outcome.NOT_APPLICABLE if decision.wanted else Outcome.SKIPPED
    result = ContainmentResult(outcome=outcome, state=ContainmentState.NOT_CONTAINED, reason=reason)
    recorder.put_once(case_keys.CONTAINMENT, result)
    recorder.note(f"not isolated: {reason}", kind=TimelineKind.CONTAINMENT)
    raise AirflowSkipException(f"the target is not isolated: {reason}")
