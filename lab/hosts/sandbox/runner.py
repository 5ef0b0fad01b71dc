"""Run one spec and wait: output to the callers' sinks, a deadline, and a way to stop it at any moment."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from lab.hosts.sandbox.gate import Gate
from lab.hosts.sandbox.spec import Spec

log = logging.getLogger("lab.hosts.sandbox")

REPOSITORY = Path(__file__).resolve().parents[3]
TIMEOUT_CODE = 137
_TICK_SECONDS = 0.05
_CHUNK = 64 * 1024
# How long a helper may take to end its descendants after its lifeline was cut, before it is killed itself.
_GRACE_SECONDS = 6.0

Sink = Callable[[bytes], None]
How = Literal["exited", "timed-out", "stopped", "unavailable", "failed"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a script ended. `code` is its exit status (137 after a timeout or a stop); `reason` says why it
    has none of its own; `notes` what the sandbox could not do; `ready_seconds` what starting it took.
    """

    how: How
    code: int
    reason: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    ready_seconds: float | None = None


def execute(
    spec: Spec,
    *,
    timeout_seconds: float,
    stdout: Sink,
    stderr: Sink,
    stop: Callable[[], str | None] = lambda: None,
    gate: Gate | None = None,
    reduced: bool = False,
    scratch: Path | None = None,
) -> Outcome:
    """Run the script and wait for its end. `stop` is asked every 50 ms and answers with a reason to end it.

    The sandbox lives in a fresh folder below `scratch` (default: the system's temporary folder), removed
    afterwards.
    """
    workdir = Path(tempfile.mkdtemp(prefix="lab-sandbox-", dir=scratch))
    try:
        run = _Run(spec, workdir=workdir, gate=gate, reduced=reduced)
        return run.wait(timeout_seconds=timeout_seconds, stdout=stdout, stderr=stderr, stop=stop)
    finally:
        shutil.rmtree(workdir, ignore_errors=True)
        if workdir.exists():
            log.warning("the sandbox folder %s could not be removed; remove it manually", workdir)


class _Run:
    """One helper process and the descriptors shared with it."""

    def __init__(self, spec: Spec, *, workdir: Path, gate: Gate | None, reduced: bool) -> None:
        self.started = time.monotonic()
        self.ended_at = self.started
        self.ready_seconds: float | None = None
        self.notes: tuple[str, ...] = ()
        self.refusal: tuple[How, str] | None = None
        self.gate = gate if not reduced else None
        status_read, status_write = os.pipe()
        lifeline_read, self.lifeline = os.pipe()
        self.status = open(status_read, "rb", buffering=0)  # noqa: PTH123, SIM115 (a descriptor, closed in wait)
        self.handover: socket.socket | None = None
        theirs: socket.socket | None = None
        if self.gate is not None:
            self.handover, theirs = socket.socketpair()
        inherited = [status_write, lifeline_read] + ([theirs.fileno()] if theirs is not None else [])
        numbers = [str(status_write), str(lifeline_read), str(theirs.fileno() if theirs is not None else -1)]
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-S", "-s", "-E", "-m", "lab.hosts.sandbox.enter", *numbers],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=REPOSITORY,
                env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
                pass_fds=inherited,
                start_new_session=True,
            )
        except OSError:
            os.close(self.lifeline)
            self.status.close()
            if self.handover is not None:
                self.handover.close()
            raise
        finally:
            os.close(status_write)
            os.close(lifeline_read)
            if theirs is not None:
                theirs.close()
        message = spec.to_message(workdir=workdir) | {"reduced": reduced}
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # a helper that died at once says so in its exit status
            self.process.stdin.write(json.dumps(message).encode())
            self.process.stdin.close()

    def wait(self, *, timeout_seconds: float, stdout: Sink, stderr: Sink, stop: Callable[[], str | None]) -> Outcome:
        """Collect until the end; see execute."""
        how: How = "exited"
        reason = ""
        try:
            with selectors.DefaultSelector() as selector:
                self._register(selector, stdout=stdout, stderr=stderr)
                while selector.get_map() and not (self.process.poll() is not None and not self._collect(selector)):
                    self._collect(selector)
                    if how != "exited":
                        self._insist()
                    elif (ended := self._must_end(timeout_seconds, stop=stop)) is not None:
                        how, reason = ended
                        self._end()
            self._join()
        finally:
            self._close()
        code = self.process.returncode
        code = 128 - code if code < 0 else code
        if how != "exited":
            code = TIMEOUT_CODE
        elif self.refusal is not None:
            how, reason = self.refusal
        elif self.ready_seconds is None:
            how, reason = "failed", f"the sandbox helper ended with status {code} before the script started"
        return Outcome(how, code, reason, self.notes, time.monotonic() - self.started, self.ready_seconds)

    def _register(self, selector: selectors.BaseSelector, *, stdout: Sink, stderr: Sink) -> None:
        assert self.process.stdout is not None and self.process.stderr is not None
        selector.register(self.process.stdout, selectors.EVENT_READ, stdout)
        selector.register(self.process.stderr, selectors.EVENT_READ, stderr)
        selector.register(self.status, selectors.EVENT_READ, self._status_line)
        if self.handover is not None:
            selector.register(self.handover, selectors.EVENT_READ, None)

    def _collect(self, selector: selectors.BaseSelector) -> bool:
        """Read what there is, waiting for one tick at most; False when nothing came."""
        events = selector.select(_TICK_SECONDS)
        for key, _ in events:
            if key.data is None:
                self._take_listener()
                selector.unregister(key.fileobj)
                continue
            data = os.read(key.fd, _CHUNK)
            if data:
                key.data(data)
            else:
                selector.unregister(key.fileobj)
        return bool(events)

    def _take_listener(self) -> None:
        assert self.handover is not None and self.gate is not None
        _, descriptors, _, _ = socket.recv_fds(self.handover, 16, 1)
        for descriptor in descriptors:
            self.gate.adopt(socket.socket(fileno=descriptor))

    def _status_line(self, data: bytes) -> None:
        for line in data.decode().splitlines():
            status = json.loads(line)
            self.notes = tuple(status["notes"])
            if status["event"] == "ready":
                self.ready_seconds = time.monotonic() - self.started
            else:
                self.refusal = (status["event"], status["message"])

    def _must_end(self, timeout_seconds: float, *, stop: Callable[[], str | None]) -> tuple[How, str] | None:
        if time.monotonic() - self.started > timeout_seconds:
            return "timed-out", f"the script ran longer than {timeout_seconds:g} s and was killed"
        reason = stop()
        return None if reason is None else ("stopped", reason)

    def _end(self) -> None:
        """Kill everything inside: by its first process, which ends when its lifeline closes or its parent
        dies.
        """
        if self.lifeline >= 0:
            os.close(self.lifeline)
            self.lifeline = -1
            self.ended_at = time.monotonic()

    def _insist(self) -> None:
        """Kill a helper that does not end although its lifeline is cut (one that hangs in a mount, say)."""
        if time.monotonic() - self.ended_at > _GRACE_SECONDS and self.process.poll() is None:
            self.process.kill()

    def _join(self) -> None:
        self._end()
        try:
            self.process.wait(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _close(self) -> None:
        self._end()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr, self.status):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        if self.handover is not None:
            self.handover.close()
