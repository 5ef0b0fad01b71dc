"""Text logs and systemd's journal as lines with times, and the coverage of each file."""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from io import BytesIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers.compressed_logs import content_of
from forensic_toolkit.readers.coverage import Artifact, Coverage
from forensic_toolkit.readers.journal import Journal
from forensic_toolkit.readers.log_anchors import is_copy, named_day, newest, written_until
from forensic_toolkit.readers.log_stream import LogFile
from forensic_toolkit.readers.log_times import Backwards
from forensic_toolkit.results import Results
from forensic_toolkit.times import UTC_ZONE, now

AUTH = "log-in log"
SYSTEM = "system log"
JOURNAL = "journal"
FILES = (
    (AUTH, r"/var/log/(auth\.log|secure)([.-][^/]*)?"),
    (SYSTEM, r"/var/log/(syslog|messages|kern\.log|cron|daemon\.log|user\.log)([.-][^/]*)?"),
)
JOURNALS = r"/(var|run)/log/journal/.+\.journal~?"
# Behind the time: host (the kernel's own lines may have none), program, pid, message.
_REST = re.compile(r"(?:(?![^\s\[:]+(?:\[\d+\])?: )(\S+) )?([^\s\[:]+)(?:\[(\d+)\])?: ?(.*)$")
_HEAD = re.compile(
    r"^(?:<\d{1,3}>)?(?:\d{4}-\d\d-\d\d[T ][\d:.,]+ ?(?:Z|[+-]\d\d:?\d\d)?|[A-Z][a-z]{2} {1,2}\d{1,2}(?: \d{4})? [\d:.,]+(?: \d{4}(?= ))?),? +"
)
_5424 = re.compile(r"^<\d{1,3}>1 (\S+) (\S+) (\S+) (\S+) \S+ (?:-|(?:\[(?:[^\]\\]|\\.)*\])+) ?\ufeff?(.*)$")
_REPEATED = re.compile(r"\blast message repeated (\d{1,9}) times?$")
_ZONE = re.compile(r"zoneinfo/(?:posix/|right/)?([A-Za-z0-9_+\-/]{1,64})$")
# So many lines of each kind are kept whatever they say, the newest ones. Of older ones routine is only counted.
KEPT = 60_000
KEPT_OLDER = 40_000
# Tests for bytes within a line: a tenth of the cost of a regular expression, and they are asked millions of times.
_ROUTINE = (
    *(
        b"Failed ",
        b"Connection closed",
        b"pam_unix(cron",
        b"nvalid user",
        b"isconnect",
        b"pam_unix(sshd",
        b"authentication failure",
    ),
    *(b"Connection reset", b"pam_unix(systemd-user", b"check pass; user unknown", b"Did not receive"),
)
# What is kept of older lines before anything else: log-ins, changes of accounts, root's sessions, downloads and shells.
_GRAVE = re.compile(
    rb"Accepted |user(?:add|mod|del)|group(?:add|mod)|gpasswd|passwd\[|chage|new (?:user|group)|su(?:\[\d+\])?: |session opened for user root"
)
_COMMANDS = re.compile(
    rb"curl|wget|base64|/tmp/|/dev/shm|/bin/(?:ba|da|z|k)?sh|python|perl|nc |ncat|socat|chmod|chattr|crontab|insmod|shadow"
)
# Of routine lines with an address these many are kept for each, the newest ones.
KEPT_OF_AN_ADDRESS = 20


@dataclass(frozen=True, slots=True)
class Line:
    """One parsed line of a log."""

    time: datetime
    host: str
    program: str
    pid: str
    message: str
    source: str
    text: str


@dataclass(slots=True)
class SystemLogs:
    """All lines by the kind of their file; ``zone`` is the system's time zone."""

    lines: dict[str, list[Line]] = field(default_factory=lambda: {AUTH: [], SYSTEM: [], JOURNAL: []})
    zone: tzinfo = UTC_ZONE

    def all(self) -> Iterator[Line]:
        """Every line of every file."""
        for lines in self.lines.values():
            yield from lines


@dataclass(frozen=True, slots=True)
class Reading:
    """One log that is to be read: its path, and the function that reads it, the newest part first."""

    path: str
    run: Callable[[], None]


def readings(tree: Tree, *, logs: SystemLogs, coverage: Coverage, results: Results) -> Iterator[Reading]:
    """Every log, each to be read by itself: what was read is in ``logs`` even when the reading is stopped half way."""
    logs.zone = _zone(tree, results=results)
    if is_copy(tree) and newest(tree) is None:
        results.gap(
            "times of logs without years", "every file was written on one day, as in a copy: the years come from there"
        )
    for entry in tree.files(JOURNALS):
        yield Reading(entry.path, lambda entry=entry: _journal(entry, logs, coverage))  # type: ignore[misc]
    for kind, pattern in FILES:
        for entries in _families(tree.files(pattern)):
            dating = Backwards(latest=written_until(entries[0], tree), zone=logs.zone)
            for entry, older in zip(entries, [*entries[1:], None], strict=True):
                span = (named_day(older.path) if older else None, written_until(entry, tree))
                text = _TextLog(kind, entry, dating, logs, coverage, results, span=span)
                yield Reading(entry.path, text.read)


