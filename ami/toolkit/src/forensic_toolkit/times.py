"""UTC times and the two formats of the outputs; times in logs are read by ``readers.log_times``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

UTC_ZONE: tzinfo = UTC
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FROM_1601 = 116_444_736_000_000_000  # 1970 in units of 100 ns since 1601


def now() -> datetime:
    """The current time, UTC."""
    return datetime.now(UTC)


def from_ns(nanoseconds: int) -> datetime | None:
    """The time of nanoseconds since 1970; None outside the range of datetime."""
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        return None


def from_filetime(ticks: int) -> datetime | None:
    """The time of a FILETIME, units of 100 ns since 1601; None for none (up to 1970) and outside the range of datetime."""
    return from_ns((ticks - _FROM_1601) * 100) if ticks > _FROM_1601 else None


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
