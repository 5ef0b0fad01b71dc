"""Run a document's script on a real guest over SSH instead of in a sandbox: as its agent would, with the agent's variables."""

from __future__ import annotations

import shlex
import subprocess
import threading
import time
from collections.abc import Callable
from typing import IO, Any

from lab.hosts.sandbox.runner import TIMEOUT_CODE, Outcome

_OPTIONS = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes")
_CHUNK = 64 * 1024
_TICK_SECONDS = 0.1


def command(where: dict[str, Any], remote: str) -> list[str]:
    """The ssh command line; ``where`` has port and key of a guest on this machine's loopback."""
    flags = [word for option in _OPTIONS for word in ("-o", option)]
    return ["ssh", *flags, "-i", str(where["key"]), "-p", str(where["port"]), "root@127.0.0.1", remote]


def execute(
    where: dict[str, Any],
    *,
    script: str,
    environment: dict[str, str],
    timeout_seconds: float,
    stdout: Callable[[bytes], None],
    stderr: Callable[[bytes], None],
    stop: Callable[[], str | None],
) -> Outcome:
    """Send the script into the guest's /run (in memory) and run it with bash; the script's file is gone afterwards."""
    variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    remote = (
        'f=$(mktemp /run/script.XXXXXX) && cat >"$f" && '
        f'env {variables} bash "$f" </dev/null; code=$?; rm -f "$f"; exit $code'
    )
    began = time.monotonic()
    process = subprocess.Popen(
        command(where, remote), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    pumps = [
        threading.Thread(target=_pump, args=pair, daemon=True)
        for pair in ((process.stdout, stdout), (process.stderr, stderr))
    ]
    for pump in pumps:
        pump.start()
    if process.stdin is not None:
        process.stdin.write(script.encode())
        process.stdin.close()
    reason = ""
    while process.poll() is None and not reason:
        time.sleep(_TICK_SECONDS)
        reason = stop() or ""
        if not reason and time.monotonic() - began > timeout_seconds:
            reason = f"the step took longer than its {timeout_seconds:g} s"
    timed_out = time.monotonic() - began > timeout_seconds
    if reason:
        process.kill()
    process.wait(10)
    for pump in pumps:
        pump.join(10)
    seconds = time.monotonic() - began
    if reason:
        return Outcome("timed-out" if timed_out else "stopped", TIMEOUT_CODE, reason, seconds=seconds)
    return Outcome("exited", process.returncode, seconds=seconds)


def _pump(source: IO[bytes], sink: Callable[[bytes], None]) -> None:
    while block := source.read1(_CHUNK):  # type: ignore[attr-defined]
        sink(block)
