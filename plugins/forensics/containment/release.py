"""Releases the target: from its restore point back to how it was, read back and compared."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from forensics import case_keys
from forensics.case.recorder import CaseRecorder
from forensics.containment.announcements import note
from forensics.containment.approval_record import Approvals
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.other_deployments import believed
from forensics.containment.read_back import SETTLE_PAUSES
from forensics.containment.release_plan import differences, release_calls, release_digest
from forensics.containment.watch_list import unwatch
from forensics.errors import AwsError, ContainmentError, HeldElsewhereError
from forensics.models.approval import Approval, ApprovalSubject
from forensics.models.containment import (
    ApiCall,
    ContainmentPlan,
    ContainmentResult,
    ContainmentStep,
    ReleasePlan,
    ReleaseResult,
)
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Outcome
from forensics.models.target_facts import InstanceFacts
from forensics.printable import count, one_line
from forensics.settings import Settings

# Calls of a release that follow from what EC2 and IAM may show some seconds late.
SHOWN_LATE = frozenset(
    {"modify_network_interface_attribute", "replace_iam_instance_profile_association", "delete_role_policy"}
)


@dataclass(frozen=True)
class PendingRelease:
    """The target as it is, and the calls that bring it back, in order."""

    facts: InstanceFacts
    calls: tuple[ApiCall, ...]


class TargetRelease:
    """Release of one case's target to ``original``, the facts of its verified restore point."""

    def __init__(
        self, recorder: CaseRecorder, gateway: ContainmentGateway, settings: Settings, *, original: InstanceFacts
    ) -> None:
        self._recorder = recorder
        self._gateway = gateway
        self._settings = settings
        self._original = original

    def pending(self) -> PendingRelease:
        """What differs from the restore point now."""
        facts = self._read()
        calls = release_calls(self._original, facts=facts, case_id=self._recorder.case_id)
        return PendingRelease(facts, tuple(calls))

    def settled(self) -> PendingRelease:
        """What differs, once AWS shows what containment is known to have done and two looks in a row agree.

        A release that is planned within seconds would leave out what is not listed yet, and people would be asked about it
        twice. What is still not shown after the pauses has been undone by somebody else.
        """
        done, seen = self._undone_by(), self.pending()
        for pause in SETTLE_PAUSES:
            time.sleep(pause)
            before, seen = seen, self.pending()
            if seen.calls == before.calls and done <= {call.operation for call in seen.calls}:
                break
        return seen

    def plan(self, *, requester: str, reason: str = "", warnings: Sequence[str] = ()) -> ReleasePlan:
        """Record what a release would change; an approval is bound to the digest of its calls.

        ``warnings`` are shown to whoever approves it.
        """
        pending = self.settled()
        plan = ReleasePlan(
            calls=pending.calls,
            differences=tuple(differences(self._original, facts=pending.facts)[:200]),
            digest=release_digest(pending.calls),
            requester=one_line(requester, limit=200),
            reason=one_line(reason),
            made_at=datetime.now(UTC),
            warnings=tuple(warnings),
        )
        self._recorder.put(case_keys.RELEASE_PLAN, plan)
        note(self._recorder, f"release planned: {count(len(plan.calls), 'call')} (plan {plan.digest[:12]})")
        return plan

    def _undone_by(self) -> set[str]:
        """Operations that undo what containment did; none when a release has been tried already."""
        plan = self._recorder.get(case_keys.CONTAINMENT_PLAN, ContainmentPlan)
        result = self._recorder.get(case_keys.CONTAINMENT, ContainmentResult)
        release = self._recorder.get(case_keys.RELEASE, ReleaseResult)
        if plan is None or result is None or (release is not None and not release.is_before(result)):
            return set()
        done = {step.name for step in result.steps if step.done}
        return {undo.operation for step in plan.steps if step.id in done for undo in step.undo} & SHOWN_LATE

    def carry_out(self, calls: Sequence[ApiCall], *, approval: Approval) -> ReleaseResult:
        """Make the calls until one fails, read the target back, record and announce the result."""
        unwatch(self._recorder.gateways.store, self._recorder.case_id)
        Approvals(self._recorder, ApprovalSubject.CONTAINMENT).withdraw("the target was released")
        earlier = self._done_before(calls)
        steps, left = self._settled(calls)
        failed = [s.detail for s in steps if not s.done]
        complete = not left and not failed
        result = ReleaseResult(
            outcome=Outcome.DONE if complete else Outcome.PARTIAL,
            reason=None if complete else "; ".join([*failed, *left])[:1500],
            steps=(*earlier, *steps),
            differences=tuple(left[:200]),
            approved_by=approval.by,
            released_at=datetime.now(UTC) if complete else None,
        )
        self._recorder.put(case_keys.RELEASE, result)
        self._log(result, approval)
        self._announce(result)
        return result

    def _done_before(self, calls: Sequence[ApiCall]) -> list[ContainmentStep]:
        """Approved calls that are in force already: an earlier try made them and may have died before it could say so, or somebody else did."""
        plan = self._recorder.get(case_keys.RELEASE_PLAN, ReleasePlan)
        target = self._recorder.case.instance_id
        return [
            ContainmentStep(name=str(call), target=target, done=True, detail="in force when this try began")
            for call in (plan.calls if plan else ())
            if call not in calls
        ]

    def _settled(self, calls: Sequence[ApiCall]) -> tuple[list[ContainmentStep], list[str]]:
        """The steps, and what still differs after some seconds.

        AWS may not show everywhere at once what it has just changed, or call gone what it has just made (EC2 developer guide,
        *Eventual consistency*): approved calls that are still wanted are made again.
        """
        steps, refused = self._perform(calls), list[ContainmentStep]()
        # what AWS did not show at the beginning is approved as well: the plan was made when it was visible
        plan = self._recorder.get(case_keys.RELEASE_PLAN, ReleasePlan)
        approved = [*calls, *(plan.calls if plan else ())]
        for pause in (*SETTLE_PAUSES, None):
            seen = self.pending()
            left = differences(self._original, facts=seen.facts)
            if not left or pause is None or not all(step.done for step in steps):
                break
            time.sleep(pause)
            again = self._perform([call for call in self.pending().calls if call in approved])
            # one that AWS refuses now may have taken effect before it was shown: the next look says
            refused = [step for step in again if not step.done]
            steps += [step for step in again if step.done]
        steps += refused if left else []
        return steps, left

    def _read(self) -> InstanceFacts:
        """The target as it is now; what cannot be read stops a release, because it could not be restored."""
        facts = self._gateway.facts.read(
            self._recorder.case.instance_id,
            case_id=self._recorder.case_id,
            deny_profile=self._settings.containment_profile,
            original=self._original,
        )
        if others := believed(facts, self._settings):
            # what it closed is not opened from here, not even on one interface
            msg = f"{others[0]} has contained {facts.instance_id} since: a release here would open what it closed"
            raise HeldElsewhereError(msg, next_action="release it there first, then start forensic_release again")
        if unread := (*facts.unknown, *facts.iam_unknown):
            msg = f"the target cannot be read completely: {'; '.join(unread)}"
            raise ContainmentError(msg, next_action="give the release role these reads, then clear the task")
        return facts

    def _perform(self, calls: Sequence[ApiCall]) -> list[ContainmentStep]:
        steps: list[ContainmentStep] = []
        target = self._recorder.case.instance_id
        for call in calls:
            try:
                self._gateway.perform(call, ids={})
            except (AwsError, ContainmentError) as error:
                steps.append(ContainmentStep(name=str(call), target=target, done=False, detail=str(error)[:500]))
                break
            steps.append(ContainmentStep(name=str(call), target=target, done=True, detail="done"))
        return steps

    def _log(self, result: ReleaseResult, approval: Approval) -> None:
        self._recorder.custody(
            CustodyAction.TARGET_RELEASED,
            detail={
                "outcome": result.outcome.value,
                "plan": approval.digest,
                "by": approval.by or "nobody",
                "differences": list(result.differences)[:50],
                # each once: a try that found some in force, and one that had to make a call again, say the same
                "calls": sorted({s.name for s in result.steps}),
            },
        )

    def _announce(self, result: ReleaseResult) -> None:
        recorder, done = self._recorder, result.outcome is Outcome.DONE
        summary = "released: it is as it was before containment" if done else f"release is PARTIAL: {result.reason}"
        note(recorder, f"target {summary}")
        recorder.announce(
            "released",
            "Target released" if done else "Release is PARTIAL",
            lines=[f"The target is {summary}", f"Approved by {result.approved_by or 'nobody'}"],
            facts={"outcome": result.outcome.value, "differences": list(result.differences)[:20]},
            once=False,
        )
        if done:
            recorder.sign_ledger("release")
