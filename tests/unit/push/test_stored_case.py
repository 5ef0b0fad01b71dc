"""What a plug is given: within the budget, and only what the ledger says it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from forensics.errors import DigestMismatchError
from forensics.push import stored_case as module
from tests.unit.push.conftest import stored_case
from tests.unit.report.test_gap_counts import Stored


def test_bytes_that_are_not_what_the_ledger_says_go_nowhere(recorder: Stored, tmp_path: Path) -> None:
    case = stored_case(recorder, tmp_path / "a")
    item = case.objects[0]
    recorder.evidence_store.objects[item.uri.removeprefix("s3://evidence/")] += b"!"
    with pytest.raises(DigestMismatchError, match="nothing of it was pushed"), case.opened(item):
        pytest.fail("it was given")
    for key in list(recorder.evidence_store.objects):
        if key.endswith(".parquet"):
            recorder.evidence_store.objects[key] += b"!"
    with pytest.raises(DigestMismatchError):
        stored_case(recorder, tmp_path / "b").timeline()


def test_what_the_budget_leaves_out_is_said(recorder: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MIB", 5)  # of 300 units
    case = stored_case(recorder, tmp_path / "a", most_mib=300)
    file, lines = case.timeline()
    assert (
        file.stat().st_size <= 1500 and file.read_bytes().endswith(b"}\n") and lines == file.read_bytes().count(b"\n")
    )
    with case.opened(max(case.objects, key=lambda o: o.bytes)) as copy:
        assert copy is None
    said = "; ".join(case.left_out)
    assert "push_mib); the stored timeline has all" in said and "it lies at s3://" in said


def test_copies_are_removed(recorder: Stored, tmp_path: Path) -> None:
    case = stored_case(recorder, tmp_path / "a")
    for item in case.objects:
        with case.opened(item) as copy:
            assert copy and copy.stat().st_size == item.bytes
    case.timeline()
    assert [f.name for f in (tmp_path / "a").iterdir()] == ["timeline.jsonl"]
