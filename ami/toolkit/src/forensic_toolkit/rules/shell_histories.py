"""Shell histories on disk, with times where the shell recorded them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers.compressed_logs import content_of
from forensic_toolkit.readers.coverage import Artifact, Coverage
from forensic_toolkit.results import Event, Finding, Severity
from forensic_toolkit.rules.command_rules import CommandRule, matches

FILES = (
    r"/(root|home/[^/]+|var/(www|lib/[^/]+)|opt/[^/]+)/(\.(bash|zsh|sh|ash|ksh|python|mysql|psql)_history|\.local/share/fish/fish_history)"
    r"|/\.(bash|ash)_history"
)
KIND = "shell history"
# So many different commands of one rule in one history are findings of their own; of more, the last ones are in the text.
APART, SHOWN = 3, 10
# What the administrator of any host types, too: alone it accuses nobody.
_ROUTINE = frozenset({"Account added to administrators", "SSH key added"})
_STAMP = re.compile(r"^#(\d{9,11})$")
_ZSH = re.compile(r"^: (\d{9,11}):\d+;(.*)$")
_FISH = re.compile(r"^- cmd: (.*)$")
_FISH_ABOUT = re.compile(r"^  (?:when: (\d{9,11})|paths:|  - .*)$")


def commands(text: str) -> Iterator[tuple[datetime | None, str]]:
    """Commands with their times; a line without its own time stamp gets that of the line before."""
    time: datetime | None = None
    if text.startswith("- cmd: "):
        yield from _fish(text)
        return
    for line in text.splitlines():
        stamp, zsh = _STAMP.match(line), _ZSH.match(line)
        if stamp:
            time = datetime.fromtimestamp(int(stamp[1]), UTC)
        elif zsh:
            yield datetime.fromtimestamp(int(zsh[1]), UTC), zsh[2]
        elif line.strip():
            yield time, line.strip()


def _fish(text: str) -> Iterator[tuple[datetime | None, str]]:
    """fish writes the time below the command; a line break in it is ``\\n``."""
    command, time = "", None
    for line in text.splitlines():
        if typed := _FISH.match(line):
            if command:
                yield time, command
            command, time = typed[1].replace("\\n", "\n"), None
        elif (about := _FISH_ABOUT.match(line)) and about[1]:
            time = datetime.fromtimestamp(int(about[1]), UTC)
    if command:
        yield time, command


def examine(tree: Tree, *, coverage: Coverage) -> tuple[list[Finding], list[Event]]:
    """Suspicious commands as findings, and all commands with a time as events."""
    findings: list[Finding] = []
    events: list[Event] = []
    for entry in tree.files(FILES):
        typed: list[Finding] = []
        content = content_of(entry, limit=8 << 20)
        artifact = coverage.add(Artifact(KIND, entry.path, entry.size, problems=list(content.problems)))
        artifact.lines = sum(bool(line.strip("\0 ")) for line in content.text.splitlines())
        stamps = sum(bool(_STAMP.match(line) or _FISH_ABOUT.match(line)) for line in content.text.splitlines())
        artifact.parsed = stamps
        for time, command in commands(content.text):
            artifact.parsed += "\0" not in command
            found = matches(command)
            rule = next(iter(found), None)
            if time is not None:
                extra = {"path": entry.path, "uid": entry.uid, "rule": rule.name if rule else None}
                events.append(Event(time, f"Typed: {command}", entry.path, "Command Execution Time", True, extra))
            typed.extend(_typed(entry, command, rule, time, tree=tree) for rule in found)
        findings.extend(_together(typed))
    findings.extend(_silenced(tree))
    return findings, events


def _together(typed: list[Finding]) -> Iterator[Finding]:
    """Many different commands of one kind in one history as one finding, which has them all; critical ones stay by themselves."""
    kinds: dict[tuple[str, str], list[Finding]] = {}
    for finding in typed:
        kinds.setdefault((finding.title, finding.severity), []).append(finding)
    for (_, severity), alike in kinds.items():
        commands = list(dict.fromkeys(finding.detail for finding in alike))
        if len(commands) <= APART or severity == "critical":
            yield from alike
            continue
        shown = " | ".join(command[:200] for command in commands[-SHOWN:])
        more = f"{len(commands)} different commands, the last of them: " if len(commands) > SHOWN else ""
        times = [finding.time for finding in alike if finding.time]
        data = {**alike[-1].data, "commands": commands[:200]}
        first, last = min(times, default=None), max(times, default=None)
        yield replace(
            alike[-1], detail=f"{more}{shown}", time=last, first=first, last=last, count=len(alike), data=data
        )


def _typed(entry: Entry, command: str, rule: CommandRule, time: datetime | None, *, tree: Tree) -> Finding:
    """A finding on a typed command; what a package brought is not hostile because it is loaded or run in an unusual way."""
    severity: Severity = rule.severity
    if rule.technique == "T1574.006" and severity == "critical" and _own_library(command, tree=tree):
        severity = "info"
    if rule.name in _ROUTINE and severity == "high":
        severity = "medium"
    return Finding(
        title=f"{rule.name} ({entry.path})",
        detail=command,
        severity=severity,
        confidence="low" if severity in ("info", "low") else "medium",
        source=entry.path,
        time=time,
        technique=rule.technique,
        data={"rule": rule.name, "uid": entry.uid, "path": entry.path},
        # Everybody looks around on a host: one finding for each history says so.
        fold=f"{rule.name} ({entry.path})" if severity == "info" else None,
    )


def _own_library(command: str, *, tree: Tree) -> bool:
    """Whether every library that a command preloads belongs to a package."""
    given = re.findall(r"LD_PRELOAD=['\"]?([^\s'\";]+)", command)
    files = [tree.get(path) for text in given for path in text.split(":")]
    return bool(files) and all(file is not None and tree.is_packaged(file) for file in files)


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
        technique="T1690",
        data=entry.facts(),
    )
