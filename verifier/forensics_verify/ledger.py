"""The custody ledger: one event a line, each holding the digest of the one before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from forensics_verify.canonical import NotCanonicalError, dumps, parse
from forensics_verify.problems import Findings

GENESIS = "0" * 64


def digest_of(event: dict[str, Any]) -> str:
    """SHA-256 over the canonical event without its own ``digest``."""
    return hashlib.sha256(dumps({k: v for k, v in event.items() if k != "digest"})).hexdigest()


def read(data: bytes, *, findings: Findings) -> list[dict[str, Any]]:
    """The events of ``ledger.jsonl``; lines that are not events are problems and end the reading."""
    events: list[dict[str, Any]] = []
    lines = data.split(b"\n")
    if lines.pop() != b"":
        findings.wrong(f"ledger event {len(lines) + 1}", "its line does not end: the ledger was cut off")
    for number, line in enumerate(lines, start=1):
        try:
            event = parse(line)
        except NotCanonicalError as error:
            findings.wrong(f"ledger event {number}", f"was changed after it was written ({error})")
            return events
        if not isinstance(event, dict) or not isinstance(event.get("seq"), int):
            findings.wrong(f"ledger event {number}", "is not an event")
            return events
        events.append(event)
    return events


def check_chain(events: list[dict[str, Any]], *, case_id: str, findings: Findings) -> list[str]:
    """Check every link; returns the digest of each event as it must be, up to the first wrong one."""
    digests: list[str] = []
    previous = GENESIS
    for number, event in enumerate(events, start=1):
        wrong = _wrong(event, number=number, previous=previous, case_id=case_id)
        if wrong:
            findings.wrong(f"ledger event {number}", wrong)
            return digests
        previous = str(event["digest"])
        digests.append(previous)
    findings.right("ledger events in an unbroken chain", len(events))
    return digests


def _wrong(event: dict[str, Any], *, number: int, previous: str, case_id: str) -> str | None:
    if event["seq"] != number:
        return f"is missing or moved: event {event['seq']} is in its place"
    if event.get("case_id") != case_id:
        return f"belongs to another case ({event.get('case_id')})"
    if digest_of(event) != event.get("digest"):
        return "was changed after it was written: its digest does not fit its content"
    if event.get("previous") != previous:
        return "does not follow the event before it: one of the two was exchanged"
    return None


def stated(event: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(S3 URI, SHA-256) of every object that an event speaks of, wherever in it that is."""
    waiting: list[Any] = [event]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            uri, sha256 = value.get("uri"), value.get("sha256")
            if isinstance(uri, str) and isinstance(sha256, str) and uri.startswith("s3://"):
                yield uri, sha256
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def compared(event: dict[str, Any]) -> list[tuple[str, str]]:
    """(what was hashed, SHA-256) of an event that says that digests were compared and found equal."""
    if event.get("action") != "EVIDENCE_VERIFIED":
        return []
    facts = event.get("facts")
    digests = facts.get("digests") if isinstance(facts, dict) else None
    return [
        (str(d.get("subject")), str(d.get("value")))
        for d in digests or []
        if isinstance(d, dict) and d.get("algorithm", "sha256") == "sha256"
    ]
