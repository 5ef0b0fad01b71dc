"""Words for people: long text cut, sizes, times and durations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from forensics.models.base import Model
from forensics.printable import NOT_RECORDED, utc

MAX_TEXT = 4000
_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")


def cut(text: str, limit: int = MAX_TEXT) -> str:
    """Cut after ``limit`` characters and say how many are missing."""
    return text if len(text) <= limit else f"{text[:limit]} […{len(text) - limit:,} more characters]"


def human_size(size: int | None) -> str:
    """Size in binary units, or that it is not recorded."""
    if size is None:
        return NOT_RECORDED
    if size < 1024:
        return f"{size} bytes"
    power = min((size.bit_length() - 1) // 10, len(_UNITS))
    return f"{size / 1024**power:,.2f} {_UNITS[power - 1]}"


def exact_size(size: int | None) -> str:
    """Size in bytes with separators; empty when the human form already says it."""
    return "" if size is None or size < 1024 else f"{size:,} bytes"


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """Seconds from ``start`` to ``end``; None when one of them is not recorded."""
    return None if start is None or end is None else (end - start).total_seconds()


def duration(seconds: float | None) -> str:
    """Signed seconds, and minutes or hours when that reads better."""
    if seconds is None:
        return NOT_RECORDED
    sign = "\N{MINUS SIGN}" if seconds < 0 else "+"
    size = abs(seconds)
    exact = f"{sign}{size:,.1f} s"
    if size < 120:
        return exact
    minutes, rest = divmod(round(size), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    words = [f"{days} d"] if days else []
    words += [f"{hours} h"] if hours or days else []
    words += [f"{minutes} min"] if minutes else []
    words += [f"{rest} s"] if not days else []
    return f"{exact} ({' '.join(words)})"


def pairs(values: Mapping[str, object] | Model) -> list[tuple[str, str]]:
    """Key and value of a mapping or model as text, in key order, nested values flattened with dots."""
    rows: list[tuple[str, str]] = []
    known = _fields(values)
    for key in sorted(known, key=str):
        value = known[key]
        if isinstance(value, Mapping | Model) and _fields(value):
            rows += [(f"{key}.{inner}", text) for inner, text in pairs(value)]
        else:
            rows.append((str(key), plain(value)))
    return rows


def _fields(values: Mapping[str, object] | Model) -> Mapping[str, object]:
    return values.model_dump(mode="json", exclude_none=True) if isinstance(values, Model) else values


def flat(values: Mapping[str, object] | Model) -> str:
    """A mapping or model on one line: ``key: value; key: value``."""
    return "; ".join(f"{key}: {text}" for key, text in pairs(values))


def plain(value: object) -> str:
    """One value as text: no value is said, booleans in words, lists with commas."""
    if value is None or value in ("", {}, [], ()):
        return NOT_RECORDED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return utc(value)
    if isinstance(value, Mapping):
        return f"({flat(value)})"
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value)
    return str(value)
