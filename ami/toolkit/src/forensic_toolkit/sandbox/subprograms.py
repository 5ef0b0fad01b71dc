"""Running other programs with limits: wall time, address space, and no credentials in their environment."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from forensic_toolkit.sandbox.confinement import Confinement, die_with_parent
from forensic_toolkit.sandbox.pipe_protocol import Conversation

# What a tool needs to start; everything else of our environment stays here.
_KEPT = ("PATH", "FORENSIC_PLASO", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended; ``error`` is None only after a normal end with status 0."""

    exit: int
    seconds: float
    error: str | None


def start(
    argv: list[str],
    *,
    folder: Path,
    stdout: Path,
    memory_bytes: int | None = None,
    confined: Confinement | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in ``folder``; its stderr goes beside ``stdout``, with the suffix ``.stderr``.

    A program that a confined one starts inherits everything that it is denied.
    """

    with stdout.open("wb") as out, stderr_of(stdout).open("wb") as errors:
        return subprocess.Popen(
            argv,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            env=_environment(folder),
            process_group=0,  # ended as a whole; a session of its own would be scheduled apart from this program
            preexec_fn=confined.hook() if confined else _limits(memory_bytes),
        )


def converse(argv: list[str], *, folder: Path, memory_bytes: int | None = None) -> Conversation:
    """Start a program that answers requests over pipes; its stderr goes to ``folder``."""
    errors = folder / "stderr"
    with errors.open("wb") as file:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            env=_environment(folder),
            process_group=0,  # ended as a whole; a session of its own would be scheduled apart from this program
            preexec_fn=_limits(memory_bytes),
        )
    return Conversation(process, errors=errors)


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    # Our own programs are found wherever this package lies.
    here = str(Path(__file__).resolve().parents[2])
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (here, kept.get("PYTHONPATH"))))
    own = {"HOME": str(folder), "XDG_CACHE_HOME": str(folder), "TMPDIR": str(folder), "NO_COLOR": "1"}
    return kept | own


def _limits(memory_bytes: int | None) -> Callable[[], None]:
    die = die_with_parent()

    def limit() -> None:
        # Runs in the child between fork and exec.
        die()
        if memory_bytes is not None:
            _, hard = resource.getrlimit(resource.RLIMIT_AS)
            # What is already denied cannot be allowed again.
            most = memory_bytes if hard == resource.RLIM_INFINITY else min(hard, memory_bytes)
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return limit


def stderr_of(stdout: Path) -> Path:
    """Where a program's stderr is kept."""
    return stdout.with_name(stdout.name + ".stderr")


def finish(process: subprocess.Popen[bytes], *, stdout: Path, seconds: float, started: float) -> Ended:
    """Wait until ``seconds`` after ``started`` (time.monotonic), then end the program and what it started."""
    error: str | None = None
    try:
        process.wait(timeout=max(0.0, started + seconds - time.monotonic()))
    except subprocess.TimeoutExpired:
        error = f"not done after {seconds:.0f} s; it was ended"
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if error is None and process.returncode != 0:
        error = f"exit {process.returncode}: {last_line(stderr_of(stdout)) or 'nothing on stderr'}"
    return Ended(exit=process.returncode, seconds=time.monotonic() - started, error=error)


def last_line(path: Path) -> str:
    """The last line of a text file that is not empty, from its last 4 KiB."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines()]
    return next((line for line in reversed(lines) if line), "")
