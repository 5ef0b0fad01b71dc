"""The credentials' part of a try: IAM is asked, and what needs no IAM is done without it."""

from __future__ import annotations

import pytest

from forensics.containment.credential_end import CredentialEnd
from forensics.containment.planner import ContainmentPlanner
from forensics.models.containment import ContainmentStep
from tests.unit.containment.case_world import World
from tests.unit.containment.targets import everything


def end(world: World, *, only_planned: bool = False, drop: str = "") -> dict[str, ContainmentStep]:
    """End the credentials under the recorded plan (without the step ``drop``)."""
    planner = ContainmentPlanner(world.recorder, world.gateway, world.settings, response=world.response)
    plan, restore = planner.prepare()
    plan = plan.with_steps(tuple(s for s in plan.steps if s.id != drop))
    facts = planner.read(token=plan.token, original=restore.facts)
    made = CredentialEnd(world.gateway, planner, plan=plan, restore=restore, only_planned=only_planned)
    return {s.name: s for s in made.run(facts)}


def test_iam_is_asked_before_the_role_is_denied_and_the_network_is_not_touched(world: World) -> None:
    steps = end(world)
    assert {name for name, s in steps.items() if s.done} == {
        "credentials.metadata",
        "credentials.deny",
        "credentials.profile",
    }
    order = world.account.order
    assert order.index("iam") < order.index("put_role_policy")
    assert "modify_network_interface_attribute" not in order


def test_what_ec2_can_do_is_done_without_iam(world: World) -> None:
    world.account.iam_down = "IAM is not reachable"
    steps = end(world)
    assert steps["credentials.metadata"].done and steps["credentials.profile"].done
    assert not steps["credentials.deny"].done and "IAM is not reachable" in steps["credentials.deny"].detail
    assert world.account.target.profile is None


@pytest.mark.parametrize("only_planned", [True, False])
def test_a_step_that_an_approved_plan_does_not_have_is_left_out_and_said(world: World, only_planned: bool) -> None:
    steps = end(world, only_planned=only_planned, drop="credentials.metadata")
    assert steps["credentials.metadata"].done is not only_planned
    assert (
        "the plan that was approved does not have this step" in steps["credentials.metadata"].detail
    ) is only_planned
    assert steps["credentials.deny"].done


def test_whether_the_profile_is_replaced_stays_as_the_plan_says(world: World) -> None:
    """The plan was made without IAM: taking the profile off is what was planned, and what a person may have approved."""
    assert everything().deny_profile_exists
    assert end(world, only_planned=True)["credentials.profile"].done
    assert "disassociate_iam_instance_profile" in world.account.operations
