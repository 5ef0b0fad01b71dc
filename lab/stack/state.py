"""The state directory of a stack: who runs in it, who may empty it, what it remembers."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lab.paths import write_private
from lab.stack.process import Member, StackError, born, end

RECORD = "stack.json"
# A directory without this file was not made by the lab and is never emptied.
STATE_MARK = ".forensics-lab"
KEPT = frozenset({"cache", "secrets.json", STATE_MARK, "stack.lock"})
# In this order, with seconds of grace: who talks to the API ends before it does, or would wait for it. What a
# killed process leaves unfinished goes with the state directory.
STOP_ORDER = ((("scheduler", "triggerer", "dag-processor"), 5.0), (("api-server",), 3.0), (("lab",), 5.0))


@contextlib.contextmanager
def locked(state: Path) -> Iterator[None]:
    """Hold the state directory for a start, made when it is not there. Raises when another start holds it."""
    state.mkdir(parents=True, exist_ok=True)
    if not (state / STATE_MARK).exists():
        found = sorted(entry.name for entry in state.iterdir() if entry.name not in KEPT)
        if found:
            msg = (
                f"{state} is not a state directory of the lab (it holds {', '.join(found[:5])}). "
                "Give an empty or a new directory (--state, LAB_STATE)."
            )
            raise StackError(msg)
        (state / STATE_MARK).write_text("The lab made this directory and empties it at every start.\n")
    with (state / "stack.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f"another start is under way in {state}; wait for it, or give another directory (LAB_STATE)"
            raise StackError(msg) from error
        yield


def prepare(state: Path, *, report: Callable[[str], None]) -> None:
    """Empty the directory for a fresh start. Raises :class:`StackError` when a stack runs in it."""
    record = running(state)
    if record:
        owner = record["owner"]
        if not record["dead"] and (owner is None or born(owner["pid"]) == owner["born"]):
            msg = (
                f"a lab is running in {state} ({record['api_url']}); "
                "stop it first (`make down`), or use another directory"
            )
            raise StackError(msg)
        report(f"  clearing away what an earlier run left: {', '.join(stop(state))}")
    for entry in state.iterdir():
        # another stack's state may lie below this one
        if entry.name in KEPT or (entry / STATE_MARK).exists():
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def write_record(state: Path, *, record: dict[str, Any]) -> None:
    """Write ``stack.json``, whole or not at all."""
    fresh = state / f"{RECORD}.new"
    write_private(fresh, text=json.dumps(record, indent=1))
    fresh.replace(state / RECORD)


def read_record(state: Path) -> dict[str, Any] | None:
    """Return what ``stack.json`` says, or None when there is none. Raises when it cannot be read."""
    file = state / RECORD
    if not file.exists():
        return None
    try:
        return json.loads(file.read_text())
    except json.JSONDecodeError as error:
        msg = f"{file} is damaged ({error}); end the processes it names manually, then delete it"
        raise StackError(msg) from error


def members(record: dict[str, Any]) -> list[Member]:
    """Return the processes of a record."""
    return [Member(**process) for process in record["processes"]]


def running(state: Path) -> dict[str, Any] | None:
    """Return the record of a stack of which at least one process runs; ``dead`` names those that do not."""
    record = read_record(state)
    if not record:
        return None
    alive = [member for member in members(record) if member.alive()]
    if not alive:
        return None
    return {**record, "dead": [member.name for member in members(record) if member not in alive]}


def stop(state: Path) -> list[str]:
    """End the stack's own processes, Airflow's first; return the names of those that ran. Harmless when none
    does."""
    record = read_record(state)
    if not record:
        return []
    known = members(record)
    ended = [member.name for member in known if member.alive()]
    others = tuple({member.name for member in known} - {name for names, _ in STOP_ORDER for name in names})
    for names, grace in (*STOP_ORDER, (others, 5.0)):
        end([member for member in known if member.name in names], stack_id="", grace=grace)
    end([], stack_id=record["id"], grace=0)
    return ended


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_free(port: int) -> bool:
    """Say whether a server could listen on 127.0.0.1:``port``."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
