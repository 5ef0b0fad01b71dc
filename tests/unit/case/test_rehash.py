"""Stored evidence is hashed again before anything reads it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from forensics.aws.s3_archive import EvidenceArchive, StoredVersion
from forensics.case.rehash import rehash
from forensics.errors import DigestMismatchError
from forensics.models.custody import CustodyAction
from forensics.models.evidence import LIST_SUBJECT, Digest, MemoryEvidence, Outcome
from tests.unit.builders import INSTANCE
from tests.unit.recorders import FakeRecorder

BODY = b"image" * 1000
SHA = hashlib.sha256(BODY).hexdigest()


class Archive(EvidenceArchive):
    """An evidence bucket with one object."""

    def __init__(self, body: bytes = BODY) -> None:
        self.bucket = "evidence"
        self.body = body
        self.read: list[StoredVersion] = []

    def stream(self, version: StoredVersion, *, chunk: int = 1000) -> Iterator[bytes]:
        """The bytes in pieces."""
        self.read.append(version)
        yield from (self.body[n : n + chunk] for n in range(0, len(self.body), chunk))


def memory(*digests: Digest, **changes: Any) -> MemoryEvidence:
    """An acquired image."""
    values: dict[str, Any] = {"uri": "s3://evidence/cases/c/m", "version_id": "v7", "digests": digests}
    return MemoryEvidence(evidence_id=f"memory-{INSTANCE}", outcome=Outcome.ACQUIRED, **{**values, **changes})


STREAM = Digest(value=SHA, subject="the stream", source="target")
LIST = Digest(value="0" * 64, subject=LIST_SUBJECT, source="target")


def test_equal_digests_are_recorded_once_an_hour() -> None:
    recorder, archive = FakeRecorder(step="analyse"), Archive()
    assert rehash(archive, recorder, memory(STREAM, LIST)) == SHA
    rehash(archive, recorder, memory(STREAM, LIST))
    (event,) = recorder.ledger.events(recorder.case_id)
    assert event.action is CustodyAction.EVIDENCE_VERIFIED and event.facts and event.facts.result == "equal"
    assert [d.value for d in event.facts.digests] == [SHA, SHA], "the digest of the list of parts is of other bytes"
    assert (archive.read[0].key, archive.read[0].version_id) == ("cases/c/m", "v7")


def test_other_bytes_are_refused_with_both_digests() -> None:
    recorder = FakeRecorder()
    with pytest.raises(DigestMismatchError, match=f"but target said {SHA} for the stream"):
        rehash(Archive(BODY + b"."), recorder, memory(STREAM))
    assert recorder.ledger.events(recorder.case_id) == []


@pytest.mark.parametrize(
    "item",
    [memory(), memory(STREAM, uri=None), memory(STREAM, uri="s3://elsewhere/m")],
    ids=["digest", "uri", "bucket"],
)
def test_what_cannot_be_verified_is_refused(item: MemoryEvidence) -> None:
    with pytest.raises(DigestMismatchError, match="it cannot be verified"):
        rehash(Archive(), FakeRecorder(), item)
