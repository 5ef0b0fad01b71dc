"""Protects the target before anything is acquired, and takes that back when the case is closed without a containment.

The state before is the case's restore point, which is recorded before the first change of any kind. What this case has
changed is on record too: a release brings everything back, closing only what is on that record and still there.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from forensics import case_keys
from forensics.case.recorder import CaseRecorder
from forensics.containment.announcements import note
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.containment_state import has_ended
from forensics.containment.other_deployments import holder
from forensics.containment.plan_runner import PlanRunner
from forensics.containment.planner import ContainmentPlanner
from forensics.containment.protection_steps import guarding_step, preserving_steps, ways_to_lose
from forensics.containment.read_back import SETTLE_PAUSES
from forensics.containment.release_plan import unprotect_calls
from forensics.containment.restore_points import RestorePoints
from forensics.errors import AwsError, ContainmentError, ForensicsError, ResourceGoneError
from forensics.models.containment import ApiCall, ContainmentResult, ContainmentStep, PlanStep, ReleaseResult
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Outcome
from forensics.models.plan import ResponsePlan
from forensics.models.protection import ProtectionResult
from forensics.models.target_facts import InstanceFacts
from forensics.printable import count
from forensics.settings import Settings

# The failure under which a protection that was refused is a gap of the case until a later try succeeds.
REFUSED = "triage.protect_target.refused"
GIVE = (
    "the snapshot goes first; give the contain role what is refused (or protect the target yourself), then clear"
    " triage.protect_target in the case's run"
)


class TargetProtection:
    """Protection of one case's target while it is acquired. Every method may be called again after a kill at any point."""

    def __init__(
        self, recorder: CaseRecorder, gateway: ContainmentGateway, settings: Settings, *, response: ResponsePlan
    ) -> None:
        self._recorder = recorder
        self._gateway = gateway
        self._response = response
        self._settings = settings
        self._planner = ContainmentPlanner(recorder, gateway, settings, response=response)
        self._restore_points = RestorePoints(recorder)

    def protect(self) -> ProtectionResult:
        """Make what is missing of the target's protections, read it back and record the result.

        AWS's refusals are in the result. The target leaves its Auto Scaling group only where it may be isolated: one that
        nothing may cut off stays in service.
        """
        try:
            facts = self._read(undisturbed=True)
        except ResourceGoneError as gone:
            return self._ended(str(gone))
        if has_ended(facts):
            return self._ended(f"the instance is {facts.state}")
        if held := holder(facts, self._settings):
            return self._left_alone(f"{held} has contained it, and protects it")
        restore = self._restore_points.get() or self._restore_points.take(facts)
        original = restore.facts or facts
        steps = self._missing(facts, original)
        made = self._record_intent(steps)
        plan = self._planner.assemble(facts, steps=steps, token="")
        done = PlanRunner(self._gateway, plan, facts=facts).run()
        seen, missing = self._settled(original, done)
        result = _result(made, done, seen=seen, missing=missing)
        self._recorder.put(case_keys.PROTECTION, result)
        self._log(CustodyAction.TARGET_PROTECTED, result)
        self._restore_points.try_to_seal()
        return result

    def _read(self, *, undisturbed: bool = False) -> InstanceFacts:
        restore = self._restore_points.get()
        # a restore point is not taken while another deployment is just moving the target
        read = self._planner.undisturbed if undisturbed and restore is None else self._planner.read
        return read(token="", original=restore.facts if restore else None)

    def _missing(self, facts: InstanceFacts, original: InstanceFacts) -> list[PlanStep]:
        leave = self._response.isolate.possible
        guard = guarding_step(facts, case_id=self._recorder.case_id)
        return [*preserving_steps(facts, original=original, leave_group=leave), *guard]

    def _record_intent(self, steps: Sequence[PlanStep]) -> tuple[PlanStep, ...]:
        """Put on record what is about to be changed; returns all that this case has changed."""
        known = self._recorder.get(case_keys.PROTECTION, ProtectionResult)
        before = known.made if known and known.undone_at is None else ()
        made = (*before, *(s for s in steps if s.id not in {b.id for b in before}))
        self._recorder.put(case_keys.PROTECTION, ProtectionResult(outcome=Outcome.PENDING, made=made))
        return made

    def _settled(
        self, original: InstanceFacts, done: Sequence[ContainmentStep]
    ) -> tuple[InstanceFacts, dict[str, PlanStep]]:
        """The target, and what is still missing, once EC2 shows what was made or does not for some seconds."""
        made = {step.name for step in done if step.done}
        for pause in (*SETTLE_PAUSES, None):
            facts = self._read()
            missing = {step.id: step for step in self._missing(facts, original)}
            if pause is None or not made & missing.keys():
                break
            time.sleep(pause)
        return facts, missing

    def _ended(self, why: str) -> ProtectionResult:
        return self._left_alone(f"{why}: there is nothing left to protect")

    def _left_alone(self, why: str) -> ProtectionResult:
        result = ProtectionResult(outcome=Outcome.NOT_APPLICABLE, reason=why)
        known = self._recorder.get(case_keys.PROTECTION, ProtectionResult)
        result = result.model_copy(update={"made": known.made if known else ()})
        self._recorder.put(case_keys.PROTECTION, result)
        return result

    def _log(self, action: CustodyAction, result: ProtectionResult) -> None:
        self._recorder.custody(
            action,
            detail={
                "outcome": result.outcome.value,
                "steps": [step.model_dump(mode="json") for step in result.steps],
                "open": list(result.open),
                "left": list(result.left),
                "reason": result.reason or "",
            },
        )

    # ------------------------------------------------------------------ the end
    def undo(self) -> ProtectionResult | None:
        """Take back what this case has changed and the target still has; None when there is nothing to take back.

        What a containment needs stays until its release. Raises :class:`ForensicsError` when something could not be taken
        back, after it has been recorded.
        """
        known = taken_back_at_close(self._recorder)
        if known is None:
            return None
        self._restore_points.try_to_seal()
        original = self._restore_points.verified()
        try:
            facts = self._gateway.facts.network(
                self._recorder.case.instance_id, case_id=self._recorder.case_id, original=original
            )
        except ResourceGoneError as gone:
            return self._undone(known, (), left=(f"{gone}: nothing was taken back",))
        if has_ended(facts):
            return self._undone(known, (), left=(f"the instance is {facts.state}: nothing was taken back",))
        if facts.unknown:
            msg = f"the target cannot be read completely: {'; '.join(facts.unknown)}"
            raise ContainmentError(msg, next_action="give the release role these reads, then clear report.close_case")
        calls = unprotect_calls(original, facts=facts, made=known.made, case_id=self._recorder.case_id)
        steps = self._perform(calls)
        failed = [step.detail for step in steps if not step.done]
        if failed:
            self._recorder.put(case_keys.PROTECTION, known.model_copy(update={"left": tuple(failed)}))
            msg = f"the target's protections could not all be taken back: {'; '.join(failed)}"
            raise ContainmentError(msg[:1500], next_action="remove the cause, then clear report.close_case")
        return self._undone(known, steps, left=_not_ours_any_more(known.made, calls))

    def _perform(self, calls: Sequence[ApiCall]) -> tuple[ContainmentStep, ...]:
        """Make the calls in order until one fails: the way back into a group is several calls."""
        steps: list[ContainmentStep] = []
        for call in calls:
            try:
                self._gateway.perform(call, ids={})
            except (AwsError, ContainmentError) as error:
                steps.append(_step(call, self._recorder.case.instance_id, str(error)[:500], done=False))
                break
            steps.append(_step(call, self._recorder.case.instance_id, "done", done=True))
        return tuple(steps)

    def _undone(
        self, known: ProtectionResult, steps: tuple[ContainmentStep, ...], *, left: tuple[str, ...]
    ) -> ProtectionResult:
        result = known.model_copy(update={"steps": steps, "left": left, "undone_at": datetime.now(UTC)})
        self._recorder.put(case_keys.PROTECTION, result)
        self._log(CustodyAction.TARGET_UNPROTECTED, result)
        note(self._recorder, f"protections of the target taken back: {count(len(steps), 'call')}")
        for line in left:
            note(self._recorder, f"not taken back: {line}")
        return result


