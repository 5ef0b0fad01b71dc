"""Sigma rules on log lines: translated to SQL by pySigma and run in an in-memory database.

Add a rule by adding a file to ``sigma/``; the fields are ``time host program pid message source``.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from importlib import metadata, resources
from itertools import islice
from typing import Any

from forensic_toolkit.readers.system_logs import Line
from forensic_toolkit.results import Finding, Results, Severity, ToolRun

# Enough for weeks of a busy server; bounded by memory.
MAX_LINES = 1_000_000
MAX_HITS = 20
MAX_MESSAGE = 4000
_KERNEL_CLOCK = re.compile(r"^\[\s*\d+\.\d+\] ")
LEVELS: dict[str, Severity] = {
    "informational": "info",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "critical": "critical",
}


def findings(lines: Iterable[Line], *, results: Results) -> Iterator[Finding]:
    """One finding per match, at most MAX_HITS for each rule. Without pySigma there are none, and a gap says so."""
    try:
        from sigma.backends.sqlite import sqliteBackend
        from sigma.collection import SigmaCollection
    except ImportError:
        results.gap("Sigma", "pySigma or its SQLite backend is not installed in the toolkit's environment")
        return
    database = _database(lines, results=results)
    backend = sqliteBackend()
    for name, text in _sources():
        started = time.monotonic()
        collection = SigmaCollection.from_yaml(text)
        hits = [hit for query in backend.convert(collection) for hit in database.execute(_bounded(query))]
        version = metadata.version("pysigma")
        results.runs.append(ToolRun("sigma", version, [name], 0, time.monotonic() - started, len(hits)))
        yield from _described(collection.rules[0], hits)
    database.close()


def _sources() -> Iterator[tuple[str, str]]:
    folder = resources.files("forensic_toolkit.rules").joinpath("sigma")
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.endswith(".yml"):
            yield path.name, path.read_text("utf-8")


def _database(lines: Iterable[Line], *, results: Results) -> sqlite3.Connection:
    database = sqlite3.connect(":memory:")
    database.create_function("REGEXP", 2, _matches, deterministic=True)
    database.execute("CREATE TABLE logs (time TEXT, host TEXT, program TEXT, pid TEXT, message TEXT, source TEXT)")
    rows = iter(lines)
    database.executemany(
        "INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?)",
        (
            (line.time.isoformat(), line.host, line.program, line.pid, line.message[:MAX_MESSAGE], line.source)
            for line in islice(rows, MAX_LINES)
        ),
    )
    if next(rows, None) is not None:
        results.gap("Sigma", f"more than {MAX_LINES} log lines; these rules were not applied to the rest")
    return database


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _matches(pattern: str, value: str | None) -> bool:
    return value is not None and _compiled(pattern).search(value) is not None


def _bounded(query: str) -> str:
    """Matches in order of time, one more than is reported; the query comes from the toolkit's own rules."""
    return f"{query} ORDER BY time LIMIT {MAX_HITS}"


def technique_of(rule: Any) -> str | None:
    """The ATT&CK technique that a rule is tagged with."""
    tags = [tag.name for tag in rule.tags if tag.namespace == "attack"]
    return next((tag.upper() for tag in tags if re.fullmatch(r"t\d{4}(\.\d{3})?", tag)), None)


def _described(rule: Any, hits: Iterable[tuple[str, ...]]) -> Iterator[Finding]:
    technique = technique_of(rule)
    severity = LEVELS[rule.level.name.lower()] if rule.level else "medium"
    seen: set[tuple[str, str]] = set()
    for moment, _host, program, pid, message, source in hits:
        # A journal entry and rsyslog's copy of it count once; the kernel's messages begin with its own clock.
        key = (moment[:18], _KERNEL_CLOCK.sub("", message))
        if key in seen:
            continue
        seen.add(key)
        yield Finding(
            title=f"{rule.title} ({program})" if program else str(rule.title),
            detail=message,
            severity=severity,
            confidence="medium",
            source=source,
            time=datetime.fromisoformat(moment),
            technique=technique,
            data={"rule": str(rule.id), "program": program, "pid": pid},
        )
