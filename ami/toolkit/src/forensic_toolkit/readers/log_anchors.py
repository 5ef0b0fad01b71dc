"""Until when a log without years can have been written: its modification time, unless something on the disk says earlier.

A rotation that logrotate named after its day ends on that day (logrotate(8), ``dateext``). And of a tree that was copied without its times
(a checkout, a restored backup) every modification time is that of the copy: then the newest time that is written out in full counts,
in audit records (seconds since 1970), log-in records, journals and the logs of packages and cloud-init.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.times import now

_DATED = re.compile(r"[.-](20\d\d)-?([01]\d)-?([0-3]\d)(?=[.-]|$)")
_AUDIT = re.compile(rb"\baudit\((\d{9,10})\.\d{3}:")
_FULL = re.compile(rb"^(20\d\d)-(\d\d)-(\d\d)[ T]\d\d:\d\d:\d\d", re.MULTILINE)
_TAIL = 64 << 10
_TAIL_REALTIME = (
    192  # of a journal's header: the newest entry's microseconds since 1970 (systemd, "Journal File Format")
)
# struct utmp of glibc where its times have 32 bits (utmp(5)): its size, and where the seconds since 1970 are.
_RECORD, _RECORD_TIME = 384, 340
# A tree is a copy when so many of its files were written within a day; with fewer files nothing is said.
_OF_A_COPY, _ENOUGH, _DAY_NS = 0.95, 200, 86_400_000_000_000
# What a log without years may be newer than the newest time that is written out.
_LATER = timedelta(days=31)


def named_day(path: str) -> datetime | None:
    """The end of the day after which a rotation is named, or None."""
    match = _DATED.search(path.rsplit("/", 1)[-1])
    if match is None:
        return None
    try:
        return datetime(int(match[1]), int(match[2]), int(match[3]), tzinfo=UTC) + timedelta(days=1)
    except ValueError:
        return None


def written_until(entry: Entry, tree: Tree | None = None) -> datetime:
    """When a log was last written at the latest."""
    times = [entry.modified() or now()]
    if day := named_day(entry.path):
        times.append(day)
    if tree is not None and is_copy(tree) and (known := newest(tree)):
        times.append(known + _LATER)
    return min(times)


@lru_cache(maxsize=4)
def is_copy(tree: Tree) -> bool:
    """Whether the modification times of a system are those of a copy."""
    days = Counter(
        entry.times.modified // _DAY_NS
        for entry in tree.entries.matching(lambda path: path.startswith(("/etc/", "/usr/", "/var/")), "REG")
    )
    total = days.total()
    # a copy may go on over midnight
    most = max((days[day] + days[day + 1] for day in days), default=0)
    return total >= _ENOUGH and most >= _OF_A_COPY * total


@lru_cache(maxsize=4)
def newest(tree: Tree) -> datetime | None:
    """The newest time that is written out in full in a log; None where there is none."""
    seconds = [found for found in _written_out(tree) if 0 < found < now().timestamp()]
    return datetime.fromtimestamp(max(seconds), UTC) if seconds else None


def _written_out(tree: Tree) -> Iterator[float]:
    for entry in tree.files(r"/var/log/(audit/audit\.log|dpkg\.log|dnf\.log|cloud-init\.log)"):
        tail = _tail(entry)
        yield from (float(found) for found in _AUDIT.findall(tail)[-1:])
        for year, month, day in _FULL.findall(tail)[-1:]:
            try:
                yield datetime(int(year), int(month), int(day), tzinfo=UTC).timestamp()
            except ValueError:
                continue
    for entry in tree.files(r"/var/log/[bw]tmp"):
        tail = _tail(entry, unit=_RECORD)
        yield from (
            float(struct.unpack_from("<i", tail, at + _RECORD_TIME)[0])
            for at in range(0, len(tail) // _RECORD * _RECORD, _RECORD)
        )
    for entry in tree.files(r"/(var|run)/log/journal/.+\.journal"):
        head = entry.read(limit=256)
        if head[:8] == b"LPKSHHRH" and len(head) >= _TAIL_REALTIME + 8:
            yield struct.unpack_from("<Q", head, _TAIL_REALTIME)[0] / 1_000_000
    for entry in tree.files(r"/var/log/[^/]+"):
        if day := named_day(entry.path):
            yield day.timestamp() - 86_400


def _tail(entry: Entry, *, unit: int = 1) -> bytes:
    offset = max(0, entry.size - _TAIL) // unit * unit
    return entry.read(limit=_TAIL + unit, offset=offset)
