"""Requests to another program and its answers over pipes, with a deadline for every answer."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from pathlib import Path

from forensic_toolkit.errors import EvidenceError

MAX_LINE = 1 << 20
_CHUNK = 1 << 16


class PipeProtocol:
    """A running program that answers with lines and bytes.

    Methods raise EvidenceError when the program is late, gone or sends too much.
    """

    def __init__(self, process: subprocess.Popen[bytes], *, errors: Path) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("the program needs pipes on stdin and stdout")
        self._process, self._errors = process, errors
        self._in, self._out = process.stdin, process.stdout.fileno()
        self._buffer = bytearray()

    def send(self, data: bytes) -> None:
        """Send a request."""
        try:
            self._in.write(data)
            self._in.flush()
        except OSError as error:
            raise EvidenceError(self._farewell()) from error

    def line(self, *, deadline: float) -> bytes:
        """The next line; ``deadline`` is on the clock of time.monotonic, in seconds."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > MAX_LINE:
                self.end()
                raise EvidenceError(f"a line of more than {MAX_LINE} bytes; the program was stopped")
            self._more(deadline)
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def receive(self, count: int, *, deadline: float) -> bytes:
        """Exactly ``count`` bytes; ``deadline`` as for :meth:`line`."""
        while len(self._buffer) < count:
            self._more(deadline)
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def end(self) -> None:
        """Close the pipes and kill the program."""
        with contextlib.suppress(OSError):
            self._in.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _more(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        # The pipe is closed after the program was stopped.
        ready = not (self._process.stdout is None or self._process.stdout.closed)
        if not ready or left <= 0 or not select.select([self._out], [], [], left)[0]:
            self.end()
            raise EvidenceError("no answer in time; the program was stopped" if ready else "the program has ended")
        data = os.read(self._out, _CHUNK)
        if not data:
            raise EvidenceError(self._farewell())
        self._buffer += data

    def _farewell(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        lines = self._errors.read_text("utf-8", "replace").strip().splitlines()
        return (
            f"the program ended (exit {self._process.returncode}): {lines[-1][:300] if lines else 'nothing on stderr'}"
        )