def _result(
    made: tuple[PlanStep, ...],
    done: Sequence[ContainmentStep],
    *,
    seen: InstanceFacts,
    missing: dict[str, PlanStep],
) -> ProtectionResult:
    """What is in force is ours; what is missing was refused, or EC2 does not show it."""
    failed = {step.name: step.detail for step in done if not step.done}
    why = [f"{name}: {failed.get(name, 'EC2 does not show it')}" for name in missing]
    why += [f"not known: {what}" for what in seen.unknown]
    return ProtectionResult(
        outcome=Outcome.PARTIAL if why else Outcome.DONE,
        reason="; ".join(why)[:1500] or None,
        made=tuple(step for step in made if step.id not in missing),
        steps=tuple(done),
        open=(*why, *ways_to_lose(seen)),
        refused=bool(missing),
        protected_at=datetime.now(UTC),
    )


def _not_ours_any_more(made: Sequence[PlanStep], calls: Sequence[ApiCall]) -> tuple[str, ...]:
    undone = {_subject(call) for call in calls}
    return tuple(
        f"{step.id} on {step.target}: the target is not as this case left it, somebody else has changed it"
        for step in made
        if not undone & {_subject(undo) for undo in step.undo}
    )


def _subject(call: ApiCall) -> tuple[str, ...]:
    """What a call changes: its operation, its parameters' names, and the interface that it is about."""
    return (call.operation, str(call.params.get("NetworkInterfaceId", "")), *sorted(call.params))


