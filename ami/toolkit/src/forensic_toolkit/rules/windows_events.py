"""Sigma rules on Windows event logs, as Hayabusa runs them: events in a table, rules as SQL.

A rule is a file in ``sigma_windows/`` in Sigma's own format. ``logsource`` chooses the channel: ``service`` by its name, ``category:
process_creation`` Sysmon's event 1 and Security's 4688, whose fields are renamed to Sysmon's.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from importlib import metadata, resources
from typing import Any

from forensic_toolkit.results import Event, Finding, Results, ToolRun
from forensic_toolkit.rules.sigma_rules import LEVELS, MAX_HITS, technique_of
from forensic_toolkit.times import parse_iso

Record = dict[str, Any]
CHANNELS = {
    "security": "Security",
    "system": "System",
    "powershell": "Microsoft-Windows-PowerShell/Operational",
    "sysmon": "Microsoft-Windows-Sysmon/Operational",
    "windefend": "Microsoft-Windows-Windows Defender/Operational",
    "taskscheduler": "Microsoft-Windows-TaskScheduler/Operational",
    "terminalservices-localsessionmanager": "Microsoft-Windows-TerminalServices-LocalSessionManager/Operational",
}
_CREATION = (
    f"((Channel = '{CHANNELS['security']}' AND EventID = 4688) OR (Channel = '{CHANNELS['sysmon']}' AND EventID = 1))"
)
# Field names of the Security log and their Sysmon equivalents.
_NAMES = {"NewProcessName": "Image", "ParentProcessName": "ParentImage", "SubjectUserName": "User"}
_BASE = ("time", "source", "Channel", "EventID", "Provider_Name", "Computer")
MAX_VALUE, MAX_EVENTS = 4000, 2_000_000
BURST, WINDOW = 5, timedelta(minutes=10)
_NOTABLE = frozenset({1102, 104, 4624, 4625, 4648, 4672, 4688, 4697, 4698, 4720, 4728, 4732, 7045, 1116, 5001})


def findings(records: Iterable[Record], *, results: Results) -> Iterator[Finding]:
    """One finding per match of a rule, and guessed passwords. Without pySigma there are none, and a gap says so."""
    try:
        from sigma.backends.sqlite import sqliteBackend
        from sigma.collection import SigmaCollection
    except ImportError:
        results.gap("Sigma", "pySigma or its SQLite backend is not installed in the toolkit's environment")
        return
    kept = list(records)
    backend = sqliteBackend()
    rules = [(name, SigmaCollection.from_yaml(text)) for name, text in _sources()]
    asked = [field for _name, collection in rules for rule in collection for field in backend.required_fields(rule)]
    database = _database(kept, fields=asked)
    for name, collection in rules:
        started = time.monotonic()
        rule: Any = collection.rules[0]
        hits = [hit for query in backend.convert(collection) for hit in database.execute(_narrowed(query, rule))]
        results.runs.append(
            ToolRun("sigma", metadata.version("pysigma"), [name], 0, time.monotonic() - started, len(hits))
        )
        yield from (_described(rule, hit) for hit in hits)
    database.close()
    yield from _guessing(kept)


def _sources() -> Iterator[tuple[str, str]]:
    folder = resources.files("forensic_toolkit.rules").joinpath("sigma_windows")
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.endswith(".yml"):
            yield path.name, path.read_text("utf-8")


def _database(records: list[Record], *, fields: list[str]) -> sqlite3.Connection:
    columns = list(dict.fromkeys([*_BASE, *fields]))
    database = sqlite3.connect(":memory:")
    database.row_factory = sqlite3.Row
    database.create_function(
        "REGEXP", 2, lambda p, v: v is not None and re.search(p, v) is not None, deterministic=True
    )
    names = ", ".join(f'"{column}" {"INTEGER" if column == "EventID" else "TEXT"} COLLATE NOCASE' for column in columns)
    database.execute(f"CREATE TABLE logs ({names}, message TEXT)")
    marks = ", ".join("?" * (len(columns) + 1))
    insert = f"INSERT INTO logs VALUES ({marks})"  # noqa: S608 - placeholders only
    database.executemany(insert, (_row(record, columns) for record in records))
    return database


def _row(record: Record, columns: list[str]) -> list[Any]:
    named = {_NAMES.get(key, key): value for key, value in record.items()} | record
    named["time"] = record.get("ts")
    values = [named.get(column) for column in columns]
    return [
        *(value if isinstance(value, int) or value is None else str(value)[:MAX_VALUE] for value in values),
        text_of(record),
    ]


def text_of(record: Record) -> str:
    """An event in one line: its id and its fields."""
    left_out = {
        "hostname",
        "domain",
        "ts",
        "Provider_Name",
        "EventID",
        "Channel",
        "Computer",
        "EventRecordID",
        "source",
    }
    said = [
        f"{key} {value}" for key, value in record.items() if key not in left_out and not key.startswith("_") and value
    ]
    return f"{record.get('EventID')} {'; '.join(said)}"[:MAX_VALUE]


def _narrowed(query: str, rule: Any) -> str:
    """The matches within the rule's channel, one more than is reported; the query comes from the toolkit's own rules."""
    head, condition = query.split(" WHERE ", 1)
    source = rule.logsource
    channel = CHANNELS.get(source.service or "")
    within = _CREATION if source.category == "process_creation" else f"Channel = '{channel}'" if channel else "1"
    return f"{head} WHERE ({condition}) AND {within} ORDER BY time LIMIT {MAX_HITS}"


def _described(rule: Any, hit: sqlite3.Row) -> Finding:
    return Finding(
        title=f"{rule.title} ({hit['Channel']} {hit['EventID']})",
        detail=hit["message"],
        severity=LEVELS[rule.level.name.lower()] if rule.level else "medium",
        confidence="medium",
        source=str(hit["source"] or hit["Channel"]),
        time=parse_iso(hit["time"] or ""),
        technique=technique_of(rule),
        data={"rule": str(rule.id), "event_id": hit["EventID"], "computer": hit["Computer"]},
    )


def _guessing(records: list[Record]) -> Iterator[Finding]:
    """Many failed log-ons from one address within minutes, and whether one succeeded afterwards."""
    failed: dict[str, list[datetime]] = defaultdict(list)
    succeeded: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for record in records:
        moment, address = parse_iso(str(record.get("ts") or "")), str(record.get("IpAddress") or "")
        if moment is None or not re.search(r"[0-9a-fA-F]", address):
            continue
        if record.get("EventID") == 4625:
            failed[address].append(moment)
        elif record.get("EventID") == 4624:
            succeeded[address].append((moment, str(record.get("TargetUserName"))))
    for address, moments in failed.items():
        moments.sort()
        bursts = [(a, b) for a, b in zip(moments, moments[BURST - 1 :], strict=False) if b - a <= WINDOW]
        if not bursts:
            continue
        after = sorted(entry for entry in succeeded[address] if entry[0] >= bursts[0][0])
        yield Finding(
            title=f"Passwords guessed from {address}" + (", and one succeeded" if after else ""),
            detail=f"{len(moments)} failed log-ons" + (f"; then {after[0][1]} logged on" if after else ""),
            severity="critical" if after else "medium",
            confidence="high",
            source=CHANNELS["security"],
            time=bursts[0][0],
            technique="T1110",
            data={"address": address, "failed": len(moments)},
        )


def events(records: Iterable[Record]) -> Iterator[Event]:
    """Timeline entries for all events with a time."""
    for record in records:
        moment = parse_iso(str(record.get("ts") or ""))
        if moment is not None:
            extra = {"event_id": record.get("EventID"), "channel": record.get("Channel")}
            notable = record.get("EventID") in _NOTABLE
            source = str(record.get("source") or record.get("Channel"))
            yield Event(moment, text_of(record), source, "Event Logged", notable=notable, extra=extra)
