"""Starting and ending other programs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from forensic_toolkit.sandbox import subprograms


def test_a_program_that_does_not_end_is_killed(tmp_path: Path) -> None:
    output = tmp_path / "out"
    started = time.monotonic()
    process = subprograms.start(["/bin/sh", "-c", "echo begun; sleep 60"], folder=tmp_path, stdout=output)
    ended = subprograms.finish(process, stdout=output, seconds=0.3, started=started)
    assert ended.error is not None and "not finished after" in ended.error
    assert ended.seconds < 10
    assert output.read_text() in ("begun\n", "")


def test_work_is_bounded_by_processor_time_and_not_by_the_clock(tmp_path: Path) -> None:
    output = tmp_path / "out"
    busy = ["/bin/sh", "-c", "while :; do :; done"]
    process = subprograms.start(busy, folder=tmp_path, stdout=output, cpu_seconds=1)
    ended = subprograms.finish(process, stdout=output, seconds=600, started=time.monotonic())
    assert ended.error is not None and "processor time" in ended.error


def test_no_credentials_reach_a_program_and_its_home_is_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORENSIC_PLASO", "/opt/plaso/bin")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/none")
    output = tmp_path / "out"
    process = subprograms.start(["/usr/bin/env"], folder=tmp_path, stdout=output)
    ended = subprograms.finish(process, stdout=output, seconds=30, started=time.monotonic())
    assert (ended.exit, ended.error) == (0, None)
    given = dict(line.split("=", 1) for line in output.read_text().splitlines())
    assert given["HOME"] == given["TMPDIR"] == str(tmp_path) and given["FORENSIC_PLASO"] == "/opt/plaso/bin"
    assert not [name for name in given if name.startswith("AWS_")]


def test_a_failure_has_the_exit_status_and_the_last_words(tmp_path: Path) -> None:
    output = tmp_path / "out"
    script = "echo first >&2; echo 'disk is full' >&2; echo >&2; exit 3"
    process = subprograms.start(["/bin/sh", "-c", script], folder=tmp_path, stdout=output)
    ended = subprograms.finish(process, stdout=output, seconds=30, started=time.monotonic())
    assert (ended.exit, ended.error) == (3, "exit 3: disk is full")
    assert subprograms.last_line(output) == ""
