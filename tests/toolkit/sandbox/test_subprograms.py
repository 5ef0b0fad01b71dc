"""Starting and ending other programs."""

from __future__ import annotations

import time
from pathlib import Path

from forensic_toolkit.sandbox import subprograms


def test_a_program_that_does_not_end_is_killed(tmp_path: Path) -> None:
    output = tmp_path / "out"
    started = time.monotonic()
    process = subprograms.start(["/bin/sh", "-c", "echo begun; sleep 60"], folder=tmp_path, stdout=output)
    ended = subprograms.finish(process, stdout=output, seconds=0.3, started=started)
    assert ended.error is not None and "not finished after" in ended.error
    assert ended.seconds < 10
    assert output.read_text() in ("begun\n", "")
