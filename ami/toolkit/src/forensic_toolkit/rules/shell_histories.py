"""Shell histories on disk, with times where the shell recorded them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers.compressed_logs import content_of
from forensic_toolkit.readers.coverage import Artifact, Coverage
from forensic_toolkit.results import Event, Finding
from forensic_toolkit.rules.command_rules import first_match

FILES = (
    r"/(root|home/[^/]+|var/(www|lib/[^/]+)|opt/[^/]+)/\.(bash|zsh|sh|ash|ksh|python|mysql|psql)_history"
    r"|/\.(bash|ash)_history"
)
KIND = "shell history"
_STAMP = re.compile(r"^#(\d{9,11})$")
_ZSH = re.compile(r"^: (\d{9,11}):\d+;(.*)$")


def commands(text: str) -> Iterator[tuple[datetime | None, str]]:
    """Commands with their times; a line without its own time stamp gets that of the line before."""
    time: datetime | None = None
    for line in text.splitlines():
        stamp, zsh = _STAMP.match(line), _ZSH.match(line)
        if stamp:
            time = datetime.fromtimestamp(int(stamp[1]), UTC)
        elif zsh:
            yield datetime.fromtimestamp(int(zsh[1]), UTC), zsh[2]
        elif line.strip():
            yield time, line.strip()


def examine(tree: Tree, *, coverage: Coverage) -> tuple[list[Finding], list[Event]]:
    """Suspicious commands as findings, and all commands with a time as events."""
    findings: list[Finding] = []
    events: list[Event] = []
    for entry in tree.files(FILES):
        content = content_of(entry, limit=8 << 20)
        artifact = coverage.add(Artifact(KIND, entry.path, entry.size, problems=list(content.problems)))
        artifact.lines = sum(bool(line.strip("\0 ")) for line in content.text.splitlines())
        stamps = sum(bool(_STAMP.match(line)) for line in content.text.splitlines())
        artifact.parsed = stamps
        for time, command in commands(content.text):
            artifact.parsed += "\0" not in command
            rule = first_match(command)
            if time is not None:
                extra = {"path": entry.path, "uid": entry.uid, "rule": rule.name if rule else None}
                events.append(Event(time, f"Typed: {command}", entry.path, "Command Execution Time", True, extra))
            if rule is not None and rule.severity != "info":
                findings.append(
                    Finding(
                        title=f"{rule.name} ({entry.path})",
                        detail=command,
                        severity=rule.severity,
                        confidence="medium",
                        source=entry.path,
                        time=time,
                        technique=rule.technique,
                        data={"rule": rule.name, "uid": entry.uid, "path": entry.path},
                    )
                )
    findings.extend(_silenced(tree))
    return findings, events


def _silenced(tree: Tree) -> Iterator[Finding]:
    """Histories that are links to /dev/null."""
    for entry in tree.links(FILES):
        if entry.link_target() == "/dev/null":
            yield _silence(entry)


def _silence(entry: Entry) -> Finding:
    return Finding(
        title=f"Shell history is a link to /dev/null: {entry.path}",
        detail="commands typed by this account are not recorded",
        severity="high",
        confidence="high",
        source=entry.path,
        time=entry.changed(),
        technique="T1562.003",
        data=entry.facts(),
    )
