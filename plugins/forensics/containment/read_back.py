"""Reads the target back after a change and says what is proven, what failed and what is still open."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from forensics.containment.announcements import failed_steps
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.containment_state import assess, has_ended, unreadable
from forensics.containment.open_credentials import open_credentials
from forensics.containment.planner import ContainmentPlanner
from forensics.containment.quarantine_groups import CaseGroups
from forensics.containment.residuals import residuals
from forensics.errors import AwsError, ResourceGoneError
from forensics.models.containment import (
    NETWORK_CLOSED,
    ContainmentPlan,
    ContainmentResult,
    ContainmentState,
    ContainmentStep,
    RestorePoint,
)
from forensics.models.evidence import Outcome
from forensics.models.target_facts import InstanceFacts

# AWS may show a change late (EC2 and IAM are eventually consistent): pauses between looks, in seconds.
SETTLE_PAUSES = (1.0, 1.0, 2.0, 4.0, 8.0)
SETTLE_LOOKS = len(SETTLE_PAUSES) + 1


@dataclass
class _Observation:
    state: ContainmentState = ContainmentState.FAILED
    problems: list[str] = field(default_factory=lambda: ["the target could not be read back"])
    facts: InstanceFacts | None = None
    groups: dict[str, str] = field(default_factory=dict)
    credentials: tuple[str, ...] = ()
    closed_at: datetime | None = None


class ReadBack:
    """Compares the target with what its plan wants."""

    def __init__(self, gateway: ContainmentGateway, planner: ContainmentPlanner) -> None:
        self._gateway = gateway
        self._planner = planner

    def result(
        self, plan: ContainmentPlan, restore: RestorePoint, *, steps: tuple[ContainmentStep, ...]
    ) -> ContainmentResult:
        """The result of the steps, from what AWS says now: whatever a plan made from that would still do is open.

        It looks again for a few seconds while something is open although every step succeeded and AWS answers. Raises
        :class:`ResourceGoneError` when the instance has ended meanwhile.
        """
        seen = _Observation()
        for pause in (*SETTLE_PAUSES, None):
            try:
                settled = self._look(seen, plan, restore, steps)
            except ResourceGoneError:
                raise
            except AwsError as error:
                seen.problems = [f"the target could not be read back: {error}"]
                settled = False
            else:
                settled = settled or any(not s.done for s in steps) or bool(seen.facts and seen.facts.iam_unknown)
            if settled or pause is None:
                break
            time.sleep(pause)
        if seen.facts:
            seen.problems += unreadable(seen.facts)
        return _result(plan, restore, seen, steps, deny_profile=self._planner.policy.deny_profile)

    def _look(
        self, seen: _Observation, plan: ContainmentPlan, restore: RestorePoint, steps: tuple[ContainmentStep, ...]
    ) -> bool:
        """Look once, at the network and then at what IAM says; True when nothing is open."""
        facts = seen.facts = self._planner.read(token=plan.token, original=restore.facts)
        if has_ended(facts):
            raise ResourceGoneError(f"the instance is {facts.state}")
        seen.groups = CaseGroups(plan.case_id, plan.token).quarantine_by_vpc(facts)
        rules = {g: self._gateway.facts.facts.rule_count(g) for g in seen.groups.values()}
        seen.state, seen.problems = assess(facts, groups=seen.groups, rules=rules)
        seen.closed_at = datetime.now(UTC) if seen.state in NETWORK_CLOSED else None
        facts = seen.facts = self._planner.with_identity(facts, restore)
        left = self._planner.remaining(facts, restore=restore, token=plan.token)
        open_steps = [s for s in left.network.steps if not s.id.startswith("isolate.close.")]
        seen.problems += [f"{s.id} is open ({s.call})" for s in open_steps]
        seen.credentials = open_credentials(left.credentials.steps, facts=facts, steps=steps)
        return not left.steps and not seen.problems


def _result(
    plan: ContainmentPlan,
    restore: RestorePoint,
    seen: _Observation,
    steps: tuple[ContainmentStep, ...],
    *,
    deny_profile: str,
) -> ContainmentResult:
    problems = [*seen.problems, *seen.credentials]
    result = ContainmentResult(
        outcome=Outcome.PARTIAL if problems else Outcome.DONE,
        state=seen.state,
        group_id=next(iter(seen.groups.values()), None),
        groups=seen.groups,
        steps=steps,
        residuals=_residuals(plan, restore, seen, deny_profile=deny_profile),
        hardening_options=plan.hardening_options if seen.state is ContainmentState.NEW_FLOWS_BLOCKED else (),
        manual_steps=plan.manual_steps,
        plan_digest=plan.digest,
        contained_at=seen.closed_at,
        credentials_open=seen.credentials,
    )
    if not problems:
        return result
    closed = ["network closed"] if result.network_closed else []
    reason = "; ".join(dict.fromkeys([*closed, *problems, *_failed_otherwise(result)]))[:1500]
    return result.model_copy(update={"reason": reason})


def _failed_otherwise(result: ContainmentResult) -> list[str]:
    """Steps that did not succeed; those that end credentials are named by what they leave open."""
    named = {"credentials.deny", "credentials.revoke", "credentials.metadata", "credentials.profile"}
    left = tuple(s for s in result.steps if not (s.name in named and result.credentials_open))
    return failed_steps(result.model_copy(update={"steps": left}))


def _residuals(
    plan: ContainmentPlan, restore: RestorePoint, seen: _Observation, *, deny_profile: str
) -> tuple[str, ...]:
    """What stays open by the plan, with what is known now of the profile that the target had."""
    if seen.facts is None or restore.facts is None:
        return plan.residuals
    before = seen.facts.model_copy(update={"profile": restore.facts.profile})
    return residuals(before, deny_profile=deny_profile)
