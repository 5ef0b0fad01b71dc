"""Windows artifacts: registry, event logs, tasks, prefetch, Amcache.

dissect's ``target-query`` reads them, run as a separate program (AGPL). The full profile adds the MFT, which takes
minutes for every hundred thousand files.
"""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers.coverage import Artifact, Coverage
from forensic_toolkit.results import Finding, Results, ToolRun
from forensic_toolkit.rules import windows_events, windows_rules
from forensic_toolkit.runners import dissect_program
from forensic_toolkit.sandbox import subprograms
from forensic_toolkit.times import parse_iso

Record = dict[str, Any]
FUNCTIONS = {
    "evtx": "filesystem/windows/evtx",
    "runkeys": "windows/registry/run",
    "services": "windows/service",
    "tasks": "filesystem/windows/task/action",
    "prefetch": "filesystem/ntfs/prefetch",
    "amcache.application_files": "windows/appcompat/InventoryApplicationFile",
}
MFT = {"mft": "filesystem/ntfs/mft/"}
EVENT_LOG, PREFETCH = "Windows event log", "prefetch file"
MAX_RECORDS = 3_000_000
_SYSTEM = re.compile(r"(.*)/windows/system32", re.IGNORECASE)
_CHUNK, _CHUNK_HEADER = 65536, 4096


def is_windows(tree: Tree) -> bool:
    """Whether the volume holds a Windows system."""
    return any(_SYSTEM.fullmatch(entry.path) for entry in tree.entries if not entry.deleted and entry.kind == "DIR")


def examine(device: Path, tree: Tree, *, coverage: Coverage, results: Results, raw: Path) -> None:
    """Add findings and timeline entries from the records of a Windows system; artifacts that could not be read are gaps."""
    records = _query(device, FUNCTIONS, results=results, raw=raw, name="windows")
    if records is None:
        return
    results.apply("Windows coverage", rule=partial(_cover, tree, records, coverage=coverage))
    results.apply("Windows events", rule=partial(windows_events.findings, records["evtx"], results=results))
    results.events.extend(windows_events.events(records["evtx"]))
    for rule in windows_rules.RULES:
        results.apply(f"windows_rules.{rule.__name__}", rule=partial(rule, records))
    results.events.extend(windows_rules.events(records))
    _check_registry(tree, records, results=results)
    results.counts["windows_records"] = sum(map(len, records.values()))


def master_file_table(device: Path, *, results: Results, raw: Path) -> None:
    """Add findings on files whose times in the MFT contradict each other."""
    records = _query(device, MFT, results=results, raw=raw, name="mft")
    if records is not None:
        results.counts["mft_records"] = len(records["mft"])
        if not records["mft"]:
            results.gap("dissect mft", "the program succeeded but gave no records")
        results.apply("windows_rules.forged_times", rule=partial(windows_rules.forged_times, records["mft"]))


def _query(
    device: Path, functions: dict[str, str], *, results: Results, raw: Path, name: str
) -> dict[str, list[Record]] | None:
    """Run ``target-query`` and return its records by function; without the program None, and a gap."""
    program = dissect_program.program()
    if program is None:
        results.gap("dissect", "target-query is not installed in the toolkit's environment")
        return None
    folder = raw / f"dissect-{name}"
    folder.mkdir()
    output = folder / "records.jsonl"
    argv = [program, "--no-cache", "-j", "-f", ",".join(functions), str(device)]
    started, seconds = time.monotonic(), max(30.0, results.seconds_left() * 0.7)
    process = subprograms.start(argv, folder=folder, stdout=output, memory_bytes=dissect_program.MEMORY)
    ended = subprograms.finish(process, stdout=output, seconds=seconds, started=started)
    found: dict[str, list[Record]] = {function: [] for function in functions}
    for record in _records(output, results=results):
        kind = str((record.get("_recorddescriptor") or [""])[0])
        function = next((function for function, prefix in functions.items() if kind.startswith(prefix)), None)
        if function:
            found[function].append(record)
    for function, rows in found.items():
        version = dissect_program.version()
        results.runs.append(
            ToolRun("dissect.target", version, [function], ended.exit, ended.seconds, len(rows), ended.error)
        )
    if ended.error is not None:
        results.gap(f"dissect {name}", f"{ended.error}; the records up to then were used")
    return found


def _records(output: Path, *, results: Results) -> Iterator[Record]:
    with output.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file):
            if number >= MAX_RECORDS:
                results.gap("dissect", f"more than {MAX_RECORDS} records; the rest was not examined")
                return
            try:
                record = json.loads(line)
            except ValueError:
                continue  # the program was stopped while writing its last line
            if isinstance(record, dict) and record.get("_type") == "record":
                yield record


def _cover(tree: Tree, records: dict[str, list[Record]], *, coverage: Coverage) -> Iterator[Finding]:
    """Coverage of event logs (records announced by their chunks) and of prefetch (files, and files that gave records)."""
    read: dict[str, list[str]] = defaultdict(list)
    for record in records["evtx"]:
        read[_name(record.get("source"))].append(str(record.get("ts") or ""))
    for entry in _files(tree, r"/windows/system32/winevt/logs/[^/]+\.evtx"):
        artifact = coverage.add(Artifact(EVENT_LOG, entry.path, entry.size))
        artifact.lines = records_in(entry)
        for moment in filter(None, map(parse_iso, read[entry.name.lower()])):
            artifact.understood(moment)
        if not artifact.lines:
            artifact.bytes = 0  # a log that was created but never written to
    known = {_name(record.get("prefetch")) for record in records["prefetch"]}
    files = list(_files(tree, r"/windows/prefetch/[^/]+\.pf"))
    if files:
        artifact = coverage.add(Artifact(PREFETCH, files[0].folder, sum(entry.size for entry in files)))
        artifact.lines = len(files)
        artifact.parsed = sum(entry.name.lower() in known for entry in files)
    yield from ()


def records_in(entry: Entry) -> int:
    """The number of records that the chunk headers of an event log announce."""
    total = 0
    for offset in range(_CHUNK_HEADER, entry.size, _CHUNK):
        head = entry.read(limit=40, offset=offset)
        if head[:8] == b"ElfChnk\0":
            first, last = int.from_bytes(head[24:32], "little"), int.from_bytes(head[32:40], "little")
            total += max(0, min(last - first + 1, _CHUNK // 24))
    return total


def _check_registry(tree: Tree, records: dict[str, list[Record]], *, results: Results) -> None:
    """Record a gap for a registry hive that exists but gave no records."""
    for hive, function in (
        ("system32/config/system", "services"),
        ("appcompat/programs/amcache.hve", "amcache.application_files"),
    ):
        there = next(_files(tree, f"/windows/{re.escape(hive)}"), None)
        if there is not None and there.size and not records[function]:
            results.gap(f"coverage: {there.path}", f"{there.size} bytes, but {function} gave no records")


def _files(tree: Tree, pattern: str) -> Iterator[Entry]:
    """Files below any folder of a Windows system, by pattern, ignoring case."""
    compiled = re.compile(pattern, re.IGNORECASE)
    return (entry for entry in tree.entries if entry.is_file and compiled.fullmatch(entry.path))


def _name(path: object) -> str:
    return str(path or "").replace("\\", "/").rsplit("/", 1)[-1].lower()
