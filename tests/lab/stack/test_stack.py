"""Starting and stopping the whole stack: failures say why and leave nothing."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.paths import ROOT
from lab.stack import state as stack_state
from lab.stack.process import MARK, StackError
from lab.stack.stack import Stack, read_variables
from tests.lab.stack.programs import wait_for_text


def test_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=f"port {port} of 127.0.0.1 is taken"):
            Stack(tmp_path / "state", lab_port=port).start()


def test_failed_start_says_why_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.stack.stack.is_free", lambda _: True)  # as when the port is taken after the check
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        stack = Stack(tmp_path / "state", lab_port=taken.getsockname()[1], report=lambda _: None)
        with pytest.raises(StackError, match=r"lab has ended .*lab\.log"):
            stack.start()
    record = stack_state.read_record(tmp_path / "state")
    assert record
    assert stack_state.running(tmp_path / "state") is None
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            assert f"{MARK}={record['id']}".encode() not in (entry / "environ").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue


def test_variables_files_are_read(tmp_path: Path) -> None:
    file = tmp_path / "x.env"
    assert read_variables(file) == {}
    file.write_text("# comment\nA=1\nB=x=y\n")
    assert read_variables(file) == {"A": "1", "B": "x=y"}


def test_up_ends_on_interrupt_without_leftovers(tmp_path: Path) -> None:
    """`kill` on a starting `make up` clears up as Ctrl-C does."""
    state = tmp_path / "state"
    started = subprocess.Popen(
        [sys.executable, "-m", "lab.stack", "up", "--state", str(state)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    wait_for_text(state / "stack.json")
    while not (record := stack_state.read_record(state)) or not record["processes"]:
        time.sleep(0.05)
    started.send_signal(signal.SIGTERM)
    assert started.wait(30) == 143
    assert started.stdout
    started.stdout.close()
    assert stack_state.running(state) is None
