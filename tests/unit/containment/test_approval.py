"""A person's answer, and what may be carried out under it."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.containment.approval import HumanResponse, Withheld, approval_of, withheld
from forensics.models.containment import Approval
from forensics.models.evidence import Outcome
from tests.unit.builders import NOW
from tests.unit.containment.targets import eni, everything, planned

DIGEST = "d" * 64


def answered(*, requester: str | None = "alice", two_persons: bool = True, **event: Any) -> Approval:
    """The approval that an event of Airflow's trigger is."""
    response = HumanResponse.model_validate({"params_input": {}, "responded_at": NOW, **event})
    return approval_of(response, digest=DIGEST, accept="Isolate", requester=requester, two_persons=two_persons, at=NOW)


def by(name: str | None, option: str = "Isolate", **more: Any) -> dict[str, Any]:
    """An event with a person's choice."""
    user = {"id": name, "name": name} if name else None
    return {"chosen_options": [option], "responded_by_user": user, "timedout": name is None, **more}


@pytest.mark.parametrize(
    ("event", "granted", "person", "reason"),
    [
        (by("bob"), True, "bob", "approved by bob"),
        (by("bob", "Do not isolate"), False, "bob", "refused by bob"),
        (by("Alice"), False, "Alice", "Alice requested it and may not approve it"),
        (by("alice", "Do not isolate"), False, "alice", "refused by alice"),
        (by(None), True, None, "nobody answered in time; policy's default counts"),
        (by(None, "Do not isolate"), False, None, "nobody answered in time; policy's default counts"),
        (by("bob", timedout=True), True, None, "nobody answered in time; policy's default counts"),
        ({"error": "no such option", "error_type": "validation"}, False, None, "no valid answer: no such option"),
    ],
)
def test_what_an_answer_grants(event: dict[str, Any], granted: bool, person: str | None, reason: str) -> None:
    assert answered(**event) == Approval(digest=DIGEST, granted=granted, by=person, at=NOW, reason=reason)


def test_one_person_is_enough_where_the_settings_say_so() -> None:
    assert answered(**by("alice"), two_persons=False).granted
    assert answered(**by("alice"), requester=None).granted


def test_a_person_without_a_name_is_known_by_id() -> None:
    event = {"chosen_options": ["Isolate"], "responded_by_user": {"id": 7, "name": ""}, "timedout": False}
    assert answered(**event).by == "7"


def granted(digest: str, *, yes: bool = True) -> Approval:
    """An answer to the plan with this digest."""
    return Approval(digest=digest, granted=yes, by="bob", at=NOW, reason="refused by bob")


def test_a_plan_without_approval_needs_no_answer() -> None:
    plan = planned(everything())
    assert withheld(plan, remaining=plan, approval=None) is None


def test_a_plan_waits_for_its_answer_and_follows_it() -> None:
    plan = planned(everything(), approval=("production",))
    waiting = withheld(plan, remaining=plan, approval=None)
    assert waiting == Withheld(Outcome.PENDING, "isolation waits for a person's approval")
    refused = withheld(plan, remaining=plan, approval=granted(plan.digest, yes=False))
    assert refused == Withheld(Outcome.SKIPPED, "not approved: refused by bob")
    assert withheld(plan, remaining=plan, approval=granted(plan.digest)) is None


def test_an_answer_to_another_plan_does_not_count() -> None:
    plan = planned(everything(), approval=("production",))
    found = withheld(plan, remaining=plan, approval=granted(DIGEST))
    assert found is not None and found.outcome is Outcome.SKIPPED
    assert found.reason.startswith("the plan changed after approval (approved dddddddddddd, now ")


def test_steps_that_were_not_approved_are_not_carried_out() -> None:
    plan = planned(everything(), approval=("production",))
    grown = planned(everything(interfaces=(*everything().interfaces, eni(2))), approval=("production",))
    found = withheld(plan, remaining=grown, approval=granted(plan.digest))
    assert found is not None and "isolate.open.eni-2" in found.reason


def test_an_approval_that_only_the_target_as_it_is_needs_is_waited_for() -> None:
    plan = planned(everything())
    now_needed = planned(everything(), approval=("a later finding",))
    found = withheld(plan, remaining=now_needed, approval=None)
    assert found is not None and found.outcome is Outcome.PENDING
