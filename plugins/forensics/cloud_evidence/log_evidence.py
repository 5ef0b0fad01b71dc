"""How records of an account's logs become evidence: stored with the list of their sources, locked, entered in the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from forensics.aws.s3 import StoredObject
from forensics.case.adoption import record_stored
from forensics.case.recorder import CaseRecorder
from forensics.cloud_evidence.record_window import RecordWindow, record_window
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.evidence import EvidenceKind, LogEvidence, Outcome, StoredFact
from forensics.naming import evidence_key
from forensics.printable import count
from forensics.settings import Settings

L = TypeVar("L", bound=LogEvidence)


def case_window(recorder: CaseRecorder, settings: Settings, since: datetime | None) -> RecordWindow:
    """The time for which the case's records are collected, from ``since`` on where that is earlier than usual."""
    margin = settings.record_margin_hours
    return record_window(recorder.case, recorder.findings(), margin_hours=margin, now=datetime.now(UTC), since=since)


def run_name(began: datetime) -> str:
    """The folder of one collection; a step that was cleared begins another."""
    return f"{began:%Y%m%dT%H%M%S.%fZ}"


def store_records(
    recorder: CaseRecorder, kind: EvidenceKind, item: str, *, run: str, name: str, chunks: Iterator[bytes]
) -> StoredObject:
    """Write the records; what a try that died has written stays."""
    key = evidence_key(recorder.case_id, kind, item=item, name=f"{run}/{name}")
    stored = recorder.gateways.evidence.put_stream(key, chunks, adopt=True)
    record_stored(recorder, stored, evidence_id=item)
    return stored


def store_sources(
    recorder: CaseRecorder, kind: EvidenceKind, item: str, *, run: str, sources: Mapping[str, object]
) -> StoredFact:
    """Write the list of what was read: each object with version, size and digest, and what became of it."""
    body = json.dumps({"schema": "forensics.log-sources/1", **sources}, indent=1, sort_keys=True).encode()
    key = evidence_key(recorder.case_id, kind, item=item, name=f"{run}/sources.json")
    stored, _ = recorder.gateways.evidence.put_first(key, body, content_type="application/json")
    record_stored(recorder, stored, evidence_id=item)
    return StoredFact(key=stored.key, sha256=stored.sha256, bytes=stored.size_bytes)


def enter(recorder: CaseRecorder, evidence: L, stored: StoredObject, *, what: str) -> L:
    """Record a collection in ledger and timeline, and then in the case: with its state a step is done."""
    origin, item = evidence.origin, evidence.evidence_id
    detail = {
        "uri": stored.uri, "version_id": stored.version_id, "bytes": stored.size_bytes, "sha256": stored.sha256,
        "outcome": evidence.outcome.value, "records": origin.records, "objects": origin.objects, "source": origin.source,
    }  # fmt: skip
    recorder.custody(CustodyAction.EVIDENCE_ACQUIRED, evidence_id=item, detail=detail, once=f"acquired-{stored.key}")
    lock = dict(evidence.lock)
    recorder.custody(CustodyAction.EVIDENCE_LOCKED, evidence_id=item, detail=lock, once=f"locked-{stored.key}")
    remark = f"; {evidence.reason}" if evidence.reason else ""
    read = f"({count(origin.objects or 0, 'object')} read)"
    said = f"{count(origin.records or 0, 'record')} of {what} {read}{remark}"[:900]
    recorder.note(said, kind=TimelineKind.EVIDENCE, evidence_id=item)
    return recorder.save_evidence(evidence)


def give_up(recorder: CaseRecorder, evidence: LogEvidence, cause: str, *, outcome: Outcome = Outcome.FAILED) -> None:
    """Record why there are no records; the rest of the case goes on without them."""
    known = recorder.evidence_item(evidence.evidence_id)
    if known is None or known.outcome not in {Outcome.ACQUIRED, Outcome.PARTIAL}:
        recorder.fail_evidence(evidence, reason=cause, outcome=outcome)