def _step(call: ApiCall, target: str, detail: str, *, done: bool) -> ContainmentStep:
    return ContainmentStep(name=str(call), target=target, done=done, detail=detail)


def taken_back_at_close(recorder: CaseRecorder) -> ProtectionResult | None:
    """The protections that a case's closing takes back; None when there are none, or when a containment needs them."""
    known = recorder.get(case_keys.PROTECTION, ProtectionResult)
    result = recorder.get(case_keys.CONTAINMENT, ContainmentResult)
    release = recorder.get(case_keys.RELEASE, ReleaseResult)
    if known is None or not known.in_force:
        return None
    if result is None or (release is not None and release.undoes(result)):
        return known
    return None if result.network_closed or any(step.done for step in result.steps) else known


def record_refusal(recorder: CaseRecorder, error: ForensicsError | str) -> ProtectionResult:
    """Nothing, or not everything, could be tried; what an earlier try made stays on record."""
    known = recorder.get(case_keys.PROTECTION, ProtectionResult)
    why = str(error)[:1500]
    result = ProtectionResult(
        outcome=Outcome.FAILED, reason=why, made=known.made if known else (), open=(why,), refused=True
    )
    recorder.put(case_keys.PROTECTION, result)
    return result


def announce_protection(recorder: CaseRecorder, result: ProtectionResult) -> None:
    """What the case says of the target's protection; a refusal is a gap until a later try succeeds."""
    if result.outcome is Outcome.NOT_APPLICABLE:
        note(recorder, f"not protected: {result.reason}")
        return
    if not result.open:
        note(recorder, f"target protected before acquisition: {count(len(result.made), 'change')}, read back")
        recorder.clear_failed(REFUSED)
        return
    note(
        recorder,
        f"the target can still be lost during acquisition, the snapshot goes first: {'; '.join(result.open)}"[:1000],
    )
    if result.outcome is Outcome.DONE:
        recorder.clear_failed(REFUSED)
        return
    recorder.mark_failed(
        REFUSED, ContainmentError(f"the target is not fully protected: {result.reason}", next_action=GIVE)
    )
    recorder.announce(
        "not_protected",
        "The target is NOT fully protected while it is acquired",
        lines=[*(f"Open: {line}" for line in result.open[:20]), f"What to do next: {GIVE}"],
        facts={"outcome": result.outcome.value, "open": list(result.open)[:20]},
    )
