"""What a confined program is denied."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from forensic_toolkit.sandbox import confinement, subprograms
from forensic_toolkit.sandbox.confinement import Confinement


def test_processor_time_is_limited(tmp_path: Path) -> None:
    output = tmp_path / "said"
    confined = Confinement(memory_bytes=4 << 30, output_bytes=1 << 20, processor_seconds=1)
    process = subprograms.start(
        [sys.executable, "-c", "while True: pass"], folder=tmp_path, stdout=output, confined=confined
    )
    ended = subprograms.finish(process, stdout=output, seconds=30, started=time.monotonic())
    assert ended.exit in (-9, -24) and ended.seconds < 30


def test_the_user_changes_only_where_the_namespace_has_that_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a user namespace with one user, a folder cannot be given to another."""
    for lines, known in (("0 65534 1\n", False), ("0 0 4294967295\n", True), ("0 1000 1\n1 100000 65536\n", True)):
        (tmp_path / "uid_map").write_text(lines)
        monkeypatch.setattr(confinement, "Path", lambda *parts: tmp_path / parts[-1])
        assert confinement._mapped("uid_map") is known
