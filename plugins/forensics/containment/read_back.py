"""Reads the target back after a change and says what is proven, what failed and what is still open."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from forensics.containment.announcements import failed_steps
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.containment_state import assess, has_ended, unreadable
from forensics.containment.planner import ContainmentPlanner
from forensics.containment.quarantine_groups import CaseGroups
from forensics.errors import AwsError, ResourceGoneError
from forensics.models.containment import (
    ContainmentPlan,
    ContainmentResult,
    ContainmentState,
    ContainmentStep,
    RestorePoint,
)
from forensics.models.evidence import Outcome
from forensics.models.target_facts import InstanceFacts

# AWS may show a change late (EC2 and IAM are eventually consistent).
SETTLE_LOOKS = 4
SETTLE_SECONDS = 1.0
_CLOSED = frozenset({ContainmentState.NEW_FLOWS_BLOCKED, ContainmentState.ALL_FLOWS_VERIFIED})


@dataclass
class _Observation:
    state: ContainmentState = ContainmentState.FAILED
    problems: list[str] = field(default_factory=lambda: ["the target could not be read back"])
    facts: InstanceFacts | None = None
    groups: dict[str, str] = field(default_factory=dict)


class ReadBack:
    """Compares the target with what its plan wants."""

    def __init__(self, gateway: ContainmentGateway, planner: ContainmentPlanner) -> None:
        self._gateway = gateway
        self._planner = planner

    def result(
        self, plan: ContainmentPlan, restore: RestorePoint, *, steps: tuple[ContainmentStep, ...]
    ) -> ContainmentResult:
        """The result of the steps, from what AWS says now: whatever a plan made from that would still do is open.

        It looks again for a few seconds while something is open although every step succeeded. Raises
        :class:`ResourceGoneError` when the instance has ended meanwhile.
        """
        seen = _Observation()
        for look in range(SETTLE_LOOKS):
            try:
                settled = self._look(seen, plan, restore)
            except ResourceGoneError:
                raise
            except AwsError as error:
                seen.problems = [f"the target could not be read back: {error}"]
                continue
            if settled or any(not s.done for s in steps):
                break
            if look < SETTLE_LOOKS - 1:
                time.sleep(SETTLE_SECONDS)
        if seen.facts:
            seen.problems += unreadable(seen.facts)
        return _result(plan, seen, steps)

    def _look(self, seen: _Observation, plan: ContainmentPlan, restore: RestorePoint) -> bool:
        """Look once; True when nothing is open."""
        facts = seen.facts = self._planner.read(token=plan.token, original=restore.facts)
        if has_ended(facts):
            raise ResourceGoneError(f"the instance is {facts.state}")
        seen.groups = CaseGroups(plan.case_id, plan.token).quarantine_by_vpc(facts)
        rules = {g: self._gateway.facts.facts.rule_count(g) for g in seen.groups.values()}
        seen.state, seen.problems = assess(facts, groups=seen.groups, rules=rules)
        left = self._planner.remaining(facts, restore=restore, token=plan.token).steps
        seen.problems += [f"{s.id} is open ({s.call})" for s in left if not s.id.startswith("isolate.close.")]
        return not left and not seen.problems


def _result(plan: ContainmentPlan, seen: _Observation, steps: tuple[ContainmentStep, ...]) -> ContainmentResult:
    complete = not seen.problems
    result = ContainmentResult(
        outcome=Outcome.DONE if complete else Outcome.PARTIAL,
        state=seen.state,
        group_id=next(iter(seen.groups.values()), None),
        groups=seen.groups,
        steps=steps,
        residuals=plan.residuals,
        hardening_options=plan.hardening_options if seen.state is ContainmentState.NEW_FLOWS_BLOCKED else (),
        manual_steps=plan.manual_steps,
        plan_digest=plan.digest,
        contained_at=datetime.now(UTC) if seen.state in _CLOSED else None,
    )
    if complete:
        return result
    reason = "; ".join(dict.fromkeys([*seen.problems, *failed_steps(result)]))[:1500]
    return result.model_copy(update={"reason": reason})
