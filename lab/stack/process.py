"""Processes of the stack: started in groups of their own, recognised by more than a pid, ended without
leftovers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

# Every process of a stack carries this variable, so that children that left their group are found as well.
MARK = "FORENSICS_STACK_ID"
TAIL_LINES = 20


class StackError(RuntimeError):
    """The stack cannot be started, asked or stopped; the message says what, why and what to do next."""


@dataclass(frozen=True)
class Member:
    """One process of the stack. ``born`` distinguishes it from a later process with the same pid."""

    name: str
    pid: int
    born: str
    log: str

    def alive(self) -> bool:
        """Say whether this very process still runs."""
        return born(self.pid) == self.born

    def as_dict(self) -> dict[str, str | int]:
        """Return the form that ``stack.json`` holds."""
        return asdict(self)


def launch(
    name: str, command: Sequence[str], *, log: Path, environment: Mapping[str, str], directory: Path
) -> tuple[Member, subprocess.Popen[bytes]]:
    """Start ``command`` as leader of a new session; stdout and stderr go to ``log``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        process = subprocess.Popen(
            list(command),
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Member(name=name, pid=process.pid, born=born(process.pid) or "", log=str(log)), process


def born(pid: int) -> str | None:
    """Return when the process started, in the system's own words, or None when it is gone (a zombie is
    gone)."""
    if pid <= 0:
        return None
    if Path("/proc/self/stat").exists():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else fields[19]
    answer = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = answer.stdout.strip().partition(" ")
    return None if answer.returncode or state.startswith("Z") else started.strip()


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process in seconds, 0 when it is gone or this system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def end(members: Iterable[Member], *, stack_id: str, grace: float) -> list[str]:
    """End the members' groups: TERM, then KILL after ``grace`` seconds. Return the names that had to be
    killed."""
    asked = [member for member in members if member.alive()]
    for member in asked:
        _signal_group(member.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while any(member.alive() for member in asked) and time.monotonic() < deadline:
        _reap(asked)
        time.sleep(0.05)
    stubborn = [member for member in asked if member.alive()]
    for member in stubborn:
        _signal_group(member.pid, signal.SIGKILL)
    if stubborn:
        deadline = time.monotonic() + 5
        while any(member.alive() for member in stubborn) and time.monotonic() < deadline:
            _reap(stubborn)
            time.sleep(0.05)
    if stack_id:
        _kill_orphans(stack_id)
    return [member.name for member in stubborn]


def kill(member: Member) -> None:
    """``kill -9`` a member with its group and wait until it is gone."""
    _signal_group(member.pid, signal.SIGKILL)
    while member.alive():
        _reap([member])
        time.sleep(0.02)


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # gone between the look and the signal: what we want
        os.killpg(leader, number)


def _reap(members: Iterable[Member]) -> None:
    """Collect those of the dead that are our own children; never anybody else's."""
    for member in members:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(member.pid, os.WNOHANG)


def _kill_orphans(stack_id: str) -> None:
    """Kill what still carries the stack's mark (Linux only: elsewhere the groups have to do)."""
    mark = f"{MARK}={stack_id}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        try:
            marked = pid != os.getpid() and mark in (entry / "environ").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended, or it is somebody else's
        if marked:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def tail(log: str | Path, *, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log, indented, or a word that there are none."""
    path = Path(log)
    if not path.exists():
        return "  (no log was written)"
    found = path.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join(f"  {line}" for line in found) or "  (the log is empty)"
