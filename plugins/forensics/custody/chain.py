"""The custody chain: canonical bytes, the next link, verification.

Canonical JSON is RFC 8785; digests are SHA-256 in lower-case hex. The first link's ``previous`` is 64 zeros.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import rfc8785
from pydantic import JsonValue

from forensics.errors import CustodyChainError
from forensics.models.custody import CustodyAction, CustodyEvent, CustodyFacts
from forensics.models.evidence import Digest

GENESIS = "0" * 64


def canonical(value: object) -> bytes:
    """RFC 8785 bytes of a JSON value; raises ``rfc8785.CanonicalizationError`` for anything that JSON does not have."""
    return rfc8785.dumps(value)  # type: ignore[arg-type]  # its own type for JSON is private


def event_digest(event: Mapping[str, object]) -> str:
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
    detail: Mapping[str, object] | None = None,
    facts: CustodyFacts | None = None,
) -> CustodyEvent:
    """Make the link that follows ``previous``."""
    # What is stated is written out (also "sha256", a default); what is not stated is left out.
    plain = {k: v for k, v in facts.model_dump(mode="json").items() if v} if facts else {}
    said = {"facts": CustodyFacts.model_validate(plain)} if plain else {}
    draft = CustodyEvent(
        case_id=case_id,
        seq=seq,
        previous=previous,
        action=action,
        actor=actor,
        at=at,
        evidence_id=evidence_id,
        detail=dict(detail or {}),
        digest=GENESIS,
        **said,
    )
    return draft.model_copy(update={"digest": event_digest(stored_form(draft))})


def stored_form(event: CustodyEvent) -> dict[str, JsonValue]:
    """An event as it is stored and hashed: the fields that it was written with, and no defaults of newer versions."""
    return event.as_stored()


def stated_digests(event: object) -> Iterator[tuple[str, str]]:
    """(S3 URI, SHA-256) of every object that an event speaks of: any JSON object in it with ``uri`` and ``sha256``."""
    waiting: list[object] = [event]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            uri, sha256 = value.get("uri"), value.get("sha256")
            if isinstance(uri, str) and isinstance(sha256, str) and uri.startswith("s3://"):
                yield uri, sha256
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


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
        if event_digest(stored_form(event)) != event.digest:
            msg = f"custody ledger of {event.case_id}: event {event.seq} was changed after it was written"
            raise CustodyChainError(msg)
        previous = event.digest
    return previous


def facts_of(detail: Mapping[str, object]) -> CustodyFacts:
    """The facts that an event's detail holds, lifted into their fixed places.

    Steps write ``uri``, ``version_id``, ``bytes``, ``sha256``, ``snapshot_id``, ``volume_id``, ``instance_id``,
    ``document`` (or ``document_sha256``), ``tool`` and ``outcome`` into ``detail``; readers look here.
    """
    places = ("uri", "version_id", "snapshot_id", "copy_id", "volume_id", "instance_id", "command_id")
    sha256, size, tool = detail.get("sha256"), detail.get("bytes"), detail.get("tool")
    document = _texts(detail.get("document"))
    if detail.get("document_sha256"):
        document["sha256"] = str(detail["document_sha256"])
    result = detail.get("outcome") or detail.get("status")
    found: dict[str, object] = {
        "location": {name: detail[name] for name in places if detail.get(name)},
        "digests": (_of_object(sha256),) if isinstance(sha256, str) else (),
        "size_bytes": size if isinstance(size, int) else None,
        "document": document,
        "tool": _texts(tool),
        "result": str(result) if result else None,
    }
    return CustodyFacts.model_validate({name: value for name, value in found.items() if value})


def _of_object(sha256: str) -> Digest:
    return Digest(value=sha256, subject="the object named in location", source="control-plane")


def _texts(value: object) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}
