"""The plan of a case: recorded once, after the restore point."""

from __future__ import annotations

from forensics import case_keys
from forensics.containment.planner import ContainmentPlanner, new_token, recorded_plan
from forensics.containment.restore_points import RestorePoints, RestoreSeal
from forensics.models.custody import CustodyAction
from tests.unit.containment.case_world import World
from tests.unit.containment.targets import everything


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
    world.recorder.store.held.pop((world.recorder.case_id, case_keys.RESTORE_SEAL))
    planner(world).prepare()
    assert world.recorder.get(case_keys.RESTORE_SEAL, RestoreSeal) is not None
    assert world.recorder.ledger.actions() == [CustodyAction.RESTORE_POINT_TAKEN]


def test_nobody_guesses_a_token() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100 and {len(t) for t in tokens} == {12}
