"""The chain: whatever is deleted, moved or edited, verification names the first event that is wrong."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.domain.custody import GENESIS, canonical, event_digest, next_event, verify_chain
from forensics.errors import CustodyChainError
from forensics.models.custody import CustodyAction, CustodyEvent
from tests.unit.domain.builders import CASE_ID, NOW

DETAILS = st.dictionaries(
    st.text(min_size=1, max_size=8),
    st.one_of(st.text(max_size=20), st.integers(-(2**53) + 1, 2**53 - 1), st.booleans(), st.none()),
    max_size=4,
)


def chain(details: list[dict[str, Any]]) -> list[CustodyEvent]:
    """A whole chain with these details."""
    events: list[CustodyEvent] = []
    for number, detail in enumerate(details, start=1):
        events.append(
            next_event(
                case_id=CASE_ID,
                seq=number,
                previous=events[-1].digest if events else GENESIS,
                action=CustodyAction.EVIDENCE_ACQUIRED,
                actor="arn:aws:iam::222233334444:role/forensics-custodian",
                at=NOW + timedelta(seconds=number),
                evidence_id=f"disk-vol-{number}",
                detail=detail,
            )
        )
    return events


def named(events: list[CustodyEvent]) -> str:
    """What verification says about a broken chain."""
    with pytest.raises(CustodyChainError) as caught:
        verify_chain(events)
    return str(caught.value)


@given(st.lists(DETAILS, max_size=8))
def test_a_whole_chain_verifies_to_its_head(details: list[dict[str, Any]]) -> None:
    events = chain(details)
    assert verify_chain(events) == (events[-1].digest if events else GENESIS)


@given(st.lists(DETAILS, min_size=1, max_size=8))
def test_json_and_back_changes_no_digest(details: list[dict[str, Any]]) -> None:
    events = [CustodyEvent.model_validate_json(e.model_dump_json()) for e in chain(details)]
    assert verify_chain(events) == events[-1].digest


@given(st.data(), st.lists(DETAILS, min_size=2, max_size=8))
def test_a_deleted_event_is_named(data: st.DataObject, details: list[dict[str, Any]]) -> None:
    events = chain(details)
    gone = data.draw(st.integers(0, len(events) - 2))
    assert f"event {gone + 1} is missing" in named(events[:gone] + events[gone + 1 :])


@given(st.data(), st.lists(DETAILS, min_size=2, max_size=8))
def test_swapped_events_are_named(data: st.DataObject, details: list[dict[str, Any]]) -> None:
    events = chain(details)
    first = data.draw(st.integers(0, len(events) - 2))
    second = data.draw(st.integers(first + 1, len(events) - 1))
    events[first], events[second] = events[second], events[first]
    assert f"event {first + 1} is missing (found {second + 1}" in named(events)


@given(st.data(), st.lists(DETAILS, min_size=1, max_size=8))
def test_an_edited_event_is_named(data: st.DataObject, details: list[dict[str, Any]]) -> None:
    events = chain(details)
    number = data.draw(st.integers(0, len(events) - 1))
    change = data.draw(
        st.sampled_from(
            [
                {"actor": "somebody else"},
                {"action": CustodyAction.CASE_CLOSED},
                {"at": NOW},
                {"evidence_id": None},
                {"detail": {"added": True}},
                {"digest": "f" * 64},
            ]
        )
    )
    events[number] = events[number].model_copy(update=change)
    assert f"event {number + 1} was changed" in named(events)


@given(st.data(), st.lists(DETAILS, min_size=2, max_size=8))
def test_an_edit_with_a_new_digest_breaks_the_next_link(data: st.DataObject, details: list[dict[str, Any]]) -> None:
    events = chain(details)
    number = data.draw(st.integers(0, len(events) - 2))
    forged = events[number].model_copy(update={"actor": "somebody else"})
    events[number] = forged.model_copy(update={"digest": event_digest(forged.model_dump(mode="json"))})
    assert f"event {number + 2} does not follow" in named(events)


def test_a_cut_tail_verifies_so_that_only_the_signed_head_proves_the_length() -> None:
    events = chain([{}, {}, {}])
    assert verify_chain(events[:2]) == events[1].digest != verify_chain(events)


def test_canonical_form_is_rfc_8785() -> None:
    assert canonical({"b": 1.0, "a": "\u20ac", "1": [True, None]}) == '{"1":[true,null],"a":"\u20ac","b":1}'.encode()


def test_the_digest_covers_every_field_but_itself() -> None:
    event = chain([{"x": 1}])[0].model_dump(mode="json")
    without = {k: v for k, v in event.items() if k != "digest"}
    assert event["digest"] == hashlib.sha256(canonical(without)).hexdigest()
    assert set(without) == set(CustodyEvent.model_fields) - {"digest"}
