"""What is left where namespaces are refused: the script runs as an ordinary process in a folder of its own.

Paths of the view that the script names are replaced, in its text, by stand-ins in that folder; LAB_DEV_ROOT
names the stand-in of /dev. Nothing is hidden from the script, the network is the host's, and uname shows
the host's kernel.
"""

# This runs before every command, and importing pathlib would be a good part of its start-up time:
# ruff: noqa: PTH103, PTH120, PTH123, PTH208, PTH211
from __future__ import annotations

import os
import select
import signal
import time

from lab.hosts.sandbox import kernel

TYPE_CHECKING = False  # as typing's own, without the cost of importing it
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_LIFELINE_SECONDS = 0.1


def run(message: dict[str, Any], *, ready: Callable[[], None], lifeline: int, spawn: Callable[..., int]) -> int:
    """Run the script and end everything it started; returns its exit status."""
    kernel.adopt_orphans()
    _prepare(message)
    script = spawn(message, drop=False)
    ready()
    code = _wait(script, lifeline=lifeline)
    _end_descendants()
    return code


def _prepare(message: dict[str, Any]) -> None:
    home = message["workdir"]
    stand_ins: dict[str, str] = {}
    for name in ("root", "tmp", "dev", "files"):
        os.makedirs(f"{home}/{name}", exist_ok=True)
    for path, content, mode in message["files"]:
        stand_ins[path] = _place(f"{home}/files{path}")
        with open(stand_ins[path], "w", encoding="utf-8") as stream:
            stream.write(content)
            os.fchmod(stream.fileno(), mode)
    for item in message["binds"]:
        target = item["target"]
        place = _place(f"{home}{target}" if target.startswith("/dev/") else f"{home}/files{target}")
        os.symlink(item["source"], place)
        stand_ins[target] = place
    for path, content in message["links"]:
        place = _place(f"{home}{path}" if path.startswith("/dev/") else f"{home}/files{path}")
        os.symlink(content, place)
        stand_ins[path] = place
    for name, source in message["proc_files"]:
        stand_ins[f"/proc/{name}"] = source
    script = message["script"]
    for path in sorted(stand_ins, key=len, reverse=True):
        # Programs of the host stay the host's; a shim over one of them is only for a real view.
        if not path.startswith("/usr/"):
            script = script.replace(path, stand_ins[path])
    message["script_path"] = f"{home}/_script.sh"
    with open(message["script_path"], "w", encoding="utf-8") as stream:
        stream.write(script)
        os.fchmod(stream.fileno(), 0o700)
    message["cwd"] = home
    message["environment"] |= {
        "LAB_SANDBOX": "reduced",
        "LAB_DEV_ROOT": f"{home}/dev",
        "HOME": f"{home}/root",
        "TMPDIR": f"{home}/tmp",
        "PWD": home,
    }


def _place(path: str) -> str:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


def _wait(script: int, *, lifeline: int) -> int:
    watch = select.poll()
    watch.register(lifeline, select.POLLHUP)
    while True:
        signal.sigtimedwait({signal.SIGCHLD}, _LIFELINE_SECONDS)
        ended, status = os.waitpid(script, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        if watch.poll(0):
            return 128 + signal.SIGKILL


def _end_descendants() -> None:
    """Kill and reap what the script started, orphans included; gives up after five seconds."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for child in _children(os.getpid()):
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return
        time.sleep(0.01)


def _children(parent: int) -> list[int]:
    found: list[int] = []
    for name in os.listdir(f"/proc/{parent}/task"):
        try:
            with open(f"/proc/{parent}/task/{name}/children", encoding="ascii") as stream:
                direct = [int(child) for child in stream.read().split()]
        except FileNotFoundError:
            continue
        for child in direct:
            found += [child, *_children(child)]
    return found
