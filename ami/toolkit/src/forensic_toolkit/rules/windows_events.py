"""The shipped Sigma rules on Windows event logs, and guessed passwords. A rule is a file in ``sigma_windows/`` in Sigma's own format."""

from __future__ import annotations

import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from forensic_toolkit.results import Event, Finding, Results
from forensic_toolkit.rules import sigma_engine, windows_sources
from forensic_toolkit.rules.sigma_engine import Rule, Rules, Table
from forensic_toolkit.times import parse_iso

Record = dict[str, Any]
KEYS = ("Channel", "EventID", "Provider_Name", "Computer")
MAX_TEXT = 4000
BURST, WINDOW = 5, timedelta(minutes=10)
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
    """What the shipped rules find, equal hits folded, and guessed passwords."""
    rules, guesses = shipped(results), Guesses()
    table = table_for(rules)
    table.fill(prepared(guesses.seen(record)) for record in records)
    yield from examined(rules, table, results=results)
    sigma_engine.account(rules, what="Sigma", results=results)
    table.close()
    yield from guesses.findings()


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
    return f"{record.get('EventID')} {'; '.join(said)}"[:MAX_TEXT]


def _described(rule: Rule, row: sqlite3.Row) -> Finding:
    return Finding(
        title=f"{rule.title} ({row['Channel']} {row['EventID']})",
        detail=row["message"],
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


class Guesses:
    """Log-ons that failed and succeeded, by address, while records pass by."""

    def __init__(self) -> None:
        self._failed: dict[str, list[datetime]] = defaultdict(list)
        self._succeeded: dict[str, list[tuple[datetime, str]]] = defaultdict(list)

    def seen(self, record: Record) -> Record:
        """Note a record and return it."""
        if record.get("EventID") in (4624, 4625):
            moment, address = parse_iso(str(record.get("ts") or "")), str(record.get("IpAddress") or "")
            if moment is not None and re.search(r"[0-9a-fA-F]", address):
                if record["EventID"] == 4625:
                    self._failed[address].append(moment)
                else:
                    self._succeeded[address].append((moment, str(record.get("TargetUserName"))))
        return record

    def findings(self) -> Iterator[Finding]:
        """Many failed log-ons from one address within minutes, and whether one succeeded afterwards."""
        for address, moments in self._failed.items():
            moments.sort()
            bursts = [(a, b) for a, b in zip(moments, moments[BURST - 1 :], strict=False) if b - a <= WINDOW]
            if not bursts:
                continue
            after = sorted(entry for entry in self._succeeded[address] if entry[0] >= bursts[0][0])
            yield Finding(
                title=f"Passwords guessed from {address}" + (", and one succeeded" if after else ""),
                detail=f"{len(moments)} failed log-ons" + (f"; then {after[0][1]} logged on" if after else ""),
                severity="critical" if after else "medium",
                confidence="high",
                source=windows_sources.SECURITY,
                time=bursts[0][0],
                technique="T1110",
                data={"address": address, "failed": len(moments)},
                kind="Passwords guessed, without success" if not after else "Passwords guessed",
            )


def event(row: sqlite3.Row) -> Event | None:
    """The timeline entry of an event; None without a time."""
    moment = sigma_engine.moment_of(row)
    if moment is None:
        return None
    extra = {"event_id": row["EventID"], "channel": row["Channel"]}
    source = str(row["source"] or row["Channel"])
    return Event(moment, row["message"], source, "Event Logged", notable=row["EventID"] in _NOTABLE, extra=extra)
