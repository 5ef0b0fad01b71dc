"""The comparison with other tools: each part on a small input, what is missing is said, and different bytes are never called faster."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from lab.scenarios import bench_peers
from lab.scenarios.bench_peers import PeerError, Row


def test_both_pipes_see_the_same_bytes(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(os.urandom(1 << 20) + bytes(1 << 20))
    (row,) = bench_peers.pipe(image, tmp_path, seconds=60)
    assert row.note == "" and row.ratio is not None
    assert (tmp_path / "whole").read_text().split()[0] == hashlib.sha256(image.read_bytes()).hexdigest()
    assert (tmp_path / "packed").exists() and (tmp_path / "parts").exists()


def test_a_snapshot_is_read_to_the_same_digest_one_by_one_and_side_by_side() -> None:
    """Forty at a time: at twenty milliseconds a block the loop waits longer than it reads."""
    (row,) = bench_peers.snapshot(80, delay=0.02)
    assert row.note == "" and row.what == "snapshot, 80 blocks at 20 ms"
    assert row.theirs is not None and row.theirs >= 80 * 0.02, (
        "the delay is the server's, and nobody is quicker one by one"
    )


def test_what_is_not_on_the_machine_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_peers, "TOOLS", tmp_path)
    monkeypatch.setattr(bench_peers, "PLASO", tmp_path / "log2timeline.py")
    files = None
    rows = [
        *bench_peers.questions(tmp_path, seconds=1),
        *bench_peers.timeline(tmp_path, tmp_path, seconds=1),
        *bench_peers.plugins(files, tmp_path, seconds=1),  # type: ignore[arg-type]
    ]
    assert [row.note for row in rows] == [
        f"not run: {name} is not on this machine" for name in ("target-query", "log2timeline.py", "vol")
    ]
    assert "| - | - | - |" in bench_peers.table(rows)


def test_a_tool_that_fails_costs_its_own_row_only() -> None:
    def fails() -> list[Row]:
        bench_peers._run(["bash", "-c", "echo broken >&2; exit 3"], seconds=10)
        return []

    rows = bench_peers.measured((("one", fails), ("two", lambda: [Row("two", "peer", 2.0, 1.0)])))
    assert [(row.what, row.note) for row in rows] == [("one", "not run: bash ended with 3: broken"), ("two", "")]
    assert "| two | peer | 2.00 | 1.00 | 2.0 |  |" in bench_peers.table(rows)


def test_a_tool_that_hangs_is_stopped() -> None:
    with pytest.raises(PeerError, match="timed out"):
        bench_peers._run(["sleep", "600"], seconds=0.1)
