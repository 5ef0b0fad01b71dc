"""dissect's ``target-query`` as a second opinion; run as a separate program and never imported (AGPL)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from forensic_toolkit.readers.coverage import far_too_little
from forensic_toolkit.results import Results, ToolRun
from forensic_toolkit.sandbox import subprograms

FUNCTIONS = ("authlog", "wtmp", "btmp", "commandhistory", "cronjobs")
CPU_SECONDS = 240  # of work; several volumes are read at once, and each program gets its share of the machine
MEMORY = 4 << 30
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Running:
    """The running program, the file with its output, and its start on the clock of time.monotonic."""

    process: subprocess.Popen[bytes]
    output: Path
    started: float


def program() -> str | None:
    """The path of ``target-query``, beside this Python or on the PATH."""
    beside = Path(sys.executable).with_name("target-query")
    return str(beside) if beside.exists() else shutil.which("target-query")


def command() -> list[str] | None:
    """The words that ``target-query`` is run with: our own is repaired first (:mod:`.dissect_query`)."""
    path = program()
    if path is None:
        return None
    own = Path(path) == Path(sys.executable).with_name("target-query")
    return [sys.executable, "-m", "forensic_toolkit.runners.dissect_query"] if own else [path]


def version() -> str:
    """The installed version, or ``absent``."""
    try:
        return metadata.version("dissect.target")
    except metadata.PackageNotFoundError:
        return "absent"


def start(device: Path, *, raw: Path, results: Results) -> Running | None:
    """Start the program; None when it is not installed, and a gap says so."""
    words = command()
    if words is None:
        results.gap("dissect", "target-query is not installed in the toolkit's environment")
        return None
    folder = raw / "dissect"
    folder.mkdir()
    output = folder / "records.jsonl"
    argv = [*words, "--no-cache", "-j", "-f", ",".join(FUNCTIONS), str(device)]
    started = time.monotonic()
    process = subprograms.start(argv, folder=folder, stdout=output, memory_bytes=MEMORY, cpu_seconds=CPU_SECONDS)
    return Running(process, output, started)


def finish(running: Running, *, results: Results, expected: dict[str, int]) -> Counter[str]:
    """Wait for the program and record each function.

    Far fewer records than expected are a gap, with the program's own message if it gave one.
    """
    seconds = time.monotonic() - running.started + max(1.0, results.seconds_left())
    ended = subprograms.finish(running.process, stdout=running.output, seconds=seconds, started=running.started)
    rows = count_records(running.output)
    complaints = _complaints(subprograms.stderr_of(running.output))
    for function in FUNCTIONS:
        error = ended.error
        if not rows[function] and error is None:
            error = complaints.get(function) or "it succeeded but gave no records"
        results.runs.append(
            ToolRun("dissect.target", version(), [function], ended.exit, ended.seconds, rows[function], error)
        )
        short = far_too_little(
            "target-query", rows=rows[function], present=expected.get(function, 0), what="in the file system"
        )
        if ended.error is not None or short:
            results.gap(f"dissect {function}", ended.error or f"{short} ({error})" if error else str(short))
    return rows


def count_records(output: Path) -> Counter[str]:
    """The number of records by function; a truncated last line is not counted."""
    counts: Counter[str] = Counter()
    with output.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                counts[_function(record)] += 1
    return counts


def _function(record: dict[str, object]) -> str:
    """The function that a record comes from, by the name of its type."""
    descriptor = str(record.get("_recorddescriptor") or record.get("_type") or record)
    names = {
        "auth": "authlog",
        "btmp": "btmp",
        "wtmp": "wtmp",
        "history": "commandhistory",
        "cron": "cronjobs",
    }
    return next((function for part, function in names.items() if part in descriptor.lower()), "other")


def _complaints(errors: Path) -> dict[str, str]:
    text = _COLOURS.sub("", errors.read_text("utf-8", "replace"))
    found: dict[str, str] = {}
    for line in text.splitlines():
        for function in FUNCTIONS:
            if f"for {function}:" in line or f"plugin {function}" in line:
                found.setdefault(function, line.split(f"{function}", 1)[1].split("[", 1)[0].strip(": ")[:200])
    return found
