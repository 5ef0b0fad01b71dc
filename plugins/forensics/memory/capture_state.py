"""The states of a memory capture and the only transitions between them. Pure.

A state is not stored: it follows from the evidence item, which every attempt reads again. So whatever process was killed, the
next one finds the capture in exactly one of these states.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from forensics.errors import MemoryCaptureError
from forensics.models.evidence import MemoryEvidence, Outcome


class CaptureState(StrEnum):
    """Where the capture of a target's memory stands."""

    NOT_STARTED = "NOT_STARTED"  # nothing is recorded
    PREPARED = "PREPARED"  # the upload is recorded; whether the command was sent is not known
    RUNNING = "RUNNING"  # a command is recorded and its result has not been read
    INTERRUPTED = "INTERRUPTED"  # a command ended before the image did; the next one continues behind what landed
    LANDED = "LANDED"  # the upload is complete; verification follows
    VERIFIED = "VERIFIED"  # in the evidence store, every check passed
    PARTIAL_IMAGE = "PARTIAL_IMAGE"  # in the evidence store, not every check passed
    IMAGE_FAILED = "IMAGE_FAILED"  # an image landed, but it is unusable or a step after that failed
    PROCESSES_ONLY = "PROCESSES_ONLY"  # no image; the live response has the memory of single processes
    NOT_TAKEN = "NOT_TAKEN"  # not wanted, or not possible on this target
    FAILED = "FAILED"  # no image: the capture was given up

    @property
    def has_image(self) -> bool:
        """Whether an image of all memory has landed, whatever its verification said or will say."""
        return self in _WITH_IMAGE


_WITH_IMAGE = frozenset(
    {CaptureState.LANDED, CaptureState.VERIFIED, CaptureState.PARTIAL_IMAGE, CaptureState.IMAGE_FAILED}
)


class CaptureEvent(StrEnum):
    """What changes the state of a capture."""

    PREPARE = "PREPARE"  # record the upload of the next command
    SEND = "SEND"  # the command was sent
    ADOPT = "ADOPT"  # an earlier attempt's command was found on the target
    INTERRUPT = "INTERRUPT"  # the command ended before the image did
    LAND = "LAND"  # the command ended well and its upload is complete
    PASS = "PASS"  # every check of the verification passed
    QUALIFY = "QUALIFY"  # usable with reservations: not every check passed
    REJECT = "REJECT"  # the verification failed, or the image is unusable
    DECLINE = "DECLINE"  # no image is taken, for a reason
    GIVE_UP = "GIVE_UP"  # the last attempt of the capture failed
    TAKE_PROCESSES = "TAKE_PROCESSES"  # the live response took single processes instead


_S, _E = CaptureState, CaptureEvent

# What is not here is refused. A cleared task may capture again from any state but VERIFIED and LANDED; what was had before is
# replaced by a new upload only, never by an attempt that gets nothing (no DECLINE or GIVE_UP from PARTIAL_IMAGE …).
TRANSITIONS: Mapping[tuple[CaptureState, CaptureEvent], CaptureState] = {
    (_S.NOT_STARTED, _E.PREPARE): _S.PREPARED,
    (_S.NOT_STARTED, _E.DECLINE): _S.NOT_TAKEN,
    (_S.NOT_STARTED, _E.GIVE_UP): _S.FAILED,
    (_S.PREPARED, _E.PREPARE): _S.PREPARED,
    (_S.PREPARED, _E.SEND): _S.RUNNING,
    (_S.PREPARED, _E.ADOPT): _S.RUNNING,
    (_S.PREPARED, _E.DECLINE): _S.NOT_TAKEN,
    (_S.PREPARED, _E.GIVE_UP): _S.FAILED,
    (_S.RUNNING, _E.ADOPT): _S.RUNNING,
    (_S.RUNNING, _E.INTERRUPT): _S.INTERRUPTED,
    (_S.RUNNING, _E.LAND): _S.LANDED,
    (_S.RUNNING, _E.GIVE_UP): _S.FAILED,
    (_S.INTERRUPTED, _E.PREPARE): _S.PREPARED,
    (_S.INTERRUPTED, _E.ADOPT): _S.RUNNING,
    (_S.INTERRUPTED, _E.DECLINE): _S.NOT_TAKEN,
    (_S.INTERRUPTED, _E.GIVE_UP): _S.FAILED,
    (_S.LANDED, _E.PASS): _S.VERIFIED,
    (_S.LANDED, _E.QUALIFY): _S.PARTIAL_IMAGE,
    (_S.LANDED, _E.REJECT): _S.IMAGE_FAILED,
    (_S.LANDED, _E.GIVE_UP): _S.IMAGE_FAILED,
    (_S.PARTIAL_IMAGE, _E.PREPARE): _S.PREPARED,
    (_S.PARTIAL_IMAGE, _E.PASS): _S.VERIFIED,
    (_S.PARTIAL_IMAGE, _E.QUALIFY): _S.PARTIAL_IMAGE,
    (_S.PARTIAL_IMAGE, _E.REJECT): _S.IMAGE_FAILED,
    (_S.IMAGE_FAILED, _E.PREPARE): _S.PREPARED,
    (_S.IMAGE_FAILED, _E.PASS): _S.VERIFIED,
    (_S.IMAGE_FAILED, _E.QUALIFY): _S.PARTIAL_IMAGE,
    (_S.IMAGE_FAILED, _E.REJECT): _S.IMAGE_FAILED,
    (_S.PROCESSES_ONLY, _E.PREPARE): _S.PREPARED,
    (_S.NOT_TAKEN, _E.PREPARE): _S.PREPARED,
    (_S.NOT_TAKEN, _E.DECLINE): _S.NOT_TAKEN,
    (_S.NOT_TAKEN, _E.GIVE_UP): _S.FAILED,
    (_S.NOT_TAKEN, _E.TAKE_PROCESSES): _S.PROCESSES_ONLY,
    (_S.FAILED, _E.PREPARE): _S.PREPARED,
    (_S.FAILED, _E.DECLINE): _S.NOT_TAKEN,
    (_S.FAILED, _E.GIVE_UP): _S.FAILED,
    (_S.FAILED, _E.TAKE_PROCESSES): _S.PROCESSES_ONLY,
}


