"""UTC times: the two formats of the outputs, and the formats that logs use."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

UTC_ZONE: tzinfo = UTC
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SYSLOG = re.compile(r"^([A-Z][a-z]{2})\s+(\d{1,2}) (\d{2}):(\d{2}):(\d{2})")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def now() -> datetime:
    """The current time, UTC."""
    return datetime.now(UTC)


def from_ns(nanoseconds: int) -> datetime | None:
    """The time of nanoseconds since 1970; None outside the range of datetime."""
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        return None


def zulu(moment: datetime) -> str:
    """``2026-11-21T02:01:50.750000Z``; whole seconds have no fraction."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def timesketch(moment: datetime) -> str:
    """``2026-11-21T02:01:50.750000+00:00``, always with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def parse_iso(text: str) -> datetime | None:
    """An ISO 8601 time with offset (taken as UTC without one), or None."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def parse_syslog(line: str, *, not_after: datetime, zone: tzinfo = UTC) -> datetime | None:
    """The time at the start of a syslog line, or None.

    ``not_after`` (the file's mtime) gives a missing year, ``zone`` a missing offset.
    """
    head = line.split(" ", 1)[0]
    if head[:4].isdigit():
        return parse_iso(head)
    match = _SYSLOG.match(line)
    if match is None or match[1] not in _MONTHS:
        return None
    month, day = _MONTHS.index(match[1]) + 1, int(match[2])
    hour, minute, second = int(match[3]), int(match[4]), int(match[5])
    for year in (not_after.year, not_after.year - 1):
        try:
            moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=zone).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
        if moment <= not_after + timedelta(days=1):
            return moment
    return None
