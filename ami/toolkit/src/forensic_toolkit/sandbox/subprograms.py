"""Running other programs with limits on time and address space, and without credentials in their environment."""

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
from forensic_toolkit.sandbox.pipe_protocol import PipeProtocol

# What a tool needs to start; no other environment variable is passed on.
_KEPT = ("PATH", "FORENSIC_PLASO", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended, after how many seconds; ``error`` is None only for exit status 0 within the time limit."""

    exit: int
    seconds: float
    error: str | None


def start(
    argv: list[str],
    *,
    folder: Path,
    stdout: Path,
    memory_bytes: int | None = None,
    cpu_seconds: int | None = None,
    confined: Confinement | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in ``folder``; its stderr goes beside ``stdout``, with the suffix ``.stderr``.

    ``cpu_seconds`` bounds the work that the program does, however busy the machine is (RLIMIT_CPU); ``confined`` has
    limits of its own. Programs started by a confined one inherit its restrictions.
    """

    with stdout.open("wb") as out, stderr_of(stdout).open("wb") as errors:
        return subprocess.Popen(
            argv,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            env=_environment(folder),
            process_group=0,  # killed as a group; a session of its own would be scheduled apart from this program
            preexec_fn=confined.hook() if confined else _limits(memory_bytes, cpu_seconds),
        )


def start_pipe_protocol(argv: list[str], *, folder: Path, memory_bytes: int | None = None) -> PipeProtocol:
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
            process_group=0,  # killed as a group; a session of its own would be scheduled apart from this program
            preexec_fn=_limits(memory_bytes),
        )
    return PipeProtocol(process, errors=errors)


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    # The toolkit's own programs are found wherever this package is installed.
    here = str(Path(__file__).resolve().parents[2])
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (here, kept.get("PYTHONPATH"))))
    own = {"HOME": str(folder), "XDG_CACHE_HOME": str(folder), "TMPDIR": str(folder), "NO_COLOR": "1"}
    return kept | own


def _limits(memory_bytes: int | None, cpu_seconds: int | None = None) -> Callable[[], None]:
    die = die_with_parent()

    def limit() -> None:
        # Runs in the child between fork and exec.
        die()
        # A shell that starts this toolkit in the background makes it ignore interrupts, and that is inherited.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if memory_bytes is not None:
            _, hard = resource.getrlimit(resource.RLIMIT_AS)
            # A hard limit cannot be raised again.
            most = memory_bytes if hard == resource.RLIM_INFINITY else min(hard, memory_bytes)
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
        if cpu_seconds is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return limit


def stderr_of(stdout: Path) -> Path:
    """The path of a program's stderr, beside its stdout."""
    return stdout.with_name(stdout.name + ".stderr")


def finish(
    process: subprocess.Popen[bytes], *, stdout: Path, seconds: float, started: float, grace: float = 0.0
) -> Ended:
    """Wait until ``seconds`` after ``started`` (time.monotonic), then kill the program and everything it started.

    With ``grace`` the program is interrupted (SIGINT, as a person would) and has so many seconds to close its files before it is killed.
    """
    error: str | None = None
    try:
        process.wait(timeout=max(0.0, started + seconds - time.monotonic()))
    except subprocess.TimeoutExpired:
        error = f"not finished after {seconds:.0f} s; it was stopped"
        if grace:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=grace)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if error is None and process.returncode == -signal.SIGXCPU:
        error = "not finished within the processor time that it may use; it was stopped"
    if error is None and process.returncode < 0:
        why = ", as the kernel does where memory runs out" if process.returncode == -signal.SIGKILL else ""
        error = f"killed by signal {-process.returncode}{why}"
    if error is None and process.returncode != 0:
        error = f"exit {process.returncode}: {last_line(stderr_of(stdout)) or 'nothing on stderr'}"
    return Ended(exit=process.returncode, seconds=time.monotonic() - started, error=error)


def last_line(path: Path) -> str:
    """The last line of a text file that is not empty, looking at its last 4 KiB; empty if there is none."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines()]
    return next((line for line in reversed(lines) if line), "")
