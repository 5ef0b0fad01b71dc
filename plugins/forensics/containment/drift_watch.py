"""Looks at one contained target again: what is not as containment left it is told once, and closed if the policy says so."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from forensics import case_keys
from forensics.case.recorder import CaseRecorder
from forensics.containment.announcements import note
from forensics.containment.approval import why_not_restored
from forensics.containment.approval_record import Approvals
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.drift_rules import (
    CLOSING_TRIES,
    GONE,
    NOT_CLOSABLE,
    SETTLING,
    Drift,
    DriftItem,
    drift_items,
    open_from_the_beginning,
)
from forensics.containment.isolation import LEASE, LEASE_SECONDS, TargetIsolation
from forensics.containment.other_deployments import holder
from forensics.containment.planner import ContainmentPlanner, recorded_plan
from forensics.containment.restore_points import RestorePoints
from forensics.containment.watch_list import is_watched, unwatch
from forensics.errors import ContainmentError, ForensicsError, ResourceGoneError
from forensics.models.approval import Approval, ApprovalSubject
from forensics.models.case import CaseStatus, StepFailure
from forensics.models.containment import ContainmentPlan, ContainmentResult, ContainmentState
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Outcome
from forensics.models.plan import ResponsePlan
from forensics.models.target_facts import InstanceFacts
from forensics.settings import Settings

# The gap of the case while its target drifts.
DRIFTED = "containment.drift"
# Before something new is told it is looked at again, after pauses of so many seconds.
CONFIRMING_PAUSES = (2.0, 5.0)
# The gap of the case when another deployment has opened what it had contained.
HELD = "containment.held_elsewhere"
CLOSE_AGAIN = (
    "clear containment.plan_containment and containment.isolate_target in the case's run: they close what is open"
)
Answer = Literal["as it was", "drifted", "left alone"]


@dataclass(frozen=True)
class _Seen:
    """What is open now; whether the instance is stopped, or started since; what a plan would still do."""

    items: list[DriftItem]
    stopped: bool
    left: ContainmentPlan


class DriftWatch:
    """One contained target. ``recorder`` is the case's, with the step under which the watchdog holds its lease."""

    def __init__(
        self, recorder: CaseRecorder, gateway: ContainmentGateway, settings: Settings, *, response: ResponsePlan
    ) -> None:
        self._recorder = recorder
        self._gateway = gateway
        self._settings = settings
        self._response = response
        self._planner = ContainmentPlanner(recorder, gateway, settings, response=response)

    def look(self, now: datetime) -> Answer:
        """Look once. A target that is being isolated, was isolated just now or is being released is left alone."""
        recorder = self._recorder
        result, plan = recorder.get(case_keys.CONTAINMENT, ContainmentResult), recorded_plan(recorder)
        point = RestorePoints(recorder).get()
        original = point.facts if point else None
        if result is not None and result.held_elsewhere:
            return self._look_at_held(result)
        if result is None or plan is None or original is None or not result.groups:
            return "left alone"
        if result.contained_at and now - result.contained_at < SETTLING:
            return "left alone"
        store, holder = recorder.gateways.store, f"{case_keys.ISOLATING}{recorder.step}"
        if not store.lease(recorder.case_id, LEASE, holder=holder, seconds=LEASE_SECONDS):
            return "left alone"
        try:
            seen = self._confirmed(result, plan, original)
        finally:
            store.release_lease(recorder.case_id, LEASE, holder=holder)
        if not is_watched(store, recorder.case_id):
            return "left alone"  # a release has begun meanwhile
        return self._compare(seen, result, plan, now)

    def _look_at_held(self, result: ContainmentResult) -> Answer:
        """Whether another deployment still holds the target closed; when not, it is open, and the case says so once."""
        recorder = self._recorder
        if recorder.case.status is not CaseStatus.OPEN:
            unwatch(recorder.gateways.store, recorder.case_id)
            return "left alone"
        try:
            facts = self._planner.read(token="", original=None)
        except ResourceGoneError:
            unwatch(recorder.gateways.store, recorder.case_id)
            return "left alone"
        if holder(facts, self._settings) and not facts.unknown:
            return "as it was"
        if facts.unknown:
            raise ContainmentError(f"whether the target is still closed is not known: {'; '.join(facts.unknown)[:800]}")
        cause = f"{recorder.case.instance_id} is open: {result.reason}, and does not hold it closed any more"
        recorder.fail(StepFailure(step=HELD, cause=cause[:2000], next_action=CLOSE_AGAIN, at=datetime.now(UTC)))
        unwatch(recorder.gateways.store, recorder.case_id)
        return "drifted"

    def _confirmed(self, result: ContainmentResult, plan: ContainmentPlan, original: InstanceFacts) -> _Seen:
        """What is open. What is new is looked at again: AWS may once more not show what it has shown before."""
        known = self._recorder.get(case_keys.DRIFT, Drift)
        told = {item.key for item in known.items} | set(known.baseline) if known else set()
        seen = self._observe(result, plan, original)
        for pause in CONFIRMING_PAUSES:
            if all(item.key in told for item in seen.items):
                break
            time.sleep(pause)
            again = self._observe(result, plan, original)
            keys = {item.key for item in again.items}
            seen = replace(again, items=[item for item in seen.items if item.key in keys])
        return seen

    def _observe(self, result: ContainmentResult, plan: ContainmentPlan, original: InstanceFacts) -> _Seen:
        known = self._recorder.get(case_keys.DRIFT, Drift)
        was_stopped = known.stopped if known else result.state is ContainmentState.ALL_FLOWS_VERIFIED
        facts, left = self._read(plan, original)
        ec2 = self._gateway.facts.facts
        items = drift_items(
            facts,
            result=result,
            original=original,
            rules={group: ec2.rule_count(group) for group in result.groups.values()} if facts else {},
            left=left.steps,
            deny_profile=self._settings.containment_profile,
            was_stopped=was_stopped,
        )
        state = facts.state if facts else GONE
        stopped = state == "stopped" or (was_stopped and state == "running")
        return _Seen(items, stopped=stopped, left=left)

    def _read(self, plan: ContainmentPlan, original: InstanceFacts) -> tuple[InstanceFacts | None, ContainmentPlan]:
        """The target now (None: EC2 does not know it any more), and what a plan would still do."""
        point = RestorePoints(self._recorder).get()
        try:
            facts = self._planner.read(token=plan.token, original=original)
        except ResourceGoneError:
            return None, plan.with_steps(())
        if point is None:
            raise ContainmentError(f"the restore point of case {self._recorder.case_id} is gone from the case store")
        facts = self._planner.with_identity(facts, point)
        return facts, self._planner.remaining(facts, restore=point, token=plan.token)

    def _compare(self, seen: _Seen, result: ContainmentResult, plan: ContainmentPlan, now: datetime) -> Answer:
        recorder = self._recorder
        before = recorder.get(case_keys.DRIFT, Drift)
        if before is None:
            before = Drift(baseline=open_from_the_beginning(result, seen.items), looked_at=now)
        items = tuple(item for item in seen.items if item.key not in before.baseline)
        drift = self._tell(before, items, now).model_copy(update={"stopped": seen.stopped, "looked_at": now})
        recorder.put(case_keys.DRIFT, drift)
        if items != before.items:
            recorder.keep_line()
        if any(item.key == GONE for item in items):
            unwatch(recorder.gateways.store, recorder.case_id)
        elif any(item.key not in NOT_CLOSABLE for item in items):
            self._close(drift, why_not=self._why_not(plan, seen.left), now=now)
        return "drifted" if items else "as it was"

    def _why_not(self, plan: ContainmentPlan, left: ContainmentPlan) -> str | None:
        """Why the drift waits for a person, whatever the deployment says; None when it may be closed."""
        if not self._response.isolate.go:
            return "the response plan does not isolate the target"
        still = self._recorder.case.status is CaseStatus.OPEN
        return why_not_restored(plan, remaining=left.network, approval=self._approval(), case_open=still)

    def _approval(self) -> Approval | None:
        return Approvals(self._recorder, ApprovalSubject.CONTAINMENT).current()

    def _tell(self, before: Drift, items: tuple[DriftItem, ...], now: datetime) -> Drift:
        """Tell what is new, note what is over; each once."""
        recorder, known = self._recorder, {item.key for item in before.items}
        new = [item for item in items if item.key not in known]
        over = [item for item in before.items if item.key not in {i.key for i in items}]
        for item in over:
            note(recorder, f"no drift any more: {item.what}", at=now)
        if items:
            open_now = "; ".join(item.what for item in items)
            recorder.mark_failed(DRIFTED, ContainmentError(open_now[:1500], next_action=CLOSE_AGAIN))
        else:
            recorder.clear_failed(DRIFTED)
        if not new:
            return before.model_copy(update={"items": items, "tries": before.tries if items else 0})
        note(recorder, f"DRIFT of the contained target: {'; '.join(i.what for i in new)[:1500]}", at=now)
        recorder.custody(CustodyAction.CONTAINMENT_DRIFTED, detail={"items": [i.what for i in new][:50]})
        recorder.announce(
            "drift",
            f"DRIFT: the contained target was changed ({len(new)})",
            lines=[
                *[f"Changed: {item.what}" for item in new[:20]],
                self._next(new),
                "Who did it is in CloudTrail of the target's account.",
            ],
            facts={"items": [item.what for item in new[:50]]},
            once=False,
        )
        return before.model_copy(update={"items": items, "tries": 0})

    def _next(self, new: list[DriftItem]) -> str:
        if all(item.key in NOT_CLOSABLE for item in new):
            return "What to do next: find out who did this; no call of this product undoes it."
        if self._settings.drift_response == "close":
            return "It is closed again now, unless that needs a new approval; another message says how that ended."
        return f"Nothing was changed by this product. What to do next: {CLOSE_AGAIN}."

    # ------------------------------------------------------------------ closing it again
    def _close(self, drift: Drift, *, why_not: str | None, now: datetime) -> None:
        """Isolate again where the policy says so and no new approval is needed; a few tries, then it is a person's."""
        recorder = self._recorder
        if self._settings.drift_response != "close" or drift.tries >= CLOSING_TRIES:
            return
        recorder.put(case_keys.DRIFT, drift.model_copy(update={"tries": CLOSING_TRIES if why_not else drift.tries + 1}))
        why = why_not or self._isolate()
        if not why:
            under = self._under()
            note(recorder, f"the contained target is closed again{under and f' ({under})'}", at=now)
            recorder.announce(
                "drift_closed",
                "The contained target is closed again after a drift",
                lines=[f"Why without a question: {under}."] if under else [],
                once=False,
            )
            return
        note(recorder, f"the drift could not be closed: {why[:800]}", at=now)
        if drift.tries == 0:
            recorder.announce(
                "drift_open",
                "The drift of the contained target is NOT closed",
                lines=[f"Why: {why}", f"What to do next: {CLOSE_AGAIN}."],
                once=False,
            )

    def _under(self) -> str:
        """The approval that the way back rests on; empty where containment needed none."""
        plan, approval = recorded_plan(self._recorder), self._approval()
        if plan is None or not plan.approval or approval is None:
            return ""
        return f"it restores plan {approval.digest[:12]}, {approval.reason} at {approval.at:%Y-%m-%d %H:%MZ}, and the case is open"

    def _isolate(self) -> str:
        """Close what is open; why not, when that fails."""
        isolation = TargetIsolation(
            self._recorder, self._gateway, self._settings, response=self._response, restoring=True
        )
        try:
            result = isolation.isolate()
        except ForensicsError as error:
            return str(error)
        return "" if result.outcome is Outcome.DONE else f"{result.outcome.value}: {result.reason}"
