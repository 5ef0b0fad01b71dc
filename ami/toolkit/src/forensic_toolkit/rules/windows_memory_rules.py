"""Findings and timeline entries from the rows of Volatility's Windows plugins.

Columns are those of the pinned version; tested on rows of that form, not yet on memory of a real Windows instance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from forensic_toolkit.readers.process_tree import COMMANDS, LIST, NET, SCAN
from forensic_toolkit.readers.processes import Rows
from forensic_toolkit.results import Event, Finding, Severity
from forensic_toolkit.rules.addresses import is_foreign
from forensic_toolkit.rules.command_rules import first_match
from forensic_toolkit.times import parse_iso

MAX_OF_A_KIND = 50


@dataclass(frozen=True, slots=True)
class _Kind:
    """The meaning of a row, for plugins that list only anomalies."""

    plugin: str
    title: str
    severity: Severity
    technique: str


KINDS = (
    _Kind("windows.malware.malfind.Malfind", "Memory that is writable and executable", "medium", "T1055"),
    _Kind("windows.malware.hollowprocesses.HollowProcesses", "Hollowed process", "high", "T1055.012"),
    _Kind("windows.malware.processghosting.ProcessGhosting", "Process whose executable was deleted", "high", "T1055"),
    _Kind("windows.malware.suspicious_threads.SuspiciousThreads", "Suspicious thread", "medium", "T1055.003"),
    _Kind("windows.malware.svcdiff.SvcDiff", "Service hidden from the service list", "high", "T1543.003"),
)


def rules(rows: Rows) -> Iterator[tuple[str, Callable[[], Iterable[Finding]]]]:
    """All rules by name, bound to ``rows``; a rule whose plugin failed finds nothing."""
    for kind in KINDS:
        yield kind.plugin, partial(_each, rows, kind=kind)
    yield "hidden processes", partial(hidden_processes, rows)
    yield "command lines", partial(command_lines, rows)
    yield "connections", partial(connections, rows)


def _each(rows: Rows, *, kind: _Kind) -> Iterator[Finding]:
    for row in list(rows.get(kind.plugin, ()))[:MAX_OF_A_KIND]:
        name = row.get("Process") or row.get("Name") or "unknown"
        shown = "; ".join(f"{key} {value}" for key, value in row.items() if value not in (None, "", "Disabled"))
        yield Finding(
            title=f"{kind.title}: {name} ({row.get('PID', 'no process')})",
            detail=shown,
            severity=kind.severity,
            confidence="medium",
            source=kind.plugin,
            technique=kind.technique,
            data={"pid": row.get("PID")},
        )


def hidden_processes(rows: Rows) -> Iterator[Finding]:
    """Running processes found by a memory scan, but missing from the process list."""
    if not rows.get(LIST):
        return
    listed = {(row["PID"], row.get("CreateTime")) for row in rows[LIST]}
    for row in rows.get(SCAN, ()):
        if row.get("ExitTime") is None and row.get("CreateTime") and (row["PID"], row["CreateTime"]) not in listed:
            yield Finding(
                title=f"Process hidden from the process list: {row.get('ImageFileName')} ({row['PID']})",
                detail=f"parent {row.get('PPID')}, created {row['CreateTime']}; found only by scanning memory",
                severity="high",
                confidence="medium",
                source=SCAN,
                time=parse_iso(row["CreateTime"]),
                technique="T1014",
                data={"pid": row["PID"], "ppid": row.get("PPID")},
            )


def command_lines(rows: Rows) -> Iterator[Finding]:
    """Suspicious command lines, by the same rules as on disks."""
    started = {row["PID"]: row.get("CreateTime") for row in rows.get(LIST, ())}
    for row in rows.get(COMMANDS, ()):
        rule = first_match(row.get("Args") or "")
        if rule is not None and rule.severity != "info":
            yield Finding(
                title=f"{rule.name}: {row.get('Process')} ({row['PID']})",
                detail=str(row["Args"]),
                severity=rule.severity,
                confidence="medium",
                source=COMMANDS,
                time=parse_iso(started.get(row["PID"]) or ""),
                technique=rule.technique,
                data={"pid": row["PID"], "rule": rule.name},
            )


def connections(rows: Rows) -> Iterator[Finding]:
    """Connections to foreign addresses."""
    for row in rows.get(NET, ()):
        if row.get("State") == "ESTABLISHED" and is_foreign(str(row.get("ForeignAddr"))):
            yield Finding(
                title=f"Connection to {row['ForeignAddr']}:{row.get('ForeignPort')} of {row.get('Owner') or 'unknown'}",
                detail=f"from {row.get('LocalAddr')}:{row.get('LocalPort')}, process {row.get('PID')}",
                severity="low",
                confidence="medium",
                source=NET,
                time=parse_iso(row.get("Created") or ""),
                technique=None,
                data={"pid": row.get("PID"), "address": row["ForeignAddr"]},
            )


def events(rows: Rows) -> list[Event]:
    """Process starts."""
    return [_start(row, time) for row in rows.get(LIST, ()) if (time := parse_iso(row.get("CreateTime") or ""))]


def _start(row: Mapping[str, Any], time: datetime) -> Event:
    what = f"Process {row['PID']} started: {row.get('ImageFileName')} (parent {row.get('PPID')})"
    extra = {"pid": row["PID"], "ppid": row.get("PPID")}
    return Event(time, what, LIST, "Process Start Time", notable=True, extra=extra)
