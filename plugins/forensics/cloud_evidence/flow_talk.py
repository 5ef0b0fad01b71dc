"""One conversation out of flow records: its connections, when they began, whether they come at regular times. Pure.

A record is one connection's (five fields) in one aggregation interval of one or ten minutes. Implants call home every few seconds to minutes,
with jitter, through missed beats and dead servers: so the pauses between *connections* are judged, by their quartiles.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from forensics.cloud_evidence.flow_lines import PROTOCOLS

# A connection is one as long as its records follow each other: aggregation intervals are one or ten minutes.
_SAME = timedelta(seconds=90)
BEACONS, LEAST_PAUSE, MOST_PAUSE, SPREAD = 12, 2.0, 6 * 3600.0, 0.6
BEACON_SPAN = timedelta(minutes=10)
# Bytes of a packet without data: IP's and TCP's headers with options.
_HEADERS = 64
_KEPT_STARTS, _KEPT_OPEN = 4_000, 64


@dataclass
class Conversation:
    """All flows with one address about one port: ``outbound`` when the target asked, ``port`` that of the one who was asked.

    ``starts`` are the seconds since 1970 at which the target's own connections began, as numbers because they are many; ``own`` is true
    for a service of AWS, where the records say so.
    """

    remote: str
    port: int
    protocol: int
    outbound: bool
    accepted: bool
    first: datetime
    last: datetime
    flows: int = 0
    packets: int = 0
    size_out: int = 0
    size_in: int = 0
    own: bool = False
    starts: array[float] = field(default_factory=lambda: array("d"))
    _open: dict[int, datetime] = field(default_factory=dict)

    def take(self, *, begin: datetime, end: datetime, size: int, packets: int, out: bool, asker: int = 0) -> None:
        """Add a record; ``asker`` is the port of the one who asked, which tells connections apart."""
        if out and self.outbound:
            self._connection(asker, begin, end)
        self.first, self.last = min(self.first, begin), max(self.last, end)
        self.flows += 1
        self.packets += packets
        if out:
            self.size_out += size
        else:
            self.size_in += size

    def _connection(self, asker: int, begin: datetime, end: datetime) -> None:
        before = self._open.get(asker)
        if (before is None or begin - before > _SAME) and len(self.starts) < _KEPT_STARTS:
            self.starts.append(begin.timestamp())
        self._open[asker] = max(end, before or end)
        if len(self._open) > _KEPT_OPEN:
            self._open = {port: last for port, last in self._open.items() if begin - last <= _SAME} or {asker: end}

    @property
    def where(self) -> str:
        """``198.51.100.7, TCP port 443``."""
        return f"{self.remote}, {PROTOCOLS.get(self.protocol, f'protocol {self.protocol}')} port {self.port}"

    @property
    def unanswered(self) -> bool:
        """No more than headers, and few of them: no server, or one that refuses."""
        return self.size_in + self.size_out <= _HEADERS * self.packets and self.packets <= 10 * self.flows


def regular(starts: Sequence[float]) -> float:
    """The median pause in seconds where connections come at regular times; 0 where they do not.

    Judged are the middle half of the pauses, so that missed beats and a night do not hide it. Uniform jitter of half the pause spreads them
    by a third of the median; independent calls by one and a half medians.
    """
    moments = sorted(set(starts))
    pauses = sorted(b - a for a, b in pairwise(moments))
    if len(pauses) < BEACONS or moments[-1] - moments[0] < BEACON_SPAN.total_seconds():
        return 0.0
    middle = pauses[len(pauses) // 2]
    spread = pauses[3 * len(pauses) // 4] - pauses[len(pauses) // 4]
    return middle if LEAST_PAUSE <= middle <= MOST_PAUSE and spread <= SPREAD * middle else 0.0


def most_within(starts: Sequence[float], window: timedelta) -> int:
    moments, begin, best = sorted(starts), 0, 0
    for end, moment in enumerate(moments):
        while moment - moments[begin] > window.total_seconds():
            begin += 1
        best = max(best, end + 1 - begin)
    return best
