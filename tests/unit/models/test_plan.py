"""A plan's decisions."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from forensics.models.plan import Action, Decision, ResponsePlan
from tests.unit.builders import decision, plan


@pytest.mark.parametrize(("wanted", "possible", "go"), [(True, True, True), (True, False, False), (False, True, False)])
def test_a_step_is_carried_out_when_it_is_wanted_and_possible(wanted: bool, possible: bool, go: bool) -> None:
    assert decision(Action.DISK, wanted=wanted, possible=possible).go is go


def test_every_decision_has_a_reason() -> None:
    with pytest.raises(ValidationError, match="reasons"):
        Decision(action=Action.DISK, wanted=True, reasons=())


def test_the_decisions_come_in_the_order_of_the_flows() -> None:
    assert [d.action for d in plan().decisions] == [Action.MEMORY, Action.DISK, Action.ISOLATE]


def test_a_plan_survives_json_and_its_revision_starts_at_one() -> None:
    assert ResponsePlan.model_validate_json(plan().model_dump_json()) == plan()
    assert plan().revision == 1 and not plan().approval.required
