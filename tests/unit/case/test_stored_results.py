"""Results are those whose digest the case recorded; a page that was loaded before asks for none again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from forensics.case.stored_results import KeptResults, stored_results
from forensics.case.view import read_view
from forensics.errors import DigestMismatchError
from forensics.models.case import TimelineKind
from forensics.models.results import StoredArtifact, ToolResults
from tests.unit.builders import CASE_ID, INSTANCE, NOW, investigation
from tests.unit.recorders import EvidenceInMemory, FakeRecorder

MEMORY = f"memory-{INSTANCE}"


class CountingStore(EvidenceInMemory):
    """Counts the objects that are read."""

    reads = 0

    def stream(self, key: str) -> Iterator[bytes]:
        self.reads += 1
        return super().stream(key)


def put(store: EvidenceInMemory, name: str, *, tool: str = "memory") -> StoredArtifact:
    """Results that are stored."""
    made = ToolResults(
        schema="forensics.results/1", case_id=CASE_ID, evidence_id=MEMORY, tool=tool, started=NOW, ended=NOW
    )
    stored = store.put(f"cases/{CASE_ID}/{name}.json", made.model_dump_json(by_alias=True).encode())
    return StoredArtifact(uri=stored.uri, sha256=stored.sha256, bytes=stored.size_bytes)


def test_other_bytes_than_those_recorded_are_no_results() -> None:
    store = CountingStore()
    artifact = put(store, "a")
    assert stored_results(store, artifact).tool == "memory"
    store.objects[f"cases/{CASE_ID}/a.json"] = store.objects[f"cases/{CASE_ID}/a.json"].replace(b"memory", b"elsewh")
    with pytest.raises(DigestMismatchError, match=r"a\.json has the SHA-256 .* is recorded"):
        stored_results(store, artifact)


def test_a_case_with_such_bytes_says_so_and_shows_none_of_them() -> None:
    recorder = FakeRecorder(step="test")
    artifact = put(recorder.evidence_store, "a")
    recorder.put("RESULT#a", investigation(MEMORY).model_copy(update={"artifacts": {"results": artifact}}))
    recorder.evidence_store.objects[f"cases/{CASE_ID}/a.json"] += b" "
    view = read_view(recorder.store, recorder.evidence_store, CASE_ID)
    assert view is not None and view.results == ()
    assert ["SHA-256" in entry.what for entry in view.timeline if entry.kind is TimelineKind.FAILURE] == [True]


def test_what_was_read_is_kept_by_its_digest() -> None:
    store, kept = CountingStore(), KeptResults()
    first, other = put(store, "a"), put(store, "b", tool="disk")
    for _ in range(3):
        assert kept.read(store, first).tool == "memory" and kept.read(store, other).tool == "disk"
    assert store.reads == 2
    with pytest.raises(DigestMismatchError):
        kept.read(store, first.model_copy(update={"sha256": other.sha256}))


def test_no_more_is_kept_than_the_bound_and_what_was_used_last_stays() -> None:
    store = CountingStore()
    a, b, c = (put(store, name) for name in "abc")
    kept = KeptResults(most_bytes=a.bytes + b.bytes)
    for artifact in (a, b, a, c, a):
        kept.read(store, artifact)
    assert store.reads == 3, "b was dropped for c"
    kept.read(store, b)
    assert store.reads == 4
    none = KeptResults(most_bytes=1)
    none.read(store, a), none.read(store, a)
    assert store.reads == 6, "what is larger than the bound is not kept"
