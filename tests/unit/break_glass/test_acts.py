"""What one person may do and what takes two; the acts themselves are played in the lab (tests/integration/test_break_glass.py)."""

from __future__ import annotations

import pytest

from forensics.break_glass.acts import _check_digest, _response
from forensics.errors import ContainmentError, CustodyError
from forensics.models.approval import Person
from tests.unit.builders import plan

ALICE = Person(login="alice")


def test_a_plan_that_isolates_without_asking_is_carried_out_as_it_is() -> None:
    recorded = plan()
    assert recorded.isolate.go and _response(recorded, ALICE, "x") is recorded


def test_what_policy_does_not_isolate_takes_a_second_person_and_keeps_the_plan() -> None:
    recorded = plan()
    unwanted = recorded.model_copy(
        update={"isolate": recorded.isolate.model_copy(update={"wanted": False, "reasons": ("low",)})}
    )
    found = _response(unwanted, ALICE, "x")
    assert found.approval.required and "policy does not isolate: low" in found.approval.reasons[-1]
    assert found.memory == recorded.memory and found.isolate == unwanted.isolate
    impossible = recorded.model_copy(
        update={"isolate": recorded.isolate.model_copy(update={"possible": False, "reasons": ("gone",)})}
    )
    with pytest.raises(ContainmentError, match="gone"):
        _response(impossible, ALICE, "x")


def test_without_a_plan_isolating_is_an_order_that_names_who_and_why() -> None:
    found = _response(None, ALICE, "it spreads")
    assert found.isolate.go and not found.memory.wanted and not found.disk.wanted
    assert found.approval.required and "ordered by alice without Airflow: it spreads" in found.isolate.reasons


def test_a_plan_with_another_digest_than_its_own_is_refused() -> None:
    _check_digest("a", "a", "fc-20261124-0a1b2c3d4e")
    with pytest.raises(CustodyError, match="nothing is done"):
        _check_digest("a", "b", "fc-20261124-0a1b2c3d4e")
