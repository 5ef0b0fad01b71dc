"""The result of containment is what AWS says afterwards."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from forensics.containment import read_back
from forensics.containment.plan_runner import PlanRunner
from forensics.containment.planner import ContainmentPlanner
from forensics.containment.read_back import SETTLE_LOOKS, ReadBack
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
from tests.unit.containment.account import ReaderInMemory
from tests.unit.containment.case_world import World
from tests.unit.containment.targets import facts


def prepared(world: World) -> tuple[ContainmentPlanner, ContainmentPlan, RestorePoint]:
    """Planner, plan and restore point, after IAM was asked."""
    planner = ContainmentPlanner(world.recorder, world.gateway, world.settings, response=world.response)
    planner.complete(*planner.prepare())
    return planner, *planner.prepare()


def result_of(world: World, *steps: ContainmentStep) -> ContainmentResult:
    """Read the target back."""
    planner, plan, restore = prepared(world)
    return ReadBack(world.gateway, planner).result(plan, restore, steps=steps)


def contain(world: World) -> None:
    """Carry out the plan."""
    _, plan, _ = prepared(world)
    PlanRunner(world.gateway, plan, facts=world.account.target).run()


def test_a_target_that_is_as_planned_is_contained(world: World) -> None:
    contain(world)
    result = result_of(world)
    (group,) = world.account.target.own_groups
    assert (result.outcome, result.state, result.reason) == (Outcome.DONE, ContainmentState.NEW_FLOWS_BLOCKED, None)
    assert (result.group_id, result.groups) == (group.id, {"vpc-1": group.id})
    assert result.contained_at is not None and result.residuals and result.hardening_options


def test_whatever_a_new_plan_would_still_do_is_open(world: World) -> None:
    contain(world)
    world.account.change(stop_protected=False)
    result = result_of(world)
    assert (result.outcome, result.state) == (Outcome.PARTIAL, ContainmentState.NEW_FLOWS_BLOCKED)
    assert result.reason == "network closed; protect.DisableApiStop is open (ec2.modify_instance_attribute)"


def test_a_stopped_target_has_no_flow_and_no_option_left(world: World) -> None:
    contain(world)
    world.account.change(state="stopped")
    result = result_of(world)
    assert (result.outcome, result.state) == (Outcome.DONE, ContainmentState.ALL_FLOWS_VERIFIED)
    assert result.hardening_options == ()


def test_a_target_that_nobody_isolated_is_not_contained(world: World) -> None:
    world.account.target = facts()
    result = result_of(world, ContainmentStep(name="isolate.close.eni-0", target="eni-0", done=False, detail="denied"))
    assert (result.outcome, result.state) == (Outcome.PARTIAL, ContainmentState.FAILED)
    assert result.reason is not None and "interface eni-0 still has groups sg-app" in result.reason
    assert result.reason.endswith("isolate.close.eni-0 on eni-0: denied")
    assert result.contained_at is None


def test_it_looks_again_while_a_change_is_not_visible_yet(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    contain(world)
    world.account.change(stop_protected=False)
    waits: list[float] = []

    def visible_later(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            world.account.change(stop_protected=True)

    monkeypatch.setattr(read_back.time, "sleep", visible_later)
    assert result_of(world).outcome is Outcome.DONE
    assert waits == [1.0, 1.0]


def test_it_does_not_wait_for_what_failed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    contain(world)
    world.account.change(stop_protected=False)
    reads = world.account.reads
    result_of(world, ContainmentStep(name="protect.DisableApiStop", target="i", done=False, detail="denied"))
    assert world.account.reads == reads + 1


def test_a_target_that_cannot_be_read_is_not_contained(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    contain(world)
    seen: list[int] = []

    def unreadable(self: object, group_id: str) -> int:
        seen.append(1)
        raise AwsError("no answer")

    monkeypatch.setattr("tests.unit.containment.account.Ec2InMemory.rule_count", unreadable)
    result = result_of(world)
    assert (result.outcome, result.state) == (Outcome.PARTIAL, ContainmentState.FAILED)
    assert result.reason == "the target could not be read back: no answer"
    assert len(seen) == SETTLE_LOOKS


@pytest.mark.parametrize("state", ["terminated", "shutting-down"])
def test_a_target_that_ended_has_no_result(world: World, state: str) -> None:
    contain(world)
    world.account.change(state=state)
    with pytest.raises(ResourceGoneError, match=state):
        result_of(world)


def test_what_could_not_be_read_makes_it_partial(world: World) -> None:
    contain(world)
    world.account.change(unknown=("balancers: denied",))
    result = result_of(world)
    assert (result.outcome, result.reason) == (Outcome.PARTIAL, "network closed; not known: balancers: denied")


def test_what_iam_does_not_say_is_named_by_the_credentials_that_it_leaves_open(world: World) -> None:
    """IAM has one Region for the whole partition (IAM user guide, "Create a VPC endpoint for IAM"): a VPC may not reach it."""
    contain(world)
    world.account.iam_down = "list inline policies of role app: AWS could not be reached"
    reads = world.account.reads
    result = result_of(world)
    assert (result.outcome, result.state) == (Outcome.PARTIAL, ContainmentState.NEW_FLOWS_BLOCKED)
    (line,) = result.credentials_open
    assert line.startswith("credentials of role app") and line.endswith("AWS could not be reached")
    assert result.reason == f"network closed; {line}"
    assert world.account.reads == reads + 1, "it does not look again for an answer that does not come"


def test_the_network_is_read_back_before_iam_is_asked(world: World) -> None:
    contain(world)
    _, plan, restore = prepared(world)
    world.account.order.clear()
    planner = ContainmentPlanner(world.recorder, world.gateway, world.settings, response=world.response)
    ReadBack(world.gateway, planner).result(plan, restore, steps=())
    assert world.account.order[0] == "network" and "iam" in world.account.order


def test_the_time_of_closing_is_the_look_at_the_network(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    contain(world)
    moments: list[datetime] = []
    real = ReaderInMemory.with_identity

    def slow(self: ReaderInMemory, *given: Any, **named: Any) -> InstanceFacts:
        moments.append(datetime.now(UTC))
        return real(self, *given, **named)

    monkeypatch.setattr(ReaderInMemory, "with_identity", slow)
    result = result_of(world)
    assert result.contained_at is not None and result.contained_at <= moments[-1]
