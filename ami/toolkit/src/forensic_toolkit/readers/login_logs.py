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
    r"sshd(?:-session|-auth)?(?:\[\d+\])?: {1,4}(?:message repeated \d+ times: \[ ?)?"
    r"(?P<what>Failed|Accepted) (?P<how>[\w/-]+) for (?:invalid user )?"
    r"(?P<user>.*) from (?P<address>[0-9a-fA-F.:]+(?:%[\w.]+)?) port (?P<port>\d+)"
)
# dropbear's svr-auth*.c and common-session.c; a small server that intruders bring along.
_DROPBEAR = re.compile(
    r"(?:Bad (?:PAM )?(?P<bad>password) attempt|Login attempt for nonexistent user|(?P<how>\w+) auth succeeded)"
    r"(?: for '(?P<user>.*)')?(?: with .* key .*)? from (?P<address>[0-9a-fA-F.:]+):(?P<port>\d+)$"
)
# What is left of an attempt where sshd has logged neither "Failed" nor "Accepted" for it: passwords are off, or it logs little.
# packet.c (sshpkt_vfatal, sshpkt_fmt_connection_id), auth.c (getpwnamallow), session.c; before OpenSSH 7.2 without a port.
_SSHD_LEFT = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?:Connection (?:closed|reset) by|Disconnected from) (?:authenticating|invalid) user (?P<user>.*) (?P<address>[0-9a-fA-F.:]+) port (?P<port>\d+) \[preauth\]$",
        r"(?:Invalid|Illegal) user (?P<user>.*) from (?P<address>[0-9a-fA-F.:]+)(?: port (?P<port>\d+))?$",
        r"User (?P<user>.*) from (?P<address>\S+) not allowed because .*",
        r"ROOT LOGIN REFUSED FROM (?P<address>[0-9a-fA-F.:]+)(?: port (?P<port>\d+))?",
        r"Received disconnect from (?P<address>[0-9a-fA-F.:]+?)(?: port (?P<port>\d+): ?|: )\d+: .*\[preauth\]$",
    )
)
# pam_unix and its like (pam_unix_auth.c, support.c), for every service; the address is the service's, the names around it the client's.
_PAM = re.compile(
    r"(?:pam_\w+\((?P<service>[\w./-]+):auth\): )?(?:PAM (?P<more>\d+) more )?authentication failures?; logname=.*? uid=\d+ euid=\d+ tty=\S* "
    r"ruser=.*? rhost=(?P<address>\S+)(?:\s+user=(?P<user>.*))?$"
)
_SSHD = ("sshd", "sshd-session", "sshd-auth")
UNKNOWN_USER = "(unknown)"
# Lines of one process so close together are of one connection: sshd gives 2 minutes for a log-in, unless it is told otherwise.
_ONE_ATTEMPT = timedelta(minutes=10)
MAX_REPEATED = 1000
_REPEATED = re.compile(r": {1,4}message repeated (\d+) times: \[ ?")
_OTHER = (
    ("Account created", "T1136.001", re.compile(r"useradd\[\d+\]: new user: name=(\S+?),.*UID=(\d+)")),
    ("Password changed", "T1098", re.compile(r"passwd\[\d+\]: .*password changed for (\S+)")),
    (
        "Added to group",
        "T1098",
        re.compile(r"(?:usermod|gpasswd)\[\d+\]: add '?(\S+?)'? to group '?(\S+?)'?"),
    ),
    (
        "Session opened",
        None,
        re.compile(
            r"pam_unix\((login|remote|[a-z-]*ftpd?|xrdp-sesman|cockpit|webmin|dovecot|smtp):session\): session opened for user (\S+)"
        ),
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
    """The log-in attempts that the logs tell of; a folded line counts as often as it says.

    What sshd and dropbear say of an attempt counts; of a connection without that, its refused user, its end before a log-in, or the
    failure that PAM logged. PAM logs for every other service as well (FTP, mail, remote desktop).
    """
    said: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    ports: set[tuple[str, int]] = set()
    left: list[tuple[str, Login, int]] = []
    for line in lines:
        if (login := _told(line)) is not None:
            said[_service(line), line.pid].append(login.time)
            ports.add((login.address, login.port))
            times = _REPEATED.search(line.text)
            yield from [login] * max(1, min(int(times[1]) if times else 1, MAX_REPEATED))
        elif (rest := _left(line)) is not None:
            left.append((line.pid, *rest))
    yield from _by_themselves(left, said, ports)


def _told(line: Line) -> Login | None:
    """The attempt of which sshd or dropbear says how it ended."""
    if match := _SSH.search(line.text):
        accepted, how = match["what"] == "Accepted", match["how"]
    elif line.program == "dropbear" and (match := _DROPBEAR.search(line.message)):
        accepted, how = match["how"] is not None, (match["how"] or match["bad"] or "none").lower()
        how = "publickey" if how == "pubkey" else how
    else:
        return None
    user = match["user"] or UNKNOWN_USER
    return Login(line.time, accepted, user, match["address"], how, line.source, line.text, int(match["port"]))


def _left(line: Line) -> tuple[Login, int] | None:
    """What a line leaves of a failed attempt, and how many it stands for."""
    message = line.message.lstrip(" ")
    if line.program in _SSHD:
        for pattern in _SSHD_LEFT:
            if match := pattern.match(message):
                found = match.groupdict()
                user = found.get("user") or UNKNOWN_USER
                port = int(found.get("port") or 0)
                return Login(line.time, False, user, match["address"], "none", line.source, line.text, port), 1
    if "authentication failure" in message and (match := _PAM.match(message)):
        service = match["service"] or _service(line)
        user, times = (match["user"] or "").strip() or UNKNOWN_USER, int(match["more"] or 1)
        return Login(line.time, False, user, match["address"], service, line.source, line.text), min(
            times, MAX_REPEATED
        )
    return None


def _service(line: Line) -> str:
    """The program without what old PAM put behind it; sshd's parts are one."""
    name = line.program.partition("(")[0]
    return "sshd" if name in _SSHD else name


def _by_themselves(
    left: Iterable[tuple[str, Login, int]], said: dict[tuple[str, str], list[datetime]], ports: set[tuple[str, int]]
) -> Iterator[Login]:
    """Of what was left, one attempt for each connection of which nothing else was said."""
    connections: dict[tuple[str, str, str], list[tuple[Login, int]]] = defaultdict(list)
    for pid, login, times in left:
        service = "sshd" if login.how == "none" else login.how
        near = (abs(login.time - moment) <= _ONE_ATTEMPT for moment in said.get((service, pid), ()))
        if (login.port and (login.address, login.port) in ports) or (pid and any(near)):
            continue
        if pid:
            connections[service, pid, login.address].append((login, times))
        else:
            yield from [login] * times
    for found in connections.values():
        found.sort(key=lambda pair: pair[0].time)
        yield from _one_each(found)


def _one_each(found: list[tuple[Login, int]]) -> Iterator[Login]:
    """Of the lines of one process, all from one address, those of one connection are one attempt, or as many as PAM counted."""
    start = 0
    for end in range(1, len(found) + 1):
        if end < len(found) and found[end][0].time - found[start][0].time <= _ONE_ATTEMPT:
            continue
        group = found[start:end]
        best = next((login for login, _ in group if login.user != UNKNOWN_USER), group[0][0])
        # "PAM 5 more" comes with the line of the first
        counted = sum(times for login, times in group if login.how != "none")
        yield from [best] * max(1, counted)
        start = end


def without_copies(logins: Iterable[Login], others: Iterable[Login]) -> list[Login]:
    """``logins`` and those of ``others`` that are not copies of them: rsyslog copies the journal."""
    kept = list(logins)
    known: dict[tuple[bool, str, str, int], list[datetime]] = defaultdict(list)
    for login in kept:
        # the audit log does not know the port, nor a user who does not exist
        names = {(login.user, login.port), (login.user, 0)} | (set() if login.accepted else {(UNKNOWN_USER, 0)})
        for user, port in names:
            known[login.accepted, user, login.address, port].append(login.time)
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
