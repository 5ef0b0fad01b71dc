"""Log-ins: sshd's and sudo's lines in auth.log or secure, and the utmp records of wtmp and btmp."""

from __future__ import annotations

import re
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from forensic_toolkit.readers.log_stream import LogFile
from forensic_toolkit.readers.system_logs import Line
from forensic_toolkit.results import Event

COPY_WITHIN = timedelta(seconds=2)

# The user name is whatever the client sent, "from" and "port" included: the last address is sshd's own (auth.c, auth_log).
_SSH = re.compile(
    r"sshd(?:-session|-auth)?(?:\[\d+\])?: {1,4}(?:message repeated (?P<times>\d+) times: \[ ?)?"
    r"(?P<what>Failed|Accepted) (?P<how>[\w/-]+) for (?:invalid user )?"
    r"(?P<user>.*) from (?P<address>[0-9a-fA-F.:]+(?:%[\w.]+)?) port (?P<port>\d+)"
)
# Where passwords are off, clients leave without one "Failed" line (packet.c, sshpkt_vfatal and sshd's "[preauth]").
_LEFT = re.compile(
    r"sshd(?:-session|-auth)?(?:\[\d+\])?: {1,4}(?:Connection (?:closed|reset) by|Disconnected from) (?:authenticating|invalid) user "
    r"(?P<user>.*) (?P<address>[0-9a-fA-F.:]+) port (?P<port>\d+) \[preauth\]$"
)
MAX_REPEATED = 1000
_OTHER = (
    ("Account created", "T1136.001", re.compile(r"useradd\[\d+\]: new user: name=(\S+?),.*UID=(\d+)")),
    ("Password changed", "T1098", re.compile(r"passwd\[\d+\]: .*password changed for (\S+)")),
    (
        "Added to group",
        "T1098",
        re.compile(r"(?:usermod|gpasswd)\[\d+\]: add '?(\S+?)'? to group '?(\S+?)'?"),
    ),
    ("Command as root", None, re.compile(r"sudo(?:\[\d+\])?:\s+(\S+) : .*COMMAND=(.*)$")),
    (
        "Root session",
        None,
        re.compile(r"(?:su|sudo)(?:\[\d+\])?: .*session opened for user root\S* by (\S*)"),
    ),
)
# struct utmp of glibc: type, pid, line, id, user, host, exit, session, time, address. x86-64 keeps the 32-bit form.
_UTMP = struct.Struct("<hxxi32s4s32s256shhiii16s20x")
_UTMP_ARM64 = struct.Struct("<hxxi32s4s32s256shhqqq16s20x4x")
_HEAD_BYTES, _RECORDS_AT_ONCE = 57_600, 8192  # a multiple of both layouts
_LOGIN, _LOGOUT, _BOOT = 7, 8, 2


@dataclass(frozen=True, slots=True)
class Login:
    """One attempt to log in."""

    time: datetime
    accepted: bool
    user: str
    address: str
    how: str
    source: str
    line: str
    port: int = 0

    @property
    def attempt(self) -> tuple[bool, str, str, int]:
        """What distinguishes it from other attempts at the same time."""
        return self.accepted, self.user, self.address, self.port


def attempts(lines: Iterable[Line]) -> Iterator[Login]:
    """The log-in attempts that sshd logged; a folded line counts as often as it says."""
    counted: set[tuple[str, int]] = set()
    for line in lines:
        match = _SSH.search(line.text)
        if match:
            accepted = match["what"] == "Accepted"
            address, port = match["address"], int(match["port"])
            counted.add((address, port))
            login = Login(line.time, accepted, match["user"], address, match["how"], line.source, line.text, port)
            yield from [login] * max(1, min(int(match["times"] or 1), MAX_REPEATED))
        elif "[preauth]" in line.text and (left := _LEFT.search(line.text)):
            address, port = left["address"], int(left["port"])
            if (address, port) not in counted:
                counted.add((address, port))
                yield Login(line.time, False, left["user"], address, "none", line.source, line.text, port)


def without_copies(logins: Iterable[Login], others: Iterable[Login]) -> list[Login]:
    """``logins`` and those of ``others`` that are not copies of them: rsyslog copies the journal."""
    kept = list(logins)
    known: dict[tuple[bool, str, str, int], list[datetime]] = defaultdict(list)
    for login in kept:
        known[login.attempt].append(login.time)
        if login.port:  # the audit log does not know the port
            known[*login.attempt[:3], 0].append(login.time)
    for other in others:
        if not any(abs(other.time - time) <= COPY_WITHIN for time in known[other.attempt]):
            kept.append(other)
    return kept