class CaptureStateError(MemoryCaptureError):
    """A step wants what is not possible in the capture's state."""

    retryable = False


def state_of(evidence: MemoryEvidence | None) -> CaptureState:
    """The state that a memory item is in; raises :class:`CaptureStateError` for an outcome that memory does not have."""
    if evidence is None:
        return CaptureState.NOT_STARTED
    landed = evidence.origin.claims is not None
    match evidence.outcome:
        case Outcome.PENDING:
            return _pending(evidence, landed=landed)
        case Outcome.ACQUIRED:
            return CaptureState.VERIFIED
        case Outcome.PARTIAL:
            return CaptureState.PARTIAL_IMAGE if landed else CaptureState.PROCESSES_ONLY
        case Outcome.FAILED:
            return CaptureState.IMAGE_FAILED if landed else CaptureState.FAILED
        case Outcome.NOT_APPLICABLE | Outcome.SKIPPED:
            return CaptureState.NOT_TAKEN
        case Outcome.DONE:
            msg = (
                f"{evidence.evidence_id} is recorded as {evidence.outcome.value}, which is not an outcome of a capture"
            )
            raise CaptureStateError(msg, next_action="look at the case store: this release does not write that")


def _pending(evidence: MemoryEvidence, *, landed: bool) -> CaptureState:
    origin = evidence.origin
    if landed:
        return CaptureState.LANDED
    if origin.attempt_failed:
        return CaptureState.INTERRUPTED
    return CaptureState.RUNNING if origin.command_id else CaptureState.PREPARED


def allows(state: CaptureState, event: CaptureEvent) -> bool:
    """Whether the event is possible in the state."""
    return (state, event) in TRANSITIONS


def next_state(state: CaptureState, event: CaptureEvent) -> CaptureState:
    """The state after an event; raises :class:`CaptureStateError` for a transition that is not in the table."""
    if not allows(state, event):
        possible = ", ".join(e.value for s, e in TRANSITIONS if s is state) or "nothing"
        msg = f"the memory capture is {state.value}: {event.value} is not possible (possible: {possible})"
        raise CaptureStateError(
            msg, next_action="look at the memory item of the case; clear memory.capture_memory to capture again"
        )
    return TRANSITIONS[state, event]


# What an event itself changes in the item and in its origin.
_OUTCOMES: Mapping[CaptureEvent, Outcome] = {
    CaptureEvent.PASS: Outcome.ACQUIRED,
    CaptureEvent.QUALIFY: Outcome.PARTIAL,
    CaptureEvent.REJECT: Outcome.FAILED,
    CaptureEvent.GIVE_UP: Outcome.FAILED,
    CaptureEvent.TAKE_PROCESSES: Outcome.PARTIAL,
}
_ATTEMPT_FAILED: Mapping[CaptureEvent, bool] = {
    CaptureEvent.SEND: False,
    CaptureEvent.ADOPT: False,
    CaptureEvent.INTERRUPT: True,
}


def advance(
    known: MemoryEvidence, event: CaptureEvent, *, origin: Mapping[str, object] | None = None, **changes: object
) -> MemoryEvidence:
    """The item after an event, with other changes of its fields and of its origin.

    Raises :class:`CaptureStateError` for a transition that is not in the table, and when the changes lead elsewhere.
    """
    expected = next_state(state_of(known), event)
    outcome = {"outcome": _OUTCOMES[event]} if event in _OUTCOMES else {}
    attempt = {"attempt_failed": _ATTEMPT_FAILED[event]} if event in _ATTEMPT_FAILED else {}
    made = known.model_copy(
        update={**changes, **outcome, "origin": known.origin.model_copy(update={**(origin or {}), **attempt})}
    )
    return checked(made, expected=expected, event=event)


def replaced(known: MemoryEvidence | None, event: CaptureEvent, made: MemoryEvidence) -> MemoryEvidence:
    """``made`` in place of the item that is known: a new upload, or the record that none is made. Raises as ``advance``."""
    return checked(made, expected=next_state(state_of(known), event), event=event)


def checked(made: MemoryEvidence, *, expected: CaptureState, event: CaptureEvent) -> MemoryEvidence:
    """The item, if it is in the state that the event leads to."""
    if (found := state_of(made)) is not expected:
        msg = f"after {event.value} the memory item of this capture would be {found.value}, not {expected.value}"
        raise CaptureStateError(msg, next_action="this is a fault of the step: nothing was recorded")
    return made
