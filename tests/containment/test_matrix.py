"""Every kind of target: planned exactly, contained, verified, and as it was after release."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forensics.containment.plan_preflight import preflight
from forensics.models.containment import ContainmentState, PlanStep, PreflightAnswer
from tests.containment.drive import Driver, verify_contained
from tests.containment.world import FULL, Cell, Recorder, World, all_cells, difference

CELLS = all_cells()
# `make test` takes three of the 48; `make test-containment` takes all
CHOSEN = CELLS if FULL else [CELLS[n] for n in (0, 15, 46)]


def test_there_are_48_different_cells() -> None:
    assert len(set(CELLS)) == 48
    assert {c.interfaces for c in CELLS} == {1, 2, 3, 4}


@pytest.mark.parametrize("cell", CHOSEN, ids=str)
def test_a_target_is_contained_and_comes_back(world: World, cell: Cell) -> None:
    made = world.make(cell)
    before = world.everything(made)
    recorder = Recorder()
    driver = Driver.start(world.gateway(recorder), made.instance_id)

    plan = driver.plan(driver.original)
    answers = preflight(driver.gateway, plan)
    assert recorder.changes == [], "a dry run changes nothing"
    assert [s.name for s in answers.steps] == [s.id for s in plan.steps]
    assert answers.of(PreflightAnswer.REFUSED) == ()
    assert {s.name for s in answers.of(PreflightAnswer.ALLOWED)} == {s.id for s in plan.steps if can_be_asked(s)}
    assert difference(before, world.everything(made)) == []

    steps = driver.contain()
    assert [s.detail for s in steps if not s.done] == []
    assert predicted(plan) == performed(recorder), "the plan names exactly the calls that are made"
    assert verify_contained(world, made, before=before) == []
    state, problems = driver.state()
    assert problems == []
    assert state is (ContainmentState.NEW_FLOWS_BLOCKED if cell.running else ContainmentState.ALL_FLOWS_VERIFIED)

    recorder.calls.clear()
    assert driver.contain() == [], "containing again does nothing"
    assert recorder.changes == []

    assert driver.release() > 0
    assert difference(before, world.everything(made)) == []
    assert driver.release() == 0, "releasing again does nothing"


# EC2 calls that have no DryRun parameter (API reference); other services have none at all.
WITHOUT_DRY_RUN = {
    "associate_iam_instance_profile",
    "disassociate_iam_instance_profile",
    "replace_iam_instance_profile_association",
}


def can_be_asked(step: PlanStep) -> bool:
    """Whether EC2 can be asked about this step before it is made."""
    known = step.call.service == "ec2" and step.call.operation not in WITHOUT_DRY_RUN
    return known and "${" not in json.dumps(step.call.params)


def predicted(plan: Any) -> list[str]:
    """The plan's calls by stage, with placeholders and ids of new groups left out."""
    return sorted(
        f"{s.call.service} {s.call.operation.replace('_', '').lower()} {_plain(s.call.params)}" for s in plan.steps
    )


def performed(recorder: Recorder) -> list[str]:
    """The mutating calls that were made, in the same form."""
    service = {"elastic-load-balancing-v2": "elbv2"}
    return sorted(f"{service.get(s, s)} {name.lower()} {_plain(params)}" for s, name, params in recorder.changes)


def _plain(params: Any, *, key: str = "") -> Any:
    """Parameters without ids of groups that did not exist when the plan was made."""
    if isinstance(params, dict):
        return {k: _plain(v, key=k) for k, v in sorted(params.items())}
    if isinstance(params, list):
        return [_plain(v, key=key) for v in params]
    made_by_plan = key in {"Groups", "GroupId"} and isinstance(params, str)
    return "<group>" if made_by_plan else params