def other_events(lines: Iterable[Line]) -> Iterator[Event]:
    """Accounts created, passwords changed, commands run as root."""
    for line in lines:
        for words, technique, pattern in _OTHER:
            match = pattern.search(line.text)
            if match:
                what = f"{words}: {' '.join(match.groups())}"
                extra = {"technique": technique} if technique else {}
                yield Event(line.time, what, line.source, "Log Time", notable=True, extra=extra)
                break


def login_events(logins: Iterable[Login]) -> Iterator[Event]:
    """A timeline entry for each attempt."""
    for login in logins:
        word = "Log-in accepted" if login.accepted else "Log-in failed"
        yield Event(
            time=login.time,
            what=f"{word}: {login.user} from {login.address} ({login.how})",
            source=login.source,
            description="Log Time",
            # Thousands of guesses would flood the short list of results.json.
            notable=login.accepted,
            extra={"user": login.user, "address": login.address},
        )


@dataclass(frozen=True, slots=True)
class Session:
    """One utmp record."""

    kind: int
    pid: int
    line: str
    user: str
    host: str
    time: datetime


def layout_of(content: bytes, *, size: int | None = None) -> struct.Struct:
    """The record layout: arm64's when only its size divides the file, or when it gives more plausible records.

    ``content`` may be the start of a file of ``size`` bytes.
    """
    whole = len(content) if size is None else size
    fits, fits_arm = (not whole % layout.size for layout in (_UTMP, _UTMP_ARM64))
    if fits_arm and (not fits or _sane(content, _UTMP_ARM64) > _sane(content, _UTMP)):
        return _UTMP_ARM64
    return _UTMP


def _sane(content: bytes, layout: struct.Struct) -> int:
    return sum(
        1
        for record in layout.iter_unpack(content[: len(content) - len(content) % layout.size])
        if 0 < record[0] <= 9 and 0 < record[9] < 1 << 32
    )


def records(log: LogFile) -> Iterator[tuple[int, list[Session]]]:
    """(records that are not empty, those that make sense) of each part of a wtmp or btmp file of any size, the newest part first."""
    layout = layout_of(log.read(0, min(log.size, _HEAD_BYTES)), size=log.size)
    end = log.size - log.size % layout.size
    if log.size > end:
        log.problems.append(f"{log.size - end} bytes at its end are an incomplete record")
    while end > 0:
        start = max(0, end - _RECORDS_AT_ONCE * layout.size)
        part = log.read(start, end - start)
        yield records_in(part, layout)[0], list(sessions(part, layout))
        end = start


def sessions(content: bytes, known: struct.Struct | None = None) -> Iterator[Session]:
    """Records of a wtmp or btmp file; empty and implausible ones are skipped."""
    layout = known or layout_of(content)
    usable = len(content) - len(content) % layout.size
    for kind, pid, line, _id, user, host, _end, _exit, _session, seconds, micro, address in layout.iter_unpack(
        content[:usable]
    ):
        if 0 < kind <= 9 and 0 < seconds < 1 << 32 and 0 <= micro < 1_000_000:
            when = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=micro)
            yield Session(kind, pid, _text(line), _text(user), _text(host) or _address(address), when)


def records_in(content: bytes, known: struct.Struct | None = None) -> tuple[int, str | None]:
    """The number of non-empty records in a file, and a note when its last record is truncated."""
    layout = known or layout_of(content)
    rest = len(content) % layout.size
    usable = len(content) - rest
    count = sum(any(content[at : at + layout.size]) for at in range(0, usable, layout.size))
    return count, f"{rest} bytes at its end are an incomplete record" if rest else None


def session_events(found: Iterable[Session], *, source: str, failed: bool) -> Iterator[Event]:
    """Log-ins, log-outs and boots of a wtmp file; failed log-ins of a btmp file."""
    for session in found:
        what = _words(session, failed=failed)
        if what is not None:
            yield Event(
                time=session.time,
                what=what,
                source=source,
                description="Log-in Time" if session.kind == _LOGIN else "Record Time",
                notable=not failed,
                extra={
                    "user": session.user,
                    "address": session.host,
                    "line": session.line,
                    "pid": session.pid,
                },
            )


def _words(session: Session, *, failed: bool) -> str | None:
    if failed:
        return f"Failed log-in: {session.user} from {session.host or 'the console'} on {session.line}"
    if session.kind == _LOGIN:
        return f"Log-in: {session.user} from {session.host or 'the console'} on {session.line}"
    if session.kind == _LOGOUT and session.line:
        return f"Log-out on {session.line}"
    return "System booted" if session.kind == _BOOT else None


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")


def _address(field: bytes) -> str:
    if not any(field):
        return ""
    return str(ip_address(field if any(field[4:]) else field[:4]))
