"""The kernel's audit log (/var/log/audit/audit.log): records joined to events, log-ins and executed commands of each.

Source: the Linux Audit project's message dictionary and field dictionary; ``enriched`` logs repeat fields after a 0x1d.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from forensic_toolkit.readers.coverage import Artifact
from forensic_toolkit.readers.log_stream import LogFile

FILES = r"/var/log/audit/audit\.log([.-][^/]*)?"
KIND = "audit log"
_HEAD = re.compile(r"(?:node=\S+ )?type=(\S+) msg=audit\((\d{9,11})\.(\d{3}):(\d+)\):\s?(.*)")
_FIELD = re.compile(r"(\w[\w-]*)=(\"[^\"]*\"|'[^']*'|\S+)")
_ARGUMENT = re.compile(r"a(\d+)(?:\[(\d+)\])?$")
_HEX = re.compile(r"(?:[0-9A-F]{2})+")
# Fields that the kernel writes in hexadecimal when they hold anything but plain characters.
_ENCODED = frozenset(["exe", "comm", "cmd", "acct", "name", "cwd", "key", "proctitle", "data", "old", "new"])
MAX_EVENT = 64  # records of one event; more are a crafted log


@dataclass(slots=True)
class AuditEvent:
    """The records of one event: their types, and the fields of all of them."""

    serial: str
    time: datetime
    types: list[str] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    arguments: dict[tuple[int, int], str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    @property
    def command(self) -> str:
        """The command line of an execution; empty for other events."""
        if self.arguments:
            return " ".join(text for _, text in sorted(self.arguments.items()))
        return self.fields.get("cmd", "") if "USER_CMD" in self.types else ""

    @property
    def succeeded(self) -> bool:
        """Whether what the event tells of succeeded."""
        return self.fields.get("res", self.fields.get("success", "")) in ("success", "yes", "1")


def events(lines: Iterable[str], *, artifact: Artifact) -> Iterator[AuditEvent]:
    """The events of a log; records of one event follow each other. ``artifact`` counts lines."""
    current: AuditEvent | None = None
    for line in lines:
        if not line.strip("\0 \n"):
            continue
        artifact.lines += 1
        match = _HEAD.match(line)
        if match is None:
            continue
        kind, seconds, thousandths, serial, rest = match.groups()
        time = datetime.fromtimestamp(int(seconds), UTC).replace(microsecond=int(thousandths) * 1000)
        artifact.understood(time)
        if current is None or current.serial != serial or len(current.lines) >= MAX_EVENT:
            if current is not None:
                yield current
            current = AuditEvent(serial, time)
        _add(current, kind, rest, line.rstrip("\n"))
    if current is not None:
        yield current


def streamed(log: LogFile, *, artifact: Artifact) -> Iterator[AuditEvent]:
    """The events of a log of any size, the newest part of it first; within a part in the log's order."""
    later: list[str] = []
    for block in log.blocks():
        lines = [line.decode("utf-8", "replace") for line in reversed(block)] + later
        # Records of the first event may have begun in the block before.
        first = _serial(lines[0]) if lines else None
        cut = next((n for n, line in enumerate(lines) if _serial(line) != first), len(lines))
        later, rest = (lines[:cut], lines[cut:]) if first and cut <= MAX_EVENT else ([], lines)
        yield from events(rest, artifact=artifact)
    yield from events(later, artifact=artifact)


def _serial(line: str) -> str | None:
    match = _HEAD.match(line)
    return match[4] if match else None


def _add(event: AuditEvent, kind: str, rest: str, line: str) -> None:
    event.types.append(kind)
    event.lines.append(line[:4000])
    plain = rest.split("\x1d", 1)[0]
    inner = re.search(r"msg='(.*)'\s*$", plain)
    for name, value in _FIELD.findall(f"{plain[: inner.start()]} {inner[1]}" if inner else plain):
        argument = _ARGUMENT.fullmatch(name) if kind == "EXECVE" else None
        text = _text(value, encoded=bool(argument) or name in _ENCODED)
        if argument:
            event.arguments[int(argument[1]), int(argument[2] or 0)] = text
        elif not (kind == "EXECVE" and name.endswith("_len")):
            event.fields.setdefault(name, text)


def _text(value: str, *, encoded: bool) -> str:
    if value[:1] in "\"'":
        return value[1:-1]
    if encoded and _HEX.fullmatch(value) and len(value) > 2:
        return bytes.fromhex(value).replace(b"\0", b" ").decode("utf-8", "backslashreplace")
    return value
