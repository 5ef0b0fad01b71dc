"""Runs a function that reads hostile bytes in a child process of its own, with limits, so that no worker dies of it.

A target sends the bytes that are decompressed, parsed and walked. What they do to their reader happens to the child: memory,
processor time, output and silence have limits (setrlimit(2)), it has no credentials, no file to fill and nothing but two pipes.
A child that exceeds a limit, crashes or says what it may not is a :class:`ConfinedError` that names what was exceeded.

The child is a fresh interpreter, not a fork: a task of Airflow has threads, whose locks a fork would copy. It needs no privilege.

The child leads, so that the two never wait for each other: it asks for the next piece of input (``NEXT``), for an answer
(``ASK``), or sends what it has made (``DATA``), and the caller answers exactly that.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self, TypeVar

from pydantic import BaseModel, ValidationError

from forensics import errors
from forensics.errors import ConfinedError, ForensicsError

M = TypeVar("M", bound=BaseModel)
_FRAME = struct.Struct(">cQ")
_ORDER, _CHUNK, _END, _ANSWER = b"O", b"C", b"F", b"B"
_NEXT, _DATA, _PASSED, _ASK, _RESULT, _ERROR = b"N", b"D", b"P", b"A", b"R", b"E"
MIB = 1024 * 1024
LARGEST_FRAME = 80 * MIB
_LARGEST_WORDS = 4 * MIB  # a question, a result, an error
_OPEN_FILES = 32
_LARGEST_FILE = 64 * 1024  # its last words


@dataclass(frozen=True)
class Limits:
    """What a child may use: address space in bytes, processor seconds, bytes of output, questions, seconds without a word."""

    memory: int = 512 * MIB
    cpu_seconds: int = 900
    output: int = 0
    questions: int = 0
    silence: float = 300.0


class Channel(Protocol):
    """The child's side: its input, its output, and who answers its questions."""

    def chunks(self) -> Iterator[bytes]:
        """The input, piece by piece."""
        ...

    def send(self, data: bytes) -> None:
        """Give a piece of output to the caller."""
        ...

    def passed(self) -> None:
        """Input and output are done; questions and the result follow."""
        ...

    def ask(self, question: dict[str, object]) -> bytes:
        """The caller's answer."""
        ...


