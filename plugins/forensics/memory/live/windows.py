"""A Windows host as its live response shows it: one object of JSON in each line, as ``ConvertTo-Json -Compress`` writes it. Pure.

Every byte is the target's. Windows PowerShell 5.1 writes times as ``/Date(1763690700000)/`` and enumerations as numbers, PowerShell 7
writes ISO 8601; where a cmdlet is missing, the document takes a program's text instead (``netstat -ano``), which is read as far as it can be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from forensics.memory.live import forms
from forensics.models.addresses import public

# MSFT_NetTCPConnection, property State (root/StandardCimv2)
STATES = {
    1: "CLOSED", 2: "LISTEN", 3: "SYN_SENT", 4: "SYN_RECV", 5: "ESTABLISHED", 6: "FIN_WAIT1", 7: "FIN_WAIT2", 8: "CLOSE_WAIT",
    9: "CLOSING", 10: "LAST_ACK", 11: "TIME_WAIT", 12: "DELETE_TCB", 100: "BOUND",
}  # fmt: skip
_NAMED = {
    "LISTENING": "LISTEN",
    "SYN_RECEIVED": "SYN_RECV",
    "SYNSENT": "SYN_SENT",
    "SYNRECEIVED": "SYN_RECV",
    "CLOSEWAIT": "CLOSE_WAIT",
}
# Win32_LogonSession, property LogonType
LOGONS = {
    2: "interactive",
    3: "network",
    4: "batch",
    5: "service",
    7: "unlock",
    8: "network in clear text",
    10: "remote desktop",
}
_DATE = re.compile(r"/Date\((-?\d{1,15})(?:[+-]\d{4})?\)/")
_NETSTAT = re.compile(r"\s*TCP\s+(\S+):(\d{1,5})\s+(\S+):(\d{1,5})\s+([A-Z_0-9]+)\s+(\d{1,10})\s*\Z")
_DEEPEST, _LONGEST = 64, 1_000_000  # nested objects, characters of a line
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEWEST = datetime(2100, 1, 1, tzinfo=UTC)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Connection:
    """One TCP connection or listener and the process that owns it."""

    local: str
    port: int
    peer: str
    peer_port: int
    state: str
    pid: int

    @property
    def foreign(self) -> bool:
        """Whether the other end has a public address."""
        return public(self.peer) is not None

    @property
    def ends(self) -> str:
        """Both ends, as a person writes them."""
        return f"tcp {_end(self.local, self.port)} to {_end(self.peer, self.peer_port)}"


@dataclass(slots=True)
class Program:
    """One process; ``path`` is empty where Windows tells none (System, Registry, protected ones)."""

    pid: int
    ppid: int = 0
    name: str = ""
    path: str = ""
    command: str = ""
    session: int | None = None
    started: datetime | None = None
    connections: list[Connection] = field(default_factory=list)


@dataclass
class WindowsHost:
    """What the archive says, read as far as it can be."""

    members: Mapping[str, bytes]
    processes: dict[int, Program]
    connections: list[Connection]
    booted: datetime | None


def read(members: Mapping[str, bytes]) -> WindowsHost:
    """The host of an archive's members; whatever is not there or not readable is simply not in it."""
    processes: dict[int, Program] = {}
    for row in rows(members.get("20-processes", b"")):
        pid = number(row.get("ProcessId"))
        if pid is not None:
            processes.setdefault(pid, _program(pid, row))
    found = list(_connections(members.get("10-tcp", b"")))
    for connection in found:
        if connection.pid in processes:
            processes[connection.pid].connections.append(connection)
    clock = next(rows(members.get("00-clock", b"")), {})
    return WindowsHost(members, processes, found, moment(clock.get("boot")))


def rows(data: bytes) -> Iterator[Row]:
    """The objects of a member, one of each line; a line that is none is passed over."""
    for line in forms.lines(data):
        text = forms.text(line).strip().lstrip("\ufeff")
        if not text.startswith("{") or len(text) > _LONGEST or text.count("{") + text.count("[") > _DEEPEST * 64:
            continue
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            yield found


def texts(data: bytes) -> Iterator[str]:
    """The lines of a member that holds text; the marks of an object are no text."""
    for line in forms.lines(data):
        if text := forms.text(line).strip():
            yield text


def word(value: object) -> str:
    """A field as text; a list's parts are joined, an object is none."""
    if isinstance(value, list):
        return " ".join(filter(None, map(word, value[:50])))
    return str(value)[:4_000] if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def number(value: object) -> int | None:
    """A field as a number that a process id, port or state may be."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32 else None


def moment(value: object) -> datetime | None:
    """A time as either PowerShell writes it, in UTC; None for what is none, has no zone, or lies outside the years 1970 to 2100."""
    if isinstance(value, dict):  # Windows PowerShell wraps a DateTime that has members of its own
        value = value.get("value")
    if not isinstance(value, str):
        return None
    if match := _DATE.search(value):
        found = _EPOCH + timedelta(milliseconds=int(match[1])) if 0 <= int(match[1]) < 10**13 else None
    else:
        try:  # seven digits of a second are one more than Python reads
            found = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value.strip()))
        except ValueError:
            return None
        found = found.astimezone(UTC) if found.tzinfo else None
    return found if found and _EPOCH <= found < _NEWEST else None


def _program(pid: int, row: Row) -> Program:
    return Program(
        pid,
        ppid=number(row.get("ParentProcessId")) or 0,
        name=word(row.get("Name"))[:260],
        path=word(row.get("ExecutablePath"))[:1_000].removeprefix("\\\\?\\"),
        command=word(row.get("CommandLine")),
        session=number(row.get("SessionId")),
        started=moment(row.get("CreationDate")),
    )


def _connections(data: bytes) -> Iterator[Connection]:
    for row in rows(data):
        port, peer_port = number(row.get("LocalPort")), number(row.get("RemotePort"))
        pid, state = number(row.get("OwningProcess")), row.get("State")
        if port is None or peer_port is None or pid is None:
            continue
        name = STATES.get(state, str(state)) if isinstance(state, int) else word(state).upper()
        yield Connection(
            _address(word(row.get("LocalAddress"))),
            port,
            _address(word(row.get("RemoteAddress"))),
            peer_port,
            _NAMED.get(name, name),
            pid,
        )
    for line in texts(data):
        if match := _NETSTAT.match(line):
            state = _NAMED.get(match[5], match[5])
            yield Connection(_address(match[1]), int(match[2]), _address(match[3]), int(match[4]), state, int(match[6]))


def _address(text: str) -> str:
    """Without brackets and zone, and an IPv4 address without the IPv6 around it."""
    bare = text.strip("[]").partition("%")[0]
    return bare[7:] if bare.lower().startswith("::ffff:") and "." in bare else bare


def _end(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
