"""Indicators in the written blocks of a snapshot: a search for their texts, not a reading of file systems. Pure.

What is compressed, encrypted within the volume or spread over blocks that do not follow each other on the disk is not seen, and a
text may be left over in a block that no file has any more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from forensics.incident.sweep_order import raw_patterns
from forensics.models.disk import BLOCK_BYTES
from forensics.models.indicators import Indicator, IndicatorKind
from forensics.models.sweeps import SweepHit

PLACES = 3  # of each indicator
AROUND = 40  # bytes shown before and behind


class WrittenBlock(Protocol):
    """A block of a snapshot."""

    @property
    def number(self) -> int: ...
    @property
    def data(self) -> bytes: ...


@dataclass
class BlockLook:
    """What a look at a snapshot has seen. ``why``: why it ended before the last block; empty when it did not."""

    blocks: int = 0
    last: int = -1
    why: str = ""
    hits: list[SweepHit] = field(default_factory=list)
    more: int = 0


class _Search:
    """The patterns that are still looked for, and one expression that says quickly whether any of them is there."""

    def __init__(self, indicators: Sequence[Indicator]) -> None:
        self._open = list(raw_patterns(indicators))
        self.overlap = max((len(pattern) for _, pattern in self._open), default=1) - 1
        self._places: dict[str, int] = {}
        self._compile()

    def _compile(self) -> None:
        self._any = re.compile(_any_of({pattern for _, pattern in self._open}))

    @property
    def done(self) -> bool:
        return not self._open

    def look(self, data: bytes, *, at: int, known: int, into: BlockLook) -> None:
        """Add the hits in ``data``, which begins at byte ``at`` of the volume; those that end within ``known`` are known."""
        small = data.lower()
        if not self._open or not self._any.search(small):
            return
        for indicator, pattern in self._open:
            start = small.find(pattern)
            while start >= 0:
                end = start + len(pattern)
                if end > known and not _inside_of_another(small, start, end, indicator.kind):
                    self._hit(indicator, data, start, end, at=at, into=into)
                start = small.find(pattern, start + 1) if self._places.get(indicator.name, 0) < PLACES else -1
        left = [(i, p) for i, p in self._open if self._places.get(i.name, 0) < PLACES]
        if len(left) < len(self._open):
            self._open = left
            if left:
                self._compile()

    def _hit(self, indicator: Indicator, data: bytes, start: int, end: int, *, at: int, into: BlockLook) -> None:
        places = self._places[indicator.name] = self._places.get(indicator.name, 0) + 1
        if places > PLACES:
            into.more += 1
            return
        shown = bytes(b for b in data[max(0, start - AROUND) : end + AROUND] if b).decode("latin-1")
        text = "".join(c if " " <= c <= "~" else "." for c in shown)
        into.hits.append(SweepHit(kind=indicator.kind, value=indicator.value, at=f"byte {at + start:,}: {text}"[:300]))


def _begin(patterns: Collection[bytes]) -> bytes:
    """What all of them begin with."""
    first, last = min(patterns), max(patterns)
    same = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:same]


def _any_of(patterns: Collection[bytes]) -> bytes:
    """An expression that matches where one of the patterns begins; common beginnings once, which is several times as fast."""
    if b"" in patterns or len(patterns) == 1:
        return re.escape(_begin(patterns))
    groups: dict[int, set[bytes]] = {}
    for pattern in patterns:
        groups.setdefault(pattern[0], set()).add(pattern)
    branches = []
    for group in groups.values():
        begin = _begin(group)
        branches.append(re.escape(begin) + _any_of({pattern[len(begin) :] for pattern in group}))
    return b"(?:" + b"|".join(branches) + b")"


def _inside_of_another(data: bytes, start: int, end: int, kind: IndicatorKind) -> bool:
    """Whether an address is a part of a longer one: 1.2.3.4 in 11.2.3.45. Other texts count wherever they stand."""
    if kind is not IndicatorKind.ADDRESS:
        return False
    step = 2 if data[start + 1 : start + 2] == b"\0" else 1
    signs = b"0123456789abcdef:" if b":" in data[start:end] else b"0123456789"
    around = (data[max(0, start - step) : start][:1], data[end : end + 1])
    return any(sign and sign in signs for sign in around)


def search_blocks(
    blocks: Iterable[WrittenBlock], indicators: Sequence[Indicator], *, most: int, in_time: Callable[[], bool]
) -> BlockLook:
    """Search blocks, which come in ascending order; texts that go over from one into the next are found.

    Ends after ``most`` blocks, when ``in_time`` says no, or when each indicator was found :data:`PLACES` times.
    """
    search, look, tail = _Search(indicators), BlockLook(), b""
    for block in blocks:
        if look.blocks >= most:
            look.why = f"the budget of {most:,} blocks"
            break
        if not in_time():
            look.why = "the budget of time"
            break
        if block.number != look.last + 1:
            tail = b""
        search.look(tail + block.data, at=block.number * BLOCK_BYTES - len(tail), known=len(tail), into=look)
        tail = block.data[-search.overlap :] if search.overlap else b""
        look.blocks, look.last = look.blocks + 1, block.number
        if search.done:
            look.why = "each indicator was found, the rest was not read"
            break
    return look
