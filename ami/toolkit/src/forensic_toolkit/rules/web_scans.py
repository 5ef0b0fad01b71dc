"""Addresses that try names from a list: many different paths in a short time that a web server does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from forensic_toolkit.results import Finding
from forensic_toolkit.times import zulu

# A crawler that follows dead links asks slowly; a list of names is tried several times a second, or by a tool that says who it is.
DIFFERENT, SECONDS_EACH = 30, 5.0
_REFUSED = frozenset({401, 403, 404, 410})
REFUSED = frozenset(map(str, _REFUSED))  # as a log has them
_TOOLS = re.compile(
    r"gobuster|dirbuster|dirb\b|ffuf|feroxbuster|dirsearch|wfuzz|fuzz faster|rustbuster|nikto|wpscan|cansina", re.I
)
MAX_ADDRESSES, MAX_PATHS = 20_000, 5_000


@dataclass(slots=True)
class _Tried:
    first: datetime
    last: datetime
    agent: str
    paths: set[str] = field(default_factory=set)
    count: int = 0


class WordLists:
    """What each address asked for in vain, while requests of one log pass by in any order."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._by_address: dict[str, _Tried] = {}

    def seen(self, address: str, *, target: str, status: int, agent: str, time: datetime) -> None:
        """Note a request."""
        if status not in _REFUSED:
            return
        tried = self._by_address.get(address)
        if tried is None:
            if len(self._by_address) >= MAX_ADDRESSES:
                return
            tried = self._by_address[address] = _Tried(time, time, agent)
        tried.count += 1
        tried.first, tried.last = min(tried.first, time), max(tried.last, time)
        if len(tried.paths) < MAX_PATHS:
            tried.paths.add(target.split("?", 1)[0])

    def findings(self) -> Iterator[Finding]:
        """One finding for each address that tried a list."""
        for address, tried in self._by_address.items():
            each = (tried.last - tried.first).total_seconds() / tried.count
            tool = _TOOLS.search(tried.agent)
            if len(tried.paths) < DIFFERENT or (each > SECONDS_EACH and not tool):
                continue
            some = ", ".join(sorted(tried.paths)[:10])
            yield Finding(
                title=f"Names of files and folders tried from a list by {address}",
                detail=f"{tried.count} requests for {len(tried.paths)} different paths that were refused or are not there, "
                f"{zulu(tried.first)} to {zulu(tried.last)}, agent {tried.agent}: {some}",
                severity="low",
                confidence="high" if tool else "medium",
                source=self._source,
                time=tried.first,
                technique="T1595.003",
                data={"address": address, "requests": tried.count, "paths": len(tried.paths), "agent": tried.agent},
                kind="Names of files and folders tried from a list",
                count=tried.count,
                first=tried.first,
                last=tried.last,
            )
