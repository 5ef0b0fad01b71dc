"""The states of a memory capture: every pair of state and event, and that no sequence of events leaves the table."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.errors import ForensicsError
from forensics.memory.capture_state import (
    TRANSITIONS,
    CaptureEvent,
    CaptureState,
    CaptureStateError,
    advance,
    allows,
    next_state,
    replaced,
    state_of,
)
from forensics.models.evidence import MemoryEvidence, MemoryOrigin, Outcome, read_evidence
from forensics.models.status_lines import CaptureStatus

S, E = CaptureState, CaptureEvent
CLAIMS = CaptureStatus(status="ok", bytes=4096, list_sha256="b" * 64, encoding="none")


def item(outcome: Outcome, **origin: Any) -> MemoryEvidence:
    return MemoryEvidence(evidence_id="memory-i-1", outcome=outcome, origin=MemoryOrigin(**origin))


UPLOAD = {"landing_prefix": "p", "upload_id": "u"}
# Each state as the case store holds it.
ITEMS: dict[CaptureState, MemoryEvidence | None] = {
    S.NOT_STARTED: None,
    S.PREPARED: item(Outcome.PENDING, **UPLOAD),
    S.RUNNING: item(Outcome.PENDING, **UPLOAD, command_id="c"),
    S.INTERRUPTED: item(Outcome.PENDING, **UPLOAD, command_id="c", attempt_failed=True),
    S.LANDED: item(Outcome.PENDING, **UPLOAD, command_id="c", claims=CLAIMS),
    S.VERIFIED: item(Outcome.ACQUIRED, claims=CLAIMS),
    S.PARTIAL_IMAGE: item(Outcome.PARTIAL, claims=CLAIMS),
    S.IMAGE_FAILED: item(Outcome.FAILED, claims=CLAIMS),
    S.PROCESSES_ONLY: item(Outcome.PARTIAL),
    S.NOT_TAKEN: item(Outcome.NOT_APPLICABLE),
    S.FAILED: item(Outcome.FAILED, **UPLOAD, command_id="c", attempt_failed=True),
}

# Written down a second time, by event, so that a slip in the table is seen: from these states, to that one.
ALLOWED: dict[CaptureEvent, dict[CaptureState, CaptureState]] = {
    E.PREPARE: dict.fromkeys(set(S) - {S.RUNNING, S.LANDED, S.VERIFIED}, S.PREPARED),
    E.SEND: {S.PREPARED: S.RUNNING},
    E.ADOPT: dict.fromkeys((S.PREPARED, S.RUNNING, S.INTERRUPTED), S.RUNNING),
    E.INTERRUPT: {S.RUNNING: S.INTERRUPTED},
    E.LAND: {S.RUNNING: S.LANDED},
    E.PASS: dict.fromkeys((S.LANDED, S.PARTIAL_IMAGE, S.IMAGE_FAILED), S.VERIFIED),
    E.QUALIFY: dict.fromkeys((S.LANDED, S.PARTIAL_IMAGE, S.IMAGE_FAILED), S.PARTIAL_IMAGE),
    E.REJECT: dict.fromkeys((S.LANDED, S.PARTIAL_IMAGE, S.IMAGE_FAILED), S.IMAGE_FAILED),
    E.DECLINE: dict.fromkeys((S.NOT_STARTED, S.PREPARED, S.INTERRUPTED, S.NOT_TAKEN, S.FAILED), S.NOT_TAKEN),
    E.GIVE_UP: {
        **dict.fromkeys((S.NOT_STARTED, S.PREPARED, S.RUNNING, S.INTERRUPTED, S.NOT_TAKEN, S.FAILED), S.FAILED),
        S.LANDED: S.IMAGE_FAILED,
    },
    E.TAKE_PROCESSES: dict.fromkeys((S.NOT_TAKEN, S.FAILED), S.PROCESSES_ONLY),
}
PAIRS = list(product(S, E))


@pytest.mark.parametrize("state", S)
def test_each_state_is_read_from_the_item(state: CaptureState) -> None:
    assert state_of(ITEMS[state]) is state


def test_a_plan_that_wants_no_memory_is_the_same_state_as_a_target_that_gives_none() -> None:
    assert state_of(item(Outcome.SKIPPED)) is S.NOT_TAKEN


def test_an_outcome_that_memory_does_not_have_is_refused() -> None:
    with pytest.raises(CaptureStateError, match="memory-i-1 is recorded as DONE"):
        state_of(item(Outcome.DONE))


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_every_transition(state: CaptureState, event: CaptureEvent) -> None:
    expected = ALLOWED[event].get(state)
    assert allows(state, event) is (expected is not None)
    if expected is not None:
        assert next_state(state, event) is expected
        return
    with pytest.raises(CaptureStateError) as refused:
        next_state(state, event)
    error = refused.value
    assert error.message.startswith(f"the memory capture is {state.value}: {event.value} is not possible (possible: ")
    assert error.next_action == "look at the memory item of the case; clear memory.capture_memory to capture again"
    assert isinstance(error, ForensicsError) and not error.retryable


def test_a_refusal_names_what_is_possible() -> None:
    with pytest.raises(CaptureStateError, match=r"possible: ADOPT, INTERRUPT, LAND, GIVE_UP\)"):
        next_state(S.RUNNING, E.PASS)
    with pytest.raises(CaptureStateError, match=r"possible: nothing\)"):
        next_state(S.VERIFIED, E.PREPARE)


CHANGES: dict[CaptureEvent, dict[str, object]] = {
    E.SEND: {"command_id": "sent"},
    E.ADOPT: {"command_id": "adopted"},
    E.LAND: {"claims": CLAIMS},
}


def after(known: MemoryEvidence | None, event: CaptureEvent) -> MemoryEvidence:
    """What the services make of an item when the event happens."""
    if event is E.PREPARE:
        return replaced(known, event, item(Outcome.PENDING, **UPLOAD))
    if event is E.DECLINE:
        return replaced(known, event, item(Outcome.NOT_APPLICABLE))
    if known is None:
        return replaced(known, event, item(Outcome.FAILED))
    return advance(known, event, origin=CHANGES.get(event))


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_an_item_changes_as_the_table_says_or_not_at_all(state: CaptureState, event: CaptureEvent) -> None:
    expected = ALLOWED[event].get(state)
    if expected is None:
        with pytest.raises(CaptureStateError):
            after(ITEMS[state], event)
    else:
        assert state_of(after(ITEMS[state], event)) is expected


def test_changes_that_lead_elsewhere_are_refused() -> None:
    running = ITEMS[S.RUNNING]
    assert running
    with pytest.raises(
        CaptureStateError, match="after LAND the memory item of this capture would be RUNNING, not LANDED"
    ):
        advance(running, E.LAND)
    with pytest.raises(CaptureStateError, match="would be RUNNING, not PREPARED"):
        replaced(None, E.PREPARE, running)


def test_an_adopted_command_is_no_longer_a_failed_attempt() -> None:
    known = ITEMS[S.INTERRUPTED]
    assert known
    adopted = advance(known, E.ADOPT, origin={"command_id": "found"})
    assert (adopted.origin.attempt_failed, adopted.origin.command_id) == (False, "found")


def test_other_fields_change_with_the_event() -> None:
    known = ITEMS[S.LANDED]
    assert known
    qualified = advance(known, E.QUALIFY, origin={"method": "avml"}, reason="content: empty", uri="s3://e/k")
    assert (qualified.outcome, qualified.reason, qualified.uri) == (Outcome.PARTIAL, "content: empty", "s3://e/k")
    assert (qualified.origin.method, qualified.origin.upload_id) == ("avml", "u")


@given(st.lists(st.sampled_from(list(E)), max_size=40))
def test_no_sequence_of_events_leaves_the_table(events: list[CaptureEvent]) -> None:
    """Whatever happens, the item is in the state that the table names, before and after it was stored."""
    known, state = None, S.NOT_STARTED
    for event in events:
        if not allows(state, event):
            with pytest.raises(CaptureStateError):
                next_state(state, event)
            continue
        expected = TRANSITIONS[state, event]
        known = after(known, event)
        stored = read_evidence(known.model_dump(mode="json"))
        assert isinstance(stored, MemoryEvidence)
        assert state_of(known) is state_of(stored) is expected
        known, state = stored, expected


def test_every_state_but_the_first_is_reached_and_only_a_verified_image_is_final() -> None:
    assert set(TRANSITIONS.values()) == set(S) - {S.NOT_STARTED}
    assert {s for s in S if not any(known is s for known, _ in TRANSITIONS)} == {S.VERIFIED}


@pytest.mark.parametrize("state", S)
def test_has_image_follows_what_landed(state: CaptureState) -> None:
    known = ITEMS[state]
    assert state.has_image is (known is not None and known.origin.claims is not None)
