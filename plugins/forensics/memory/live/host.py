"""A host as its live response shows it: processes, sockets, sessions. Pure; every byte is the target's."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from forensics.memory.live import forms
from forensics.memory.live.sockets import Socket, sockets

TICKS = 100  # a second, USER_HZ on every architecture of EC2
DELETED = " (deleted)"
_BTIME = re.compile(rb"^btime (\d{1,12})$", re.MULTILINE)
_SOCKET = re.compile(r"socket:\[(\d{1,20})\]\Z")
_STATUS = re.compile(rb"^(Tgid|TracerPid|Uid|CapEff):\s*(\S+)", re.MULTILINE)
_HIDDEN = re.compile(rb"^(hidden|covered) (\d{1,9})\b", re.MULTILINE)
# struct utmp (utmp(5)): of 384 bytes where ut_tv has 32 bits (x86-64 too), of 400 where it has 64 (AArch64)
_UTMP = ((384, struct.Struct("<i"), 340), (400, struct.Struct("<q"), 344))
_USER_PROCESS, _MOST_SESSIONS = 7, 1_000
_NEWEST = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Process:
    """One process; ``program`` is None for kernel threads and where the link could not be read."""

    pid: int
    ppid: int = 0
    name: str = ""
    state: str = ""
    kernel: bool = False
    started: datetime | None = None
    program: str | None = None
    arguments: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    files: dict[int, str] = field(default_factory=dict)
    uid: int | None = None
    tracer: int = 0
    sockets: list[Socket] = field(default_factory=list)

    @property
    def path(self) -> str:
        """The program's path without the mark of a deleted one; empty where there is none."""
        return (self.program or "").removesuffix(DELETED)

    @property
    def deleted(self) -> bool:
        """Whether the program's file is gone."""
        return (self.program or "").endswith(DELETED)

    @property
    def command(self) -> str:
        """What it was started with, or its name."""
        return " ".join(self.arguments) or self.name


@dataclass(frozen=True, slots=True)
class Session:
    """One session of a user, from utmp."""

    user: str
    line: str
    peer: str
    since: datetime


@dataclass
class LiveHost:
    """What the archive says, read as far as it can be."""

    members: Mapping[str, bytes]
    processes: dict[int, Process]
    sockets: list[Socket]
    sessions: list[Session]
    hidden: dict[int, str]
    forged: set[int]
    booted: datetime | None


def read(members: Mapping[str, bytes]) -> LiveHost:
    """The host of an archive's members; whatever is not there or not readable is simply not in it."""
    booted, states = _booted(members.get("00-clock", b"")), forms.heads(members.get("20-process-states", b""))
    processes = {p.pid: p for pid, line in states.of.items() if (p := _process(pid, line, booted=booted))}
    hidden = {int(m[2]): m[1].decode("ascii") for m in _HIDDEN.finditer(members.get("14-pids", b""))}
    for pid in hidden:
        processes.setdefault(pid, Process(pid))
    forged = set(states.twice)
    _complete(processes, members, forged)
    found = sockets(members)
    owners = {s.inode: s for s in found if s.inode}
    for process in processes.values():
        inodes = (m[1] for target in process.files.values() if (m := _SOCKET.match(target)))
        process.sockets = [owners[int(inode)] for inode in dict.fromkeys(inodes) if int(inode) in owners]
    return LiveHost(members, processes, found, list(_sessions(members.get("23-utmp", b""))), hidden, forged, booted)


def _complete(processes: dict[int, Process], members: Mapping[str, bytes], forged: set[int]) -> None:
    """What other members say of the processes; those that one names twice are added to ``forged``."""
    arguments = forms.heads(members.get("22-process-arguments", b""))
    environments = forms.heads(members.get("25-environments", b""))
    states = forms.heads(members.get("23-process-status", b""))
    forged |= arguments.twice | environments.twice | states.twice
    programs = forms.programs(members.get("21-process-programs", b""))
    files = forms.open_files(members.get("24-open-files", b""))
    for pid, process in processes.items():
        process.program = programs.get(pid)
        process.arguments = forms.words(arguments.of.get(pid, b""))
        pairs = (word.partition("=") for word in forms.words(environments.of.get(pid, b"")))
        process.environment = {name: value for name, equals, value in pairs if equals}
        process.files = files.get(pid, {})
        said = {m[1]: m[2] for m in _STATUS.finditer(states.of.get(pid, b""))}
        process.uid = _number(said.get(b"Uid"))
        process.tracer = _number(said.get(b"TracerPid")) or 0


def _number(found: bytes | None) -> int | None:
    return int(found) if found and found.isdigit() and len(found) <= 10 else None


def _booted(clock: bytes) -> datetime | None:
    found = _BTIME.search(clock)
    return _moment(int(found[1])) if found else None


def _moment(seconds: int) -> datetime | None:
    try:
        found = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return found if found < _NEWEST else None


def _process(pid: int, line: bytes, *, booted: datetime | None) -> Process | None:
    """A process of its ``stat`` (proc_pid_stat(5)): the name is in the outermost parentheses and may have any byte."""
    begin, end = line.find(b"("), line.rfind(b")")
    rest = line[end + 1 :].split()
    if not 0 < begin < end or len(rest) < 20 or not rest[1].isdigit() or not rest[19].isdigit():
        return None
    started = None
    if booted and len(rest[19]) <= 15:
        started = booted + timedelta(seconds=int(rest[19]) / TICKS) if int(rest[19]) < TICKS * 10**10 else None
    flags = int(rest[6]) if rest[6].isdigit() and len(rest[6]) < 12 else 0
    return Process(
        pid,
        ppid=int(rest[1]) if len(rest[1]) < 10 else 0,
        name=forms.text(line[begin + 1 : end]),
        state=forms.text(rest[0]),
        kernel=bool(flags & 0x00200000),  # PF_KTHREAD
        started=started,
    )


def _sessions(data: bytes) -> Iterator[Session]:
    size, number, at = _UTMP[0] if len(data) % 384 == 0 else _UTMP[1]
    for begin in range(0, min(len(data) - size + 1, size * _MOST_SESSIONS), size):
        record = data[begin : begin + size]
        since = _moment(number.unpack_from(record, at)[0])
        if struct.unpack_from("<h", record)[0] == _USER_PROCESS and since is not None:
            yield Session(_name(record[44:76]), _name(record[8:40]), _name(record[76:332]), since)


def _name(data: bytes) -> str:
    return forms.text(data.split(b"\0", 1)[0])
