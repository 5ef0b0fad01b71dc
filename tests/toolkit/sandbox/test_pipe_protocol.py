"""Requests and answers over pipes, with real programs."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.sandbox import pipe_protocol, subprograms
from forensic_toolkit.sandbox.pipe_protocol import PipeProtocol


def shell(script: str, folder: Path) -> PipeProtocol:
    """A shell script behind the protocol."""
    return subprograms.start_pipe_protocol(["/bin/sh", "-c", script], folder=folder)


def soon(seconds: float = 10.0) -> float:
    return time.monotonic() + seconds


def test_lines_and_bytes_come_back_in_turns(tmp_path: Path) -> None:
    program = shell("read -r word; echo \"$word 5\"; printf 'a\\nb\\nc'; cat", tmp_path)
    program.send(b"hello\n")
    assert program.line(deadline=soon()) == b"hello 5"
    assert program.receive(5, deadline=soon()) == b"a\nb\nc"
    program.send(b"again\n")
    assert program.line(deadline=soon()) == b"again"
    program.end()


def test_a_program_that_is_late_is_killed(tmp_path: Path) -> None:
    program = shell("exec sleep 60", tmp_path)
    started = time.monotonic()
    with pytest.raises(EvidenceError, match="no answer in time"):
        program.line(deadline=soon(0.2))
    with pytest.raises(EvidenceError, match="the program has ended"):
        program.line(deadline=soon())
    assert time.monotonic() - started < 10


def test_a_program_that_dies_is_reported_with_its_last_words(tmp_path: Path) -> None:
    program = shell("echo 'cannot read superblock' >&2; exit 3", tmp_path)
    with pytest.raises(EvidenceError, match=r"exit 3\): cannot read superblock"):
        program.line(deadline=soon())


def test_a_line_without_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe_protocol, "MAX_LINE", 1 << 16)
    program = shell("exec tr '\\0' x </dev/zero", tmp_path)
    with pytest.raises(EvidenceError, match="a line of more than 65536 bytes"):
        program.line(deadline=soon(60))


def test_the_program_needs_pipes(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as process, pytest.raises(ValueError, match="pipes"):
        PipeProtocol(process, errors=tmp_path / "stderr")
