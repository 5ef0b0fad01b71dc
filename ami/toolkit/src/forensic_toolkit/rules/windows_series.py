"""Events that mean something only together: guessed passwords, accounts tried or changed in series, what was made and soon removed.

Records pass by in any order; of each source so many are kept as ``MAX_KEPT``, and what is left out is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from forensic_toolkit.results import Finding, Results
from forensic_toolkit.rules.windows_series_kinds import BY_EVENT, SERIES, Series
from forensic_toolkit.times import parse_iso, zulu

Record = dict[str, Any]
Seen = tuple[datetime, str]
MAX_KEPT, MAX_SOURCES, MAX_NAMED = 20_000, 20_000, 10


class Watch:
    """What each source did, while records pass by."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, str], list[Seen]] = defaultdict(list)
        self._succeeded: dict[tuple[int, str], list[Seen]] = defaultdict(list)
        self._left_out = 0

    def seen(self, record: Record) -> Record:
        """Note a record and return it."""
        for number in BY_EVENT.get(record.get("EventID") or 0, ()):
            found = SERIES[number].of(record)
            moment = parse_iso(str(record.get("ts") or "")) if found else None
            if found is None or moment is None:
                continue
            kept, key = self._succeeded if found.succeeded else self._seen, (number, found.who)
            if len(kept[key]) < MAX_KEPT and len(kept) <= MAX_SOURCES:
                kept[key].append((moment, found.what))
            else:
                self._left_out += 1
        return record

    def findings(self, *, results: Results | None = None) -> Iterator[Finding]:
        """The series that are long and dense enough, the gravest example of each source."""
        if self._left_out and results is not None:
            results.gap("series of events", f"{self._left_out} events of sources with very many were not counted")
        for (number, who), entries in self._seen.items():
            entries.sort()
            if burst := dense(entries, SERIES[number]):
                yield _finding(SERIES[number], who, entries, burst, sorted(self._succeeded.get((number, who), ())))


def dense(entries: list[Seen], series: Series) -> list[Seen]:
    """The first part of sorted entries that lies within the series' window and is enough; empty where none is."""
    start, counts = 0, defaultdict[str, int](int)
    for end, (moment, what) in enumerate(entries):
        counts[what] += 1
        while moment - entries[start][0] > series.window:
            counts[entries[start][1]] -= 1
            if not counts[entries[start][1]]:
                del counts[entries[start][1]]
            start += 1
        if series.order:
            first = next((entry for entry in entries[start : end + 1] if entry[1] == series.order[0]), None)
            if first is not None and what == series.order[1]:
                return [first, entries[end]]
        elif (len(counts) if series.distinct else end - start + 1) >= series.least:
            return entries[start : end + 1]
    return []


def _finding(series: Series, who: str, entries: list[Seen], burst: list[Seen], succeeded: list[Seen]) -> Finding:
    after = [entry for entry in succeeded if entry[0] >= burst[0][0]]
    names = sorted({what for _, what in entries if what})
    detail = f"{len(entries)} events from {zulu(entries[0][0])} to {zulu(entries[-1][0])}"
    if names and not series.order:
        more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
        detail += f": {', '.join(names[:MAX_NAMED])}{more}"
    return Finding(
        title=series.title.format(who) + (", and one succeeded" if after else ""),
        detail=detail + (f"; then {after[0][1]} logged on at {zulu(after[0][0])}" if after else ""),
        severity="critical" if after else series.severity,
        confidence="high" if after or not series.distinct else "medium",
        source=series.source,
        time=burst[0][0],
        technique=series.technique,
        data={"source": who, "events": len(entries), "different": len(names)},
        kind=series.kind + (", with success" if after else ""),
    )
