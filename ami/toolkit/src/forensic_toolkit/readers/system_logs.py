"""Text logs and systemd's journal as lines with times, and the coverage of each file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers.compressed_logs import content_of
from forensic_toolkit.readers.coverage import Artifact, Coverage
from forensic_toolkit.readers.journal import Journal
from forensic_toolkit.results import Results
from forensic_toolkit.times import UTC_ZONE, now, parse_syslog

AUTH = "log-in log"
SYSTEM = "system log"
JOURNAL = "journal"
_FILES = (
    (AUTH, r"/var/log/(auth\.log|secure)([.-][^/]*)?"),
    (SYSTEM, r"/var/log/(syslog|messages|kern\.log|cron|daemon\.log|user\.log)([.-][^/]*)?"),
)
_JOURNALS = r"/(var|run)/log/journal/.+\.journal~?"
_LINE = re.compile(r"^(?:\S+T\S+|[A-Z][a-z]{2}\s+\d{1,2} [\d:]{8}) (\S+) ([^\s\[:]+)(?:\[(\d+)\])?: ?(.*)$")
_ZONE = re.compile(r"zoneinfo/(?:posix/|right/)?([A-Za-z0-9_+\-/]{1,64})$")


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


def read(tree: Tree, *, coverage: Coverage, results: Results) -> SystemLogs:
    """Read every log and count lines and parsed lines in ``coverage``."""
    logs = SystemLogs(zone=_zone(tree, results=results))
    for kind, pattern in _FILES:
        for entry in tree.files(pattern):
            logs.lines[kind].extend(_text_lines(entry, kind=kind, zone=logs.zone, coverage=coverage))
    for entry in tree.files(_JOURNALS):
        logs.lines[JOURNAL].extend(_journal_lines(entry, coverage=coverage))
    return logs


def _zone(tree: Tree, *, results: Results) -> tzinfo:
    """The time zone of /etc/localtime, which applies to log lines without an offset."""
    link = next(iter(tree.links(r"/etc/localtime")), None)
    match = _ZONE.search(link.link_target()) if link else None
    if match is None:
        return UTC_ZONE
    try:
        return ZoneInfo(match[1])
    except (ZoneInfoNotFoundError, ValueError, OSError):
        why = f"time zone {match[1]!r} is unknown on this instance; log times without an offset were read as UTC"
        results.gap("time zone", why)
        return UTC_ZONE


def _text_lines(entry: Entry, *, kind: str, zone: tzinfo, coverage: Coverage) -> Iterator[Line]:
    content = content_of(entry)
    modified = entry.modified() or now()
    artifact = coverage.add(Artifact(kind, entry.path, entry.size, modified=modified, problems=list(content.problems)))
    yield from parse(content.text, artifact=artifact, modified=modified, zone=zone)


def parse(text: str, *, artifact: Artifact, modified: datetime, zone: tzinfo = UTC_ZONE) -> Iterator[Line]:
    """The lines of a text log that begin with a time; ``modified`` is the file's mtime."""
    for row in text.splitlines():
        if not row.strip("\0 "):
            continue
        artifact.lines += 1
        time = parse_syslog(row, not_after=modified, zone=zone)
        if time is None:
            continue
        artifact.understood(time)
        match = _LINE.match(row)
        host, program, pid, message = match.groups() if match else ("", "", None, row)
        yield Line(time, host, program, pid or "", message, artifact.path, row)


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
