"""The custody chain: canonical bytes, the next link, verification.

Canonical JSON is RFC 8785; digests are SHA-256 in lower-case hex. The first link's ``previous`` is 64 zeros.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import rfc8785

from forensics.errors import CustodyChainError
from forensics.models.custody import CustodyAction, CustodyEvent

GENESIS = "0" * 64


def canonical(value: Any) -> bytes:
    """RFC 8785 bytes of a JSON value."""
    return rfc8785.dumps(value)


def event_digest(event: dict[str, Any]) -> str:
    """Digest of an event's JSON form without its own ``digest``."""
    return hashlib.sha256(canonical({k: v for k, v in event.items() if k != "digest"})).hexdigest()


def next_event(
    *,
    case_id: str,
    seq: int,
    previous: str,
    action: CustodyAction,
    actor: str,
    at: datetime,
    evidence_id: str | None = None,
    detail: dict[str, Any] | None = None,
) -> CustodyEvent:
    """Make the link that follows ``previous``."""
    draft = CustodyEvent(
        case_id=case_id,
        seq=seq,
        previous=previous,
        action=action,
        actor=actor,
        at=at,
        evidence_id=evidence_id,
        detail=detail or {},
        digest=GENESIS,
    )
    return draft.model_copy(update={"digest": event_digest(draft.model_dump(mode="json"))})


def verify_chain(events: Sequence[CustodyEvent]) -> str:
    """Return the head's digest, or raise :class:`CustodyChainError` naming the first bad sequence number."""
    previous = GENESIS
    for expected, event in enumerate(events, start=1):
        if event.seq != expected:
            msg = f"custody ledger of {event.case_id}: event {expected} is missing (found {event.seq} in its place)"
            raise CustodyChainError(msg)
        if event.previous != previous:
            msg = f"custody ledger of {event.case_id}: event {event.seq} does not follow the event before it"
            raise CustodyChainError(msg)
        if event_digest(event.model_dump(mode="json")) != event.digest:
            msg = f"custody ledger of {event.case_id}: event {event.seq} was changed after it was written"
            raise CustodyChainError(msg)
        previous = event.digest
    return previous
