"""Windows artifacts: event logs, registry, tasks, prefetch, Amcache, shimcache, change journal; texts, shortcuts and transfers.

Event logs are read here, each by itself and its newest part first; so is what needs no program of its own (``_READERS``). The rest comes from dissect's ``target-query``, run as a separate
program (AGPL) once for each kind of artifact, so that none waits for another. The full profile adds the MFT.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers import event_logs
from forensic_toolkit.readers.coverage import Artifact, Coverage
from forensic_toolkit.results import Event, Finding, Results, ToolRun
from forensic_toolkit.rules import (
    artifacts,
    bits_rules,
    rule_packs,
    shortcut_rules,
    sigma_engine,
    windows_events,
    windows_rules,
    windows_series,
    windows_texts,
    windows_traces,
)
from forensic_toolkit.rules.rule_packs import Packs
from forensic_toolkit.runners import dissect_program, dissect_query
from forensic_toolkit.sandbox import subprograms
from forensic_toolkit.times import parse_iso

Record = dict[str, Any]
FUNCTIONS = {
    "runkeys": "windows/registry/run",
    "services": "windows/service",
    "tasks": "filesystem/windows/task/action",
    "prefetch": "filesystem/ntfs/prefetch",
    "amcache.application_files": "windows/appcompat/InventoryApplicationFile",
    "shimcache": "windows/shimcache",
    "usnjrnl": "filesystem/ntfs/usnjrnl",
}
# What a function reads; without one of these files it is not asked.
_NEEDS = {
    "runkeys": r"/windows/system32/config/software|/users/[^/]+/ntuser\.dat",
    "services": r"/windows/system32/config/system",
    "tasks": r"/windows/system32/tasks/.+|/windows/tasks/.+\.job",
    "prefetch": r"/windows/prefetch/[^/]+\.pf",
    "amcache.application_files": r"/windows/appcompat/programs/amcache\.hve",
    "shimcache": r"/windows/system32/config/system",
    "usnjrnl": r"/\$extend/\$usnjrnl(:\$j)?",
}
_NAMES = {
    "runkeys": "run keys",
    "services": "Windows services",
    "tasks": "scheduled tasks",
    "prefetch": "prefetch",
    "amcache.application_files": "Amcache",
    "shimcache": "shimcache",
    "usnjrnl": "change journal",
}
KINDS = (
    tuple(
        artifacts.Kind(
            _NAMES[function], ("/windows/", "ntuser.dat", "$extend"), pattern, functions=(function,), windows=True
        )
        for function, pattern in _NEEDS.items()
    )
    + windows_texts.KINDS
    + shortcut_rules.KINDS
    + bits_rules.KINDS
)
# Registry keys whose records those functions give, by the artifact's name (dissect.target's runkeys, services, shimcache).
_RUN = r"(Wow6432Node\\)?Microsoft\\Windows\\CurrentVersion\\(Policies\\Explorer\\Run|Run|RunOnce|RunOnce\\Setup|RunOnceEx)(\\[^\\]*)?$"
REGISTRY = {
    "run keys": rf"(HKEY_LOCAL_MACHINE|HKEY_CURRENT_USER|HKEY_USERS\\[^\\]+)\\Software\\{_RUN}",
    "Windows services": r"HKEY_LOCAL_MACHINE\\SYSTEM\\(CurrentControlSet|ControlSet\w+)\\Services(\\[^\\]+(\\(ImagePath|Start|Type|DisplayName|Description|ObjectName))?)?$",
    "shimcache": r"HKEY_LOCAL_MACHINE\\SYSTEM\\(CurrentControlSet|ControlSet\w+)\\Control\\Session Manager\\AppCompat(Cache|ibility)\b.*",
}
# Of the change journal's millions of records only these are kept.
_WANTED: dict[str, Callable[[Record], bool]] = {"usnjrnl": windows_traces.matters}
MFT = {"mft": "filesystem/ntfs/mft/"}
EVENT_LOG, PREFETCH = "Windows event log", "prefetch file"
MAX_RECORDS, MAX_EVENTS, MAX_NOTABLE = 3_000_000, 2_000_000, 2_000
SECONDS_FOR_A_FUNCTION = 300.0
# Artifacts that are read as they are, without dissect.
_READERS = (
    ("Windows texts", windows_texts.findings),
    (shortcut_rules.RULE, shortcut_rules.findings),
    (bits_rules.KIND, bits_rules.findings),
)
_SYSTEM = re.compile(r"(.*)/windows/system32", re.IGNORECASE)


def is_windows(tree: Tree) -> bool:
    """Whether the volume holds a Windows system, or event logs of one."""
    system = any(map(_SYSTEM.fullmatch, tree.entries.of_kind("DIR")))
    return system or next(_logs(tree), None) is not None


def examine(
    device: Path, tree: Tree, *, coverage: Coverage, results: Results, raw: Path, packs: Packs | None = None
) -> None:
    """Add findings and timeline entries from the records of a Windows system; artifacts that could not be read are gaps."""
    for name, read in _READERS:
        results.apply(name, rule=partial(read, tree, coverage=coverage, results=results))
    results.apply("Windows hives", rule=partial(_hives, tree, results=results))
    device = source(device, tree, folder=raw.parent)
    count = examine_event_logs(list(_logs(tree)), coverage=coverage, results=results, raw=raw, packs=packs)
    records: dict[str, list[Record]] = {function: [] for function in FUNCTIONS}
    for function, prefix in FUNCTIONS.items():
        if any(_files(tree, _NEEDS[function])):
            found = _query(device, {function: prefix}, results=results, raw=raw, name=function.replace(".", "-"))
            records[function] = (found or {}).get(function, [])
    results.apply("Windows coverage", rule=partial(_cover_prefetch, tree, records, coverage=coverage))
    for rule in windows_rules.RULES:
        results.apply(f"windows_rules.{rule.__name__}", rule=partial(rule, records))
    for rule in windows_traces.RULES:
        results.apply(f"windows_traces.{rule.__name__}", rule=partial(rule, records))
    results.events.extend(windows_rules.events(records))
    results.events.extend(windows_traces.events(records))
    _check_registry(tree, records, results=results)
    results.counts["windows_records"] = count + sum(map(len, records.values()))


def examine_event_logs(
    logs: list[Entry], *, coverage: Coverage, results: Results, raw: Path, packs: Packs | None = None
) -> int:
    """Examine event logs, wherever they are from; returns the number of records read."""
    if not logs or not event_logs.installed(results):
        return 0
    rules, watch = windows_events.shipped(results), windows_series.Watch()
    given = rule_packs.sigma(packs or Packs(), product="windows", results=results)
    both = sigma_engine.Rules([*rules.rules, *given.rules])
    opened = [event_logs.opened(entry) for entry in logs]
    covered = {log.entry.path: coverage.add(Artifact(EVENT_LOG, log.entry.path, log.entry.size)) for log in opened}
    with tempfile.TemporaryDirectory(dir=raw.parent) as folder:
        table = windows_events.table_for(both, path=Path(folder) / "events.sqlite")
        started = time.monotonic()
        table.fill(_prepared(record, covered, watch) for record in _newest_first(opened, results=results))
        results.runs.append(
            ToolRun("evtx", _version(), [f"{len(logs)} logs"], 0, time.monotonic() - started, table.rows)
        )
        for log in opened:
            _account(covered[log.entry.path], log)
        results.findings.extend(windows_events.examined(both, table, results=results))
        given.refused += both.refused
        sigma_engine.account(rules, what="Sigma", results=results)
        if packs is not None and packs.sigma:
            rule_packs.account(given, unplaced=windows_events.unplaced(given), results=results)
        _timeline(table, results=results, raw=raw)
        rows = table.rows
        table.close()
    results.findings.extend(watch.findings(results=results))
    return rows


def _newest_first(logs: list[event_logs.EventLog], *, results: Results) -> Iterator[Record]:
    """The records of all logs, one portion of each in turn, until the time or the room has passed."""
    waiting = deque((log, event_logs.batches(log)) for log in logs)
    until = time.monotonic() + results.seconds_left() * 0.4
    count = 0
    while waiting:
        log, portions = waiting.popleft()
        portion = next(portions, None)
        if portion is None:
            continue
        yield from portion
        count += len(portion)
        if time.monotonic() > until or count > MAX_EVENTS:
            unread = [item.entry.path for item, _ in [*waiting, (log, portions)] if item.read < item.announced]
            if unread:
                why = f"{count} records were read, of every log the newest first; older ones of {len(unread)} logs were not: "
                results.gap("event logs", why + ", ".join(unread[:20]))
            return
        waiting.append((log, portions))


def _prepared(record: Record, covered: dict[str, Artifact], watch: windows_series.Watch) -> Record:
    moment = parse_iso(str(record.get("ts") or ""))
    artifact = covered[record["source"]]
    if moment is not None:
        artifact.understood(moment)
        record["ts"] = moment.isoformat()
    return windows_events.prepared(watch.seen(record))


def _account(artifact: Artifact, log: event_logs.EventLog) -> None:
    artifact.lines = log.announced
    artifact.problems.extend(log.problems)
    if not log.announced and not log.problems:
        artifact.bytes = 0  # a log that was created but never written to


def _timeline(table: sigma_engine.Table, *, results: Results, raw: Path) -> None:
    """All events into a file in order of time; the newest notable ones into the results."""
    path = raw / "event-logs.jsonl"
    notable: deque[Event] = deque(maxlen=MAX_NOTABLE)
    with path.open("w", encoding="utf-8") as file:
        query = "SELECT ts, source, message, EventID, Channel FROM logs ORDER BY ts"
        for row in table.database.execute(query):
            event = windows_events.event(row)
            if event is None:
                continue
            if event.notable and len(notable) == MAX_NOTABLE:
                _write(notable[0], file.write)
            if event.notable:
                notable.append(event)
            else:
                _write(event, file.write)
            results.more_entries += 1
    results.more_entries -= len(notable)
    results.events.extend(notable)
    results.more_timeline = path


def _write(event: Event, write: Callable[[str], int]) -> None:
    write(json.dumps(event.as_timesketch(), ensure_ascii=False) + "\n")


def source(device: Path, tree: Tree, *, folder: Path) -> Path:
    """What dissect reads: the device, or the description of the volume when another program decrypts it or puts it together."""
    entry = next(_files(tree, r"/windows/system32/config/[^/]+"), None)
    system = entry.filesystem if entry is not None else None
    if system is None or system.partition.storage is None:
        return device
    path = folder / f"windows{dissect_query.DESCRIBED}"
    path.write_text(json.dumps(system.partition.storage.described()), encoding="ascii")
    return path


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
    program = dissect_program.command()
    if program is None:
        results.gap("dissect", "target-query is not installed in the toolkit's environment")
        return None
    folder = raw / f"dissect-{name}"
    folder.mkdir()
    output = folder / "records.jsonl"
    argv = [*program, "--no-cache", "-j", "-f", ",".join(functions), str(device)]
    most = SECONDS_FOR_A_FUNCTION if functions is not MFT else 86_400.0
    started, seconds = time.monotonic(), max(30.0, min(most, results.seconds_left() * 0.5))
    process = subprograms.start(argv, folder=folder, stdout=output, memory_bytes=dissect_program.MEMORY)
    ended = subprograms.finish(process, stdout=output, seconds=seconds, started=started)
    found: dict[str, list[Record]] = {function: [] for function in functions}
    count: Counter[str] = Counter()
    for record in _records(output, results=results):
        kind = str((record.get("_recorddescriptor") or [""])[0])
        function = next((function for function, prefix in functions.items() if kind.startswith(prefix)), None)
        if function:
            count[function] += 1
            if function not in _WANTED or _WANTED[function](record):
                found[function].append(record)
    for function in found:
        version = dissect_program.version()
        results.runs.append(
            ToolRun("dissect.target", version, [function], ended.exit, ended.seconds, count[function], ended.error)
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


def _cover_prefetch(tree: Tree, records: dict[str, list[Record]], *, coverage: Coverage) -> Iterator[Finding]:
    """Coverage of prefetch: each file that gave no record is named; yields no findings."""
    known = {_name(record.get("prefetch")) for record in records["prefetch"]}
    files = list(_files(tree, r"/windows/prefetch/[^/]+\.pf"))
    if files:
        artifact = coverage.add(Artifact(PREFETCH, files[0].folder, sum(entry.size for entry in files)))
        artifact.lines = len(files)
        silent = [entry.name for entry in files if entry.name.lower() not in known]
        artifact.parsed = len(files) - len(silent)
        if silent:
            artifact.problems.append(f"{len(silent)} of {len(files)} files gave no record: {', '.join(silent[:20])}")
    yield from ()


def _hives(tree: Tree, *, results: Results) -> Iterator[Finding]:
    """A gap for each hive that is absent or damaged, with what it costs; yields no findings."""
    for name, costs in (
        ("software", "the paths of the system, run keys and installed programs"),
        ("system", "services, shimcache and the time zone"),
        ("sam", "local accounts"),
        ("security", "secrets and the audit policy"),
    ):
        if not is_system(tree):
            break
        entry = next(_files(tree, f"/windows/system32/config/{name}"), None)
        if entry is None or not entry.size:
            results.gap(f"hive {name.upper()}", f"it is absent; it holds {costs}, and what depends on them is missing")
        elif entry.read(limit=4) != b"regf" or entry.read(limit=4, offset=4096) != b"hbin":
            results.gap(f"hive {name.upper()}", f"it is damaged (no valid header); it holds {costs}")
    yield from ()


def is_system(tree: Tree) -> bool:
    """Whether the volume has a Windows folder with hives."""
    return any(_files(tree, r"/windows/system32/config/[^/]+"))


def _check_registry(tree: Tree, records: dict[str, list[Record]], *, results: Results) -> None:
    """Record a gap for a registry hive that exists but gave no records."""
    for hive, function in (
        ("system32/config/system", "services"),
        ("appcompat/programs/amcache.hve", "amcache.application_files"),
    ):
        there = next(_files(tree, f"/windows/{re.escape(hive)}"), None)
        if there is not None and there.size and not records[function]:
            results.gap(f"coverage: {there.path}", f"{there.size} bytes, but {function} gave no records")


def _logs(tree: Tree) -> Iterator[Entry]:
    return _files(tree, r"/.*\.evtx")


def _files(tree: Tree, pattern: str) -> Iterator[Entry]:
    """Files below any folder of a Windows system, by pattern, ignoring case."""
    compiled = re.compile(pattern, re.IGNORECASE)
    return tree.entries.matching(compiled.fullmatch, "REG")


def _version() -> str:
    from importlib import metadata

    return metadata.version("evtx")


def _name(path: object) -> str:
    return str(path or "").replace("\\", "/").rsplit("/", 1)[-1].lower()
