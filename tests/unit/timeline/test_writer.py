"""Storing a case's timeline: what is stored, stated and found again after a try that died."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from forensics import case_keys
from forensics.case.persons import StepRun
from forensics.errors import DigestMismatchError
from forensics.models.custody import CustodyAction
from forensics.models.results import Investigation, StoredArtifact
from forensics.models.timeline import TimelineSource, TimelineStore
from forensics.timeline import writer
from forensics.timeline.writer import results_of, store_timeline
from tests.unit.report import sample
from tests.unit.report.test_gap_counts import Stored

LINES = b"".join(
    json.dumps({"message": f"file {n}", "datetime": f"2026-11-20T00:00:{n:02}+00:00", "timestamp_desc": "Modified", "source": f"/f/{n}"}).encode() + b"\n"
    for n in range(30)
)  # fmt: skip


def case_with_timeline(body: bytes = LINES, *, sha256: str | None = None) -> Stored:
    """A case one of whose tools has a timeline of its own."""
    recorder = Stored(sample.complete_view())
    stored = recorder.evidence_store.put(f"cases/{recorder.case_id}/artifacts/disk/x/timeline.jsonl", body)
    artifact = StoredArtifact(uri=stored.uri, sha256=sha256 or stored.sha256, bytes=len(body))
    for key, data in recorder.store.items(recorder.case_id, case_keys.RESULT):
        item = Investigation.stored(data)
        if item.succeeded:
            recorder.put(key, item.model_copy(update={"artifacts": {**item.artifacts, "timeline": artifact}}))
            break
    else:
        raise AssertionError("the sample has no tool that ended well")
    recorder.note("a note of the case")
    recorder.custody(CustodyAction.EVIDENCE_ACCESSED, detail={"a": "b"})
    return recorder


def parts(recorder: Stored, store: TimelineStore) -> dict[str, list[dict[str, object]]]:
    """The entries of every part as another reader finds them."""
    found: dict[str, list[dict[str, object]]] = {}
    for part in store.parts:
        body = recorder.evidence_store.objects[part.uri.removeprefix("s3://evidence/")]
        assert hashlib.sha256(body).hexdigest() == part.sha256 and len(body) == part.bytes
        file = Path(f"/tmp/{part.sha256}.parquet")
        try:
            file.write_bytes(body)
            rows = pq.read_table(file).to_pylist()
        finally:
            file.unlink()
        assert len(rows) == part.rows
        found.setdefault(part.source.value, []).extend(rows)
    return found


def test_every_source_is_stored_partitioned_stated_and_recorded_last() -> None:
    recorder = case_with_timeline()
    store = store_timeline(recorder)
    found = parts(recorder, store)
    assert {"case", "custody", "finding", "memory"} <= set(found)
    assert [r["message"] for r in found["memory"] if str(r["message"]).startswith("file ")] == [
        f"file {n}" for n in range(30)
    ]
    for part in store.parts:
        assert f"/timeline/{store.version}/source={part.source.value}/" in part.uri
    stated = [e for e in recorder.ledger.events(recorder.case_id) if e.action is CustodyAction.ARTIFACT_STORED]
    stated_uris = {str(e.detail["uri"]) for e in stated}
    assert {part.uri for part in store.parts} <= stated_uris and any(
        uri.endswith("manifest.json") for uri in stated_uris
    )
    assert recorder.get(case_keys.TIMELINE_STORE, TimelineStore) == store
    assert store.results == tuple(sorted(results_of(recorder.view()))) and not store.lacks(results_of(recorder.view()))


def test_a_second_try_takes_what_the_first_has_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = case_with_timeline()
    recorder.run = StepRun(dag_id="forensic_case", run_id="r1")
    kept = recorder.put

    def dies(key: str, value: object) -> None:
        if key == case_keys.TIMELINE_STORE:
            raise KeyboardInterrupt
        kept(key, value)  # type: ignore[arg-type]

    monkeypatch.setattr(recorder, "put", dies)
    with pytest.raises(KeyboardInterrupt):
        store_timeline(recorder)
    first = {k: v for k, v in recorder.evidence_store.objects.items() if "/timeline/" in k}
    monkeypatch.setattr(recorder, "put", kept)
    store = store_timeline(recorder)
    assert {k: v for k, v in recorder.evidence_store.objects.items() if "/timeline/" in k} == first
    assert sum(map(len, parts(recorder, store).values())) == store.rows
    assert store_timeline(recorder) == store, "a third finds it done"


def test_an_artifact_that_is_not_what_the_ledger_says_is_refused() -> None:
    recorder = case_with_timeline(sha256="0" * 64)
    with pytest.raises(DigestMismatchError, match="the ledger says 0000"):
        store_timeline(recorder)
    assert recorder.get(case_keys.TIMELINE_STORE, TimelineStore) is None


def test_what_is_left_out_is_said() -> None:
    recorder = case_with_timeline(LINES + b"not json\n")
    store = store_timeline(recorder, most_rows=7)
    assert any("only the first 7 entries" in words for words in store.cut)
    whole = store_timeline(case_with_timeline(LINES + b"not json\n"))
    assert (whole.unread, whole.cut) == (1, ())


def test_a_reader_that_is_stopped_costs_its_part_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from forensics.confined import Limits

    recorder = case_with_timeline()
    monkeypatch.setattr(writer, "_LIMITS", Limits(output=10))
    store = store_timeline(recorder)
    assert any("were not read" in words and "10 bytes" in words for words in store.cut)
    assert {part.source for part in store.parts} >= {TimelineSource.CASE, TimelineSource.MEMORY}
