"""Records of Route 53 Resolver's query logs, and the names of their files. Pure.

Source: Route 53 developer guide, *Values that appear in VPC Resolver query logs* and *Resolver query logging*: JSON, one record a line.
Names are compared without the dot at their end and in lower case (RFC 4343).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

_FILE = re.compile(
    r"(?:^|/)(?P<vpc>vpc-[0-9a-f]+)_vpcdnsquerylogs_(?P<account>\d{12})_(?P<time>\d{8}T\d{4})Z_[0-9A-Za-z]+\.log\.gz$"
)
# The guide's own example has milliseconds after a colon.
_TIME = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:[.:]\d+)?Z?")
_MOST_ANSWERS = 20


@dataclass(frozen=True)
class Query:
    """One question: who asked for what, when, and what the answer was."""

    account: str
    time: datetime
    name: str
    kind: str
    rcode: str
    source: str
    instance: str
    answers: tuple[str, ...] = ()
    firewall: str = ""

    @property
    def failed(self) -> bool:
        """Whether there is no such name."""
        return self.rcode == "NXDOMAIN"


def query(line: bytes | str) -> Query | None:
    """A record, read; None for what is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not isinstance(row.get("query_name"), str):
        return None
    time = _time(row.get("query_timestamp"))
    if time is None:
        return None
    ids = row.get("srcids")
    listed = row.get("answers")
    answers = [_text(a.get("Rdata")) for a in (listed if isinstance(listed, list) else []) if isinstance(a, dict)]
    return Query(
        account=_text(row.get("account_id")), time=time, name=row["query_name"].rstrip(".").lower()[:255],
        kind=_text(row.get("query_type")), rcode=_text(row.get("rcode")), source=_text(row.get("srcaddr")),
        instance=_text(ids.get("instance")) if isinstance(ids, dict) else "",
        answers=tuple(a.rstrip(".") for a in answers if a)[:_MOST_ANSWERS], firewall=_text(row.get("firewall_rule_action")),
    )  # fmt: skip


def _text(value: Any) -> str:
    return value[:300] if isinstance(value, str) else ""


def _time(value: Any) -> datetime | None:
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    try:
        return datetime.strptime(found[1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


@dataclass(frozen=True)
class QueryFileName:
    """What the key of a file says."""

    vpc: str
    account_id: str
    time: datetime


def file_name(key: str) -> QueryFileName | None:
    """The key of a query log file, read; None for any other."""
    found = _FILE.search(key)
    if found is None:
        return None
    try:
        time = datetime.strptime(found["time"], "%Y%m%dT%H%M").replace(tzinfo=UTC)
    except ValueError:
        return None
    return QueryFileName(found["vpc"], found["account"], time)


def day_prefixes(prefix: str, account_id: str, vpc: str, *, begin: datetime, end: datetime) -> Iterator[str]:
    """Prefixes of the days of a window below a configuration's destination."""
    root = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    day = begin.astimezone(UTC).date()
    while day <= end.astimezone(UTC).date():
        yield f"{root}AWSLogs/{account_id}/vpcdnsquerylogs/{vpc}/{day:%Y/%m/%d}/"
        day += timedelta(days=1)
