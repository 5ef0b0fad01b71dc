"""The chain: whatever is deleted, moved or edited, verification names the first event that is wrong."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.custody.chain import (
    GENESIS,
    canonical,
    event_digest,
    facts_of,
    next_event,
    stated_digests,
    stored_form,
    verify_chain,
)
from forensics.errors import CustodyChainError
from forensics.models.custody import CustodyAction, CustodyEvent
from tests.unit.builders import CASE_ID, NOW

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
    events[number] = forged.model_copy(update={"digest": event_digest(stored_form(forged))})
    assert f"event {number + 2} does not follow" in named(events)


def test_a_cut_tail_verifies_so_that_only_the_signed_head_proves_the_length() -> None:
    events = chain([{}, {}, {}])
    assert verify_chain(events[:2]) == events[1].digest != verify_chain(events)


def test_canonical_form_is_rfc_8785() -> None:
    assert canonical({"b": 1.0, "a": "\u20ac", "1": [True, None]}) == '{"1":[true,null],"a":"\u20ac","b":1}'.encode()


def test_the_digest_covers_every_field_but_itself() -> None:
    event = stored_form(chain([{"x": 1}])[0])
    without = {k: v for k, v in event.items() if k != "digest"}
    assert event["digest"] == hashlib.sha256(canonical(without)).hexdigest()
    assert set(without) == set(CustodyEvent.model_fields) - {"digest", "facts"}


def test_an_event_written_before_a_field_existed_keeps_its_digest() -> None:
    old = {
        "case_id": CASE_ID, "seq": 1, "previous": GENESIS, "action": "CASE_OPENED", "actor": "a",
        "at": "2026-01-01T00:00:00.000000Z", "evidence_id": None, "detail": {},
    }  # fmt: skip
    old["digest"] = hashlib.sha256(canonical(old)).hexdigest()
    assert verify_chain([CustodyEvent.model_validate(old)]) == old["digest"]


def test_facts_are_lifted_from_the_detail_and_covered_by_the_digest() -> None:
    detail = {
        "uri": "s3://b/k",
        "version_id": "v",
        "bytes": 3,
        "sha256": "a" * 64,
        "document_sha256": "d",
        "outcome": "ACQUIRED",
    }
    facts = facts_of(detail)
    event = next_event(
        case_id=CASE_ID, seq=1, previous=GENESIS, action=CustodyAction.EVIDENCE_ACQUIRED, actor="a", at=NOW,
        detail=detail, facts=facts,
    )  # fmt: skip
    assert stored_form(event)["facts"] == {
        "location": {"uri": "s3://b/k", "version_id": "v"},
        "digests": [
            {"algorithm": "sha256", "value": "a" * 64, "subject": "the object named in location", "source": "control-plane"}
        ],
        "size_bytes": 3,
        "document": {"sha256": "d"},
        "result": "ACQUIRED",
    }  # fmt: skip
    forged = event.model_copy(update={"facts": facts.model_copy(update={"size_bytes": 4})})
    assert "event 1 was changed" in named([forged])


def test_digests_that_an_event_states_are_found_wherever_they_are() -> None:
    event = {
        "detail": {
            "html": {"uri": "s3://b/h", "sha256": "1"},
            "list": [{"uri": "s3://b/l", "sha256": "2"}],
            "uri": "arn:x",
        }
    }
    assert sorted(stated_digests(event)) == [("s3://b/h", "1"), ("s3://b/l", "2")]