# ---------------------------------------------------------------------- the caller's side
class Confined:
    """A running child; a context manager that ends it. ``function`` is ``module:name`` and takes order (JSON) and channel.

    :param function: returns a model; its result is read with :meth:`result`
    :param order: what the function is told
    """

    def __init__(self, function: str, order: BaseModel, *, limits: Limits) -> None:
        self._limits = limits
        self._name = function.rpartition(":")[2]
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        # No credentials, no proxy, no settings: only where the modules are.
        env = {"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        self._child = subprocess.Popen(
            # -B: what it imports under its limit of file sizes would leave a cut .pyc for every other process (CPython 3.12 renames
            # what a short write has left)
            [sys.executable, "-s", "-P", "-B", "-m", "forensics.confined", function, json.dumps(asdict(limits))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=env,
            bufsize=0,
            cwd="/",
        )
        self._sent = self._asked = 0
        self.peak_bytes = 0
        self._write(_ORDER, order.model_dump_json().encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()
        self._said.close()

    def passing(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """What the child makes of the input. Raises :class:`ConfinedError`, and what the child raised of ``errors``."""
        while True:
            kind, body = self._read()
            if kind == _NEXT:
                piece = next(chunks, None)
                self._write(_END if piece is None else _CHUNK, piece or b"")
            elif kind == _DATA:
                self._sent += len(body)
                if self._sent > self._limits.output:
                    raise self._ended(f"it made more than {self._limits.output} bytes")
                yield body
            elif kind == _PASSED:
                return
            else:
                raise self._broken(kind, body)

    def result(self, model: type[M], *, answer: Callable[[dict[str, object]], bytes] | None = None) -> M:
        """The function's result, after its questions. Raises as :meth:`passing`."""
        while True:
            kind, body = self._read()
            if kind == _ASK and answer is not None:
                self._asked += 1
                if self._asked > self._limits.questions:
                    raise self._ended(f"it asked more than {self._limits.questions} times")
                self._write(_ANSWER, answer(_words(body)))
            elif kind == _RESULT:
                said = _words(body)
                self.peak_bytes = int(str(said.get("peak_kib", 0))) * 1024
                try:
                    return model.model_validate(said.get("result"))
                except ValidationError as invalid:
                    raise self._ended(
                        f"its result is not of the agreed form ({invalid.error_count()} errors)"
                    ) from None
            else:
                raise self._broken(kind, body)

    def _broken(self, kind: bytes, body: bytes) -> ForensicsError:
        """What another frame than those expected stands for."""
        if kind != _ERROR:
            return self._ended("it does not keep to the protocol")
        said = _words(body)
        known = getattr(errors, str(said.get("kind")), None)
        message = str(said.get("message", ""))[:2000]
        if isinstance(known, type) and issubclass(known, ForensicsError):
            return known(message, next_action=str(said.get("next_action") or "")[:2000] or None)
        return self._ended(message)

    def _ended(self, why: str) -> ConfinedError:
        self._kill()
        return ConfinedError(f"{self._name} was stopped: {why}")

    def _kill(self) -> None:
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe:
                pipe.close()

    def _died(self) -> ConfinedError:
        """Why the child's pipe has ended."""
        try:
            code = self._child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            return self._ended("it closed its pipe and did not end")
        self._said.seek(0)
        last = self._said.read(64 * 1024).decode("utf-8", "replace").strip().splitlines()[-1:]
        limits = self._limits
        reasons = {
            -signal.SIGXCPU: f"it used more than {limits.cpu_seconds} s of processor time",
            -signal.SIGKILL: "it was killed from outside, as by a machine that is out of memory",
            -signal.SIGSEGV: f"it crashed (SIGSEGV) with at most {limits.memory // MIB} MiB of memory",
        }
        return self._ended(reasons.get(code, f"it ended with {code}: {' '.join(last)[-300:]}"))

    def _write(self, kind: bytes, body: bytes) -> None:
        pipe = self._child.stdin
        try:
            for piece in (_FRAME.pack(kind, len(body)), body):
                view = memoryview(piece)
                while pipe and view:
                    view = view[pipe.write(view) or 0 :]
        except BrokenPipeError:
            raise self._died() from None

    def _read(self) -> tuple[bytes, bytes]:
        kind, size = _FRAME.unpack(self._exactly(_FRAME.size))
        if size > (LARGEST_FRAME if kind == _DATA else _LARGEST_WORDS):
            raise self._ended("it does not keep to the protocol")
        return kind, bytes(self._exactly(size))

    def _exactly(self, size: int) -> bytearray:
        pipe, data = self._child.stdout, bytearray(size)
        view = memoryview(data)
        while pipe and view:
            if not select.select([pipe], [], [], self._limits.silence)[0]:
                raise self._ended(f"it said nothing for {self._limits.silence:.0f} s")
            got = pipe.readinto(view)  # type: ignore[attr-defined]  # bufsize=0: a FileIO
            if not got:
                raise self._died()
            view = view[got:]
        return data


def _words(body: bytes) -> dict[str, object]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


# ---------------------------------------------------------------------- the child's side
class _Pipes:
    """The two pipes of the child."""

    def __init__(self, source: IO[bytes], sink: IO[bytes]) -> None:
        self._source = source
        self._sink = sink

    def read(self) -> tuple[bytes, bytes]:
        """The caller's next frame; ends the process when there is nobody any more."""
        head = self._source.read(_FRAME.size)
        if len(head) < _FRAME.size:
            raise SystemExit(1)
        kind, size = _FRAME.unpack(head)
        return kind, self._source.read(size)

    def write(self, kind: bytes, body: bytes = b"") -> None:
        """A frame to the caller."""
        self._sink.write(_FRAME.pack(kind, len(body)))
        self._sink.write(body)
        self._sink.flush()

    def chunks(self) -> Iterator[bytes]:
        """The input, piece by piece."""
        while True:
            self.write(_NEXT)
            kind, body = self.read()
            if kind == _END:
                return
            yield body

    def send(self, data: bytes) -> None:
        """Give a piece of output to the caller."""
        self.write(_DATA, data)

    def passed(self) -> None:
        """Input and output are done."""
        self.write(_PASSED)

    def ask(self, question: dict[str, object]) -> bytes:
        """The caller's answer."""
        self.write(_ASK, json.dumps(question).encode())
        return self.read()[1]


def _confine(limits: Limits) -> None:
    """Lower this process's own limits; they cannot be raised again without privilege."""
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE, _LARGEST_FILE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))


def _peak_kib() -> int:
    """The most memory that this process had (VmHWM, proc(5)); getrusage would count the caller's own before the exec."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition("VmHWM:")[2].split()[0])


def main(function: str, limits: str) -> None:
    """The child: carry out one order and say how it ended."""
    # Whatever prints must not get into the pipe that the caller reads.
    pipes = _Pipes(os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    module, _, name = function.partition(":")
    work = getattr(importlib.import_module(module), name)
    allowed = Limits(**json.loads(limits))
    _, order = pipes.read()
    _confine(allowed)
    error: dict[str, object]
    try:
        made: BaseModel = work(order, pipes)
    except MemoryError:
        error = {"message": f"it needed more than {allowed.memory // MIB} MiB of memory"}
    except ForensicsError as raised:
        error = {"kind": type(raised).__name__, "message": raised.message, "next_action": raised.next_action}
    except Exception as raised:
        error = {"message": f"{type(raised).__name__}: {raised}"[:1000]}
    else:
        said = {"result": made.model_dump(mode="json"), "peak_kib": _peak_kib()}
        pipes.write(_RESULT, json.dumps(said).encode())
        return
    pipes.write(_ERROR, json.dumps(error).encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