def read(tree: Tree, *, coverage: Coverage, results: Results) -> SystemLogs:
    """Read every log at once, without a limit on the time."""
    logs = SystemLogs()
    for reading in readings(tree, logs=logs, coverage=coverage, results=results):
        reading.run()
    return logs


def _families(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Logs with their rotations, the newest first: the file that is written to, then by the time of the last write."""
    families: dict[str, list[Entry]] = {}
    for entry in entries:
        stem = re.sub(r"(\.log)?[.-](\d.*|old.*)$|\.(gz|xz|bz2|zst)$", r"\1", entry.path)
        families.setdefault(stem, []).append(entry)
    for stem, family in families.items():
        family.sort(key=lambda entry: (entry.path != stem, -written_until(entry).timestamp(), _rotation(entry.path)))
    return list(families.values())


def _rotation(path: str) -> tuple[int, str]:
    number = re.search(r"\.(\d{1,4})(?:\.[a-z]\w+)?$", path)
    return int(number[1]) if number else 0, path


def _modified(entry: Entry) -> datetime:
    return entry.modified() or now()


def _zone(tree: Tree, *, results: Results) -> tzinfo:
    """The time zone of /etc/localtime, which applies to log lines without an offset; without that file a system runs in UTC.

    The system's own rules come first, a link's target or the file itself; then those of the instance that the toolkit runs on.
    """
    link = next(iter(tree.links(r"/etc/localtime")), None)
    match = _ZONE.search(link.link_target()) if link else None
    own = tree.get("/etc/localtime")
    content = own.read(limit=1 << 20) if own is not None and own.is_file else b""
    name = match[1] if match else ""
    if content:
        # What the file holds is anybody's: a damaged one may raise nearly anything.
        with contextlib.suppress(ValueError, OSError, EOFError, IndexError, OverflowError, struct.error, UnicodeError):
            return ZoneInfo.from_file(BytesIO(content), key=name or None)
    if name:
        with contextlib.suppress(ZoneInfoNotFoundError, ValueError, OSError):
            return ZoneInfo(name)
    if own is not None or link is not None:
        what = f"time zone {name!r} is unknown on this instance" if name else "/etc/localtime holds no time zone"
        results.gap("time zone", f"{what}; log times without an offset were read as UTC")
    return UTC_ZONE


class _TextLog:
    """One text log. Its lines go into ``logs`` block by block, the newest first."""

    def __init__(
        self,
        kind: str,
        entry: Entry,
        dating: Backwards,
        logs: SystemLogs,
        coverage: Coverage,
        results: Results,
        *,
        span: tuple[datetime | None, datetime],
    ) -> None:
        self._kind, self._entry, self._dating, self._span = kind, entry, dating, span
        self._lines, self._results = logs.lines[kind], results
        self._artifact = Artifact(kind, entry.path, entry.size, modified=_modified(entry))
        self._coverage = coverage
        self._of_address: dict[bytes, int] = {}
        self._older = self._grave = self._routine = self._counted = self._dropped = 0

    def read(self) -> None:
        """Read all of it; stopped half way, the newest part is there and its coverage says how much that is."""
        self._coverage.add(self._artifact)
        begun, until = self._span
        self._dating.older_file(until, begun=begun)
        log = LogFile(self._entry)
        before = len(self._dating.doubts)
        left = log.size
        if log.is_empty:
            self._artifact.bytes = 0
        try:
            for block in log.blocks():
                self._block(block)
                left -= sum(map(len, block)) + len(block)
        finally:
            log.close()
            if left > 1:
                self._artifact.problems.append(f"its oldest {left} bytes were not read: the reading was stopped")
            self._artifact.problems.extend([*log.problems, *self._dating.doubts[before:]])
            self._tell()

    def _tell(self) -> None:
        words = f"{self._counted} older lines of routine were only counted (failed log-ins, disconnections, cron)"
        if self._counted:
            self._results.note(self._entry.path, f"{words}; of failed log-ins the newest of each address were kept")
        if self._dropped:
            why = (
                f"{self._dropped} older lines were only counted, because there are so many; no rule has looked at them"
            )
            self._results.gap(f"rules on {self._entry.path}", why)

    def _block(self, block: list[bytes]) -> None:
        if len(self._lines) >= KEPT:
            block = self._notable(block)
        lines = [text for raw in block if (text := raw.decode("utf-8", "replace").strip("\0\r "))]
        self._lines.extend(parsed(lines, artifact=self._artifact, dating=self._dating))

    def _notable(self, block: list[bytes]) -> list[bytes]:
        """The lines that rules may want, and the ends of the block, by which its lines are dated."""
        kept = block[:1]
        # Written out, because this is asked for every line of a log that may have millions of them.
        a, b, c, d, e, f, g, h, i, j, k = _ROUTINE
        for line in block[1:-1]:
            if (
                a in line
                or b in line
                or c in line
                or d in line
                or e in line
                or f in line
                or g in line
                or h in line
                or (i in line or j in line or k in line)
            ):
                if self._routine < KEPT_OLDER and not self._enough_of(line):
                    self._routine += 1
                    kept.append(line)
                else:
                    self._counted += 1
            elif len(line) > 15 and self._wanted(line):
                kept.append(line)
        kept += block[1:][-1:]
        skipped = len(block) - len(kept)
        self._artifact.lines += skipped
        self._artifact.parsed += skipped
        return kept

    def _wanted(self, line: bytes) -> bool:
        command = line.find(b"COMMAND=")
        if _COMMANDS.search(line, command) if command >= 0 else _GRAVE.search(line):
            self._grave += 1
            if self._grave <= KEPT_OLDER:
                return True
        elif self._kind == AUTH:
            self._older += 1
            if self._older <= KEPT_OLDER:
                return True
        self._dropped += 1
        return False

    def _enough_of(self, line: bytes) -> bool:
        """Whether an address had its share of routine lines; also when the line names none."""
        _, told, rest = line.rpartition(b" from ")
        _, told, rest = (b"", told, rest) if told else line.rpartition(b" rhost=")
        if not told:
            return True
        # before OpenSSH 7.2 no port stands behind it, but the line's end, or a colon
        address = rest.partition(b" ")[0].rstrip(b":")
        count = self._of_address.get(address, 0)
        self._of_address[address] = count + 1
        return count >= KEPT_OF_AN_ADDRESS


def parse(text: str, *, artifact: Artifact, modified: datetime, zone: tzinfo = UTC_ZONE) -> Iterator[Line]:
    """The lines of a text log that begin with a time, in their order; ``modified`` is the file's mtime."""
    rows = [row for row in text.splitlines() if row.strip("\0 ")]
    rows.reverse()
    found = list(parsed(rows, artifact=artifact, dating=Backwards(latest=modified, zone=zone)))
    return reversed(found)


def parsed(lines: Sequence[str], *, artifact: Artifact, dating: Backwards) -> Iterator[Line]:
    """Lines from the newest to the oldest; those without a certain time are counted in ``artifact``, but not given."""
    repeated: list[tuple[datetime, str, int]] = []
    artifact.lines += len(lines)
    for text, time in dating.dated(lines):
        if time is None:
            continue
        artifact.understood(time)
        line = _line(text, time, artifact.path)
        folded = _REPEATED.search(text) if text.endswith(("times", "time")) else None
        if folded:
            repeated.append((time, text[: folded.start()].rsplit(" ", 2)[-2], int(folded[1])))
            continue
        for when, host, times in repeated:
            message = f"message repeated {times} times: [ {line.message}]"
            pid = f"[{line.pid}]" if line.pid else ""
            full = f"{when.isoformat()} {host or line.host} {line.program}{pid}: {message}"
            yield Line(when, line.host, line.program, line.pid, message, line.source, full)
        repeated.clear()
        yield line


def _line(text: str, time: datetime, source: str) -> Line:
    if text[:1] == "<" and (match := _5424.match(text)):
        stated, host, program, pid, message = match.groups()
        pid = pid if pid.isdigit() else ""
        full = f"{stated} {host} {program}{f'[{pid}]' if pid else ''}: {message}"
        return Line(time, host, program, pid, message, source, full)
    head = 16 if text[15:16] == " " and text[3:4] == " " and text[9:10] == ":" else None
    if head is None:
        match = _HEAD.match(text)
        head = match.end() if match else 0
    rest = _REST.match(text, head)
    if rest is None:
        return Line(time, "", "", "", text[head:] if head else text, source, text)
    host, program, number, message = rest.groups()
    return Line(time, host or "", program, number or "", message, source, text)


def _journal(entry: Entry, logs: SystemLogs, coverage: Coverage) -> None:
    logs.lines[JOURNAL].extend(_journal_lines(entry, coverage=coverage))


def _journal_lines(entry: Entry, *, coverage: Coverage) -> Iterator[Line]:
    content = content_of(entry)
    artifact = coverage.add(Artifact(JOURNAL, entry.path, entry.size, problems=list(content.problems)))
    journal = Journal(content.data)
    for record in journal.records():
        artifact.understood(record.time)
        fields = record.fields
        pid = fields.get("_PID") or fields.get("SYSLOG_PID") or ""
        host, message = fields.get("_HOSTNAME", ""), fields.get("MESSAGE", "")
        yield Line(record.time, host, record.program, pid, message, entry.path, record.line)
    # A journal that was opened but never written to has megabytes of empty tables and no entry.
    artifact.lines = max(journal.expected, journal.read)
    if not artifact.lines and not journal.problems:
        artifact.bytes = 0
    artifact.problems.extend(journal.problems)
