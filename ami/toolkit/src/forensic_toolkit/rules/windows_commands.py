"""Command lines that no event recorded (typed, in shortcuts, of transfers), held against the Sigma rules for scripts and for started programs."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib import metadata

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.results import Finding, Results, ToolRun
from forensic_toolkit.rules import sigma_engine, windows_events, windows_sources
from forensic_toolkit.rules.sigma_engine import Rule, Rules

_CMDLET = re.compile(r"^[A-Za-z]+-[A-Za-z]+$")
_PROGRAM = re.compile(r"^&?\s*[\"']?([A-Za-z0-9_.:\\/~-]+)")


@dataclass(frozen=True, slots=True)
class Command:
    """A command line and the file that holds it; ``how`` says in the finding's title where it stood, ``time`` when, where that is known."""

    entry: Entry
    line: str
    how: str
    time: datetime | None = None


def by_rules(commands: list[Command], *, results: Results) -> Iterator[Finding]:
    """What the rules say of commands; those that ask for a parent process are left out, as nothing says anything of it."""
    shipped = windows_events.shipped(results)
    own = [rule for rule in shipped.rules if not any(name.startswith("Parent") for name in rule.fields)]
    rules, before, began = Rules(own), len(results.runs), time.monotonic()
    table = windows_events.table_for(rules)
    table.fill(record for number, one in enumerate(commands) for record in _records(number, one.line))
    yield from sigma_engine.run(
        rules, table, within=windows_events.within, describe=partial(_described, commands=commands), results=results
    )
    table.close()
    # Of the runs those that failed, and one for all others: the event logs list every rule already.
    runs = results.runs[before:]
    del results.runs[before:]
    results.runs.extend(one for one in runs if one.error)
    words = [f"{len(own)} rules on commands"]
    results.runs.append(
        ToolRun("sigma", metadata.version("pysigma"), words, 0, time.monotonic() - began, len(commands))
    )


def _records(number: int, line: str) -> Iterator[windows_events.Record]:
    """A command as a script block, and each program in it as a process that PowerShell started."""
    own = {"source": str(number), "message": line}
    script = {"Channel": windows_sources.SERVICES["powershell"][0], "EventID": 4104, "ScriptBlockText": line}
    yield windows_sources.normalised({**own, **script})
    for part in re.split(r"[;|\n]|&&", line):
        match = _PROGRAM.match(part.strip())
        if match is None or _CMDLET.match(match[1]):
            continue
        name = match[1].replace("/", "\\")
        image = name if "." in name.rsplit("\\", 1)[-1] else f"{name}.exe"
        process = {"Image": image if "\\" in image else f"\\{image}", "CommandLine": part.strip()}
        yield {**own, "Channel": windows_sources.SYSMON, "EventID": 1, **process}


def _described(rule: Rule, row: sqlite3.Row, *, commands: list[Command]) -> Finding:
    one = commands[int(row["source"])]
    return Finding(
        title=f"{rule.title} ({one.how})",
        detail=one.line,
        severity=rule.severity,
        confidence="medium",
        source=one.entry.path,
        time=one.time,
        technique=rule.technique,
        data={"rule": rule.id, "path": one.entry.path, "command": one.line[:4000]},
        kind=rule.title,
    )
