"""The stores of step tests do what the real ones do on DynamoDB: each line runs on both."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.errors import CaseError
from forensics.models.case import CaseStatus, Milestone, StepFailure, TimelineKind
from forensics.models.evidence import ControlPlaneEvidence, Outcome
from tests.unit.builders import CASE_ID, NOW, case, finding
from tests.unit.recorders import StoreInMemory


@pytest.fixture(params=["DynamoDB", "memory"])
def either(request: pytest.FixtureRequest) -> CaseStore:
    """A store with one open case."""
    if request.param == "memory":
        made = StoreInMemory()
        made.put(CASE_ID, case_keys.CASE, case())
        return made
    real: CaseStore = request.getfixturevalue("store")
    real.open_case(case(), finding=finding())
    return real


FACTS = ControlPlaneEvidence(
    evidence_id="control-plane-facts", outcome=Outcome.PENDING, started_at=NOW, lock={"ratio": 0.1, "deep": [None]}
)


def test_an_item_comes_back_as_it_was_written_and_once_is_once(either: CaseStore) -> None:
    assert either.data(CASE_ID, "EVIDENCE#x") is None and not either.has(CASE_ID, "EVIDENCE#x")
    either.put(CASE_ID, "EVIDENCE#x", FACTS)
    assert either.get(CASE_ID, "EVIDENCE#x", ControlPlaneEvidence) == FACTS and either.has(CASE_ID, "EVIDENCE#x")
    assert either.put_once(CASE_ID, "EVIDENCE#y", FACTS) is True
    assert either.put_once(CASE_ID, "EVIDENCE#y", FACTS.model_copy(update={"reason": "later"})) is False
    assert either.get(CASE_ID, "EVIDENCE#y", ControlPlaneEvidence) == FACTS


def test_items_come_in_the_order_of_their_keys(either: CaseStore) -> None:
    for key in ("EVIDENCE#b", "EVIDENCE#a", "EVIDENCF"):
        either.put(CASE_ID, key, FACTS)
    assert [sk for sk, _ in either.items(CASE_ID, "EVIDENCE#")] == ["EVIDENCE#a", "EVIDENCE#b"]


def test_the_head_record_changes_by_field_and_must_be_there(either: CaseStore) -> None:
    changed = either.update_case(CASE_ID, status=CaseStatus.CLOSED, closed_at=NOW)
    assert either.case(CASE_ID) == changed == case(status=CaseStatus.CLOSED, closed_at=NOW)
    with pytest.raises(CaseError):
        either.case("fc-20261124-ffffffffff")


def test_a_lease_is_its_holders_until_it_is_given_back(either: CaseStore) -> None:
    take: dict[str, Any] = {"seconds": 60}
    assert either.lease(CASE_ID, "isolate", holder="a", **take) and either.lease(CASE_ID, "isolate", holder="a", **take)
    assert not either.lease(CASE_ID, "isolate", holder="b", **take)
    either.release_lease(CASE_ID, "isolate", holder="b")
    assert not either.lease(CASE_ID, "isolate", holder="b", **take), "nobody gives back what is another's"
    either.release_lease(CASE_ID, "isolate", holder="a")
    assert either.lease(CASE_ID, "isolate", holder="b", seconds=-60)
    assert either.lease(CASE_ID, "isolate", holder="a", **take), "one that has run out is free"


def test_notes_milestones_and_failures(either: CaseStore) -> None:
    for at in (NOW + timedelta(seconds=1), NOW, NOW):
        either.note(CASE_ID, "seen", kind=TimelineKind.CASE, source="step", at=at)
    assert len(list(either.items(CASE_ID, case_keys.TIMELINE))) == 2
    assert either.milestone(CASE_ID, Milestone.TRIAGED, NOW) and not either.milestone(CASE_ID, Milestone.TRIAGED)
    failure = StepFailure(step="step", cause="c", next_action="n", at=NOW)
    either.fail(CASE_ID, failure)
    assert either.get(CASE_ID, "FAILURE#step", StepFailure) == failure
    either.clear_failure(CASE_ID, "step")
    assert not either.has(CASE_ID, "FAILURE#step")
