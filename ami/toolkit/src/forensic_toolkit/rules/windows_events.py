"""The shipped Sigma rules on Windows event logs, and series of events. A rule is a file in ``sigma_windows/`` in Sigma's own format."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from forensic_toolkit.results import Event, Finding, Results
from forensic_toolkit.rules import sigma_engine, windows_series, windows_sources
from forensic_toolkit.rules.sigma_engine import Rule, Rules, Table

Record = dict[str, Any]
KEYS = ("Channel", "EventID", "Provider_Name", "Computer")
MAX_TEXT = 4000
_NOTABLE = frozenset({1102, 104, 4624, 4625, 4648, 4672, 4688, 4697, 4698, 4720, 4728, 4732, 7045, 1116, 5001})
_LEFT_OUT = frozenset(
    {"hostname", "domain", "ts", "Provider_Name", "EventID", "Channel", "Computer", "EventRecordID", "source", "Level", "message",
     "RuleName", "UtcTime", "ProcessGuid", "ParentProcessGuid", "LogonGuid", "SourceProcessGUID", "TargetProcessGUID"}
)  # fmt: skip


def shipped(results: Results) -> Rules:
    """The project's own rules."""
    return sigma_engine.translated(sigma_engine.shipped("sigma_windows"), results=results)


def unplaced(rules: Rules) -> list[Rule]:
    """Rules whose log source no event log holds."""
    return [rule for rule in rules.rules if within(rule) is None]


def findings(records: Iterable[Record], *, results: Results) -> Iterator[Finding]:
    """What the shipped rules find, equal hits folded, and series of events."""
    rules, watch = shipped(results), windows_series.Watch()
    table = table_for(rules)
    table.fill(prepared(watch.seen(record)) for record in records)
    yield from examined(rules, table, results=results)
    sigma_engine.account(rules, what="Sigma", results=results)
    table.close()
    yield from watch.findings(results=results)


def table_for(rules: Rules, *, path: Path | None = None) -> Table:
    """A table for events, which asks each rule only about those of its own log source."""
    return Table(rules.rules, keys=KEYS, path=path, place=_place, applies=_applies)


def _place(record: Record) -> tuple[str, int]:
    return str(record.get("Channel")), int(record.get("EventID") or 0)


def _applies(rule: Rule, place: tuple[str, int]) -> bool:
    if rule.product not in ("", "windows"):
        return False
    return windows_sources.holds(rule.category, rule.service, channel=place[0], event_id=place[1])


def prepared(record: Record) -> Record:
    """A record as the table takes it: with Sysmon's field names and its text."""
    named = windows_sources.normalised(record)
    return {**named, "message": text_of(record)}


def examined(rules: Rules, table: Table, *, results: Results) -> Iterator[Finding]:
    """The findings of rules on a filled table."""
    table.index("Channel", "EventID")
    yield from sigma_engine.run(rules, table, within=within, describe=_described, results=results)


def within(rule: Rule) -> str | None:
    """The SQL condition of a rule's log source; None where no event log holds it."""
    if rule.product not in ("", "windows"):
        return None
    return windows_sources.condition(rule.category, rule.service)


def text_of(record: Record) -> str:
    """An event in one line: its id and its fields."""
    said = [
        f"{key} {value}" for key, value in record.items() if key not in _LEFT_OUT and not key.startswith("_") and value
    ]
    return f"{record.get('EventID')} {'; '.join(said)}"[: sigma_engine.MAX_VALUE]


def _shown(text: str) -> str:
    """An event's line as a person reads it: of a long one beginning and end, because padding hides what follows it."""
    if len(text) <= MAX_TEXT:
        return text
    half = MAX_TEXT // 2 - 50
    return f"{text[:half]} … ({len(text) - 2 * half} characters left out) … {text[-half:]}"


def _described(rule: Rule, row: sqlite3.Row) -> Finding:
    return Finding(
        title=f"{rule.title} ({row['Channel']} {row['EventID']})",
        detail=_shown(row["message"]),
        severity=rule.severity,
        confidence="medium",
        source=str(row["source"] or row["Channel"]),
        time=sigma_engine.moment_of(row),
        technique=rule.technique,
        data={
            "rule": rule.id,
            "event_id": row["EventID"],
            "computer": row["Computer"],
            **({"pack": rule.pack} if rule.pack else {}),
        },
        kind=rule.title,
    )


def event(row: sqlite3.Row) -> Event | None:
    """The timeline entry of an event; None without a time."""
    moment = sigma_engine.moment_of(row)
    if moment is None:
        return None
    extra = {"event_id": row["EventID"], "channel": row["Channel"]}
    source = str(row["source"] or row["Channel"])
    return Event(
        moment, _shown(row["message"]), source, "Event Logged", notable=row["EventID"] in _NOTABLE, extra=extra
    )
