"""The plan of a case: recorded once, after the restore point."""

from __future__ import annotations

import pytest

from forensics import case_keys
from forensics.containment.planner import ContainmentPlanner, new_token, recorded_plan
from forensics.containment.residuals import RESIDUAL_ROLE
from forensics.containment.restore_points import RestorePoints, RestoreSeal
from forensics.models.containment import ContainmentResult, ContainmentState
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Outcome
from tests.unit.containment.case_world import World
from tests.unit.containment.targets import everything, granted


def planner(world: World) -> ContainmentPlanner:
    """The planner of a task."""
    return ContainmentPlanner(world.recorder, world.gateway, world.settings, response=world.response)


def test_a_retry_gets_the_plan_that_was_shown(world: World) -> None:
    plan, restore = planner(world).prepare()
    assert plan.steps and recorded_plan(world.recorder) == plan
    world.account.change(stop_protected=True)
    assert planner(world).prepare() == (plan, restore)
    assert world.account.reads == 1, "a retry does not read the target again"
    assert world.account.calls == [], "planning changes nothing"
    assert sum("containment planned" in note for note in world.recorder.notes) == 1


def test_a_try_that_was_killed_before_the_plan_keeps_its_restore_point(world: World) -> None:
    RestorePoints(world.recorder).take(everything())
    world.account.change(stop_protected=True)
    plan, restore = planner(world).prepare()
    assert restore.facts == everything(), "not the target as it is now"
    assert "protect.DisableApiStop" not in {s.id for s in plan.steps}
    assert world.recorder.ledger.actions() == [CustodyAction.RESTORE_POINT_TAKEN]


def test_a_try_that_was_killed_before_the_seal_seals_it(world: World) -> None:
    planner(world).prepare()
    assert world.recorder.get(case_keys.RESTORE_SEAL, RestoreSeal) is None
    assert planner(world).try_to_seal() is None
    assert world.recorder.get(case_keys.RESTORE_SEAL, RestoreSeal) is not None
    assert world.recorder.ledger.actions() == [CustodyAction.RESTORE_POINT_TAKEN, CustodyAction.RESTORE_POINT_SEALED]


def test_a_plan_is_made_without_a_question_to_iam(world: World) -> None:
    """Requirement R125: network facts first. What needs the role's name is planned all the same."""
    world.account.iam_down = "IAM is not reachable"
    plan, restore = planner(world).prepare()
    assert "iam" not in world.account.order
    assert restore.facts is not None and restore.facts.profile is not None
    assert (restore.facts.profile.association_id, restore.facts.profile.role_unread) == ("iip-1", True)
    steps = {s.id: s for s in plan.steps}
    assert steps["credentials.profile"].call.operation == "disassociate_iam_instance_profile"
    assert steps["credentials.deny"].call.params["RoleName"] == "${role:app}"
    assert RESIDUAL_ROLE in plan.residuals


def test_iam_completes_the_plan_and_the_restore_point(world: World) -> None:
    first, restore = planner(world).prepare()
    completed = planner(world).complete(first, restore)
    assert completed == recorded_plan(world.recorder) != first
    assert (completed.token, completed.network.steps) == (first.token, first.network.steps)
    steps = {s.id: s for s in completed.steps}
    assert steps["credentials.deny"].call.params["RoleName"] == "app"
    assert steps["credentials.profile"].call.operation == "replace_iam_instance_profile_association"
    _, restore = planner(world).prepare()
    assert restore.facts is not None and restore.facts.profile == everything().profile
    reads = world.account.reads
    assert planner(world).complete(completed, restore) == completed
    assert world.account.reads == reads, "it is complete"


def test_a_plan_that_iam_does_not_complete_says_so(world: World) -> None:
    world.account.iam_down = "IAM is not reachable"
    first, restore = planner(world).prepare()
    assert planner(world).complete(first, restore).steps == first.steps
    assert any("the plan does without IAM: IAM is not reachable" in note for note in world.recorder.notes)


@pytest.mark.parametrize("why", ["answered", "isolated"])
def test_a_plan_that_was_answered_or_carried_out_stays_as_it_is(world: World, why: str) -> None:
    first, restore = planner(world).prepare()
    if why == "answered":
        world.recorder.put(case_keys.APPROVAL, granted(first.digest))
    else:
        done = ContainmentResult(outcome=Outcome.DONE, state=ContainmentState.NEW_FLOWS_BLOCKED)
        world.recorder.put(case_keys.CONTAINMENT, done)
    assert planner(world).complete(first, restore) == first == recorded_plan(world.recorder)


def test_the_role_is_found_by_the_profile_that_was_taken_off_meanwhile(world: World) -> None:
    """IAM comes back after EC2 took the profile off: the restore point still learns whose role it was."""
    made = planner(world)
    plan, restore = made.prepare()
    world.account.change(profile=None)
    facts, restore = made.identity(made.read(token=plan.token, original=restore.facts), restore)
    assert facts.profile is None
    assert restore.facts is not None and restore.facts.profile == everything().profile


def test_nobody_guesses_a_token() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100 and {len(t) for t in tokens} == {12}
