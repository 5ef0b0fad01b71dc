"""The RAM map that the kernel states in /proc/iomem, and what of it an image lacks.

Source of the format: the kernel's Documentation/filesystems/proc.rst; addresses are zero for readers without privilege.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from forensics.memory.limits import RANGES, OverBudgetError

PAGE = 4096
# Capture tools leave out a few pages at a range's edges (the first page, firmware tables that share a page with RAM).
EDGE = 16 * PAGE
_RAM = re.compile(r"^([0-9a-f]{4,16})-([0-9a-f]{4,16}) : System RAM\s*$", re.MULTILINE)

Ranges = list[tuple[int, int]]


def system_ram(iomem: str) -> Ranges:
    """Ranges of RAM as (first, one past the last) physical address in whole pages; empty when none is named.

    Ranges that overlap are one. Raises :class:`OverBudgetError` for a map that no machine has.
    """
    found = []
    for count, line in enumerate(_RAM.finditer(iomem), start=1):
        if count > RANGES:
            msg = f"the target's RAM map has more than {RANGES} ranges (a real one has tens)"
            raise OverBudgetError(msg)
        start, end = -(-int(line[1], 16) // PAGE) * PAGE, (int(line[2], 16) + 1) // PAGE * PAGE
        if end > start:
            found.append((start, end))
    return _merged(found, touching=False)


def size(ranges: Ranges) -> int:
    """Bytes in all ranges."""
    return sum(end - start for start, end in ranges)


def missing(ram: Ranges, covered: Ranges) -> Ranges:
    """What of the RAM map no range of the image covers; thin edges that capture tools leave out do not count."""
    found = []
    pieces = _merged(covered, touching=True)
    ends = [past for _, past in pieces]
    for start, end in ram:
        at, place = start, bisect_right(ends, start)
        while at < end:
            first, past = pieces[place] if place < len(pieces) else (end, end)
            first, past = min(first, end), min(past, end)
            gap = first - at
            edge = at == start or first == end
            if gap > (EDGE if edge else 0):
                found.append((at, first))
            at, place = max(at, past), place + 1
    return found


def outside(ram: Ranges, covered: Ranges) -> Ranges:
    """Ranges of the image that touch no RAM at all."""
    pieces = _merged(ram, touching=True)
    ends = [past for _, past in pieces]

    def touches(first: int, past: int) -> bool:
        place = bisect_right(ends, first)
        return place < len(pieces) and pieces[place][0] < past

    return [(a, b) for a, b in covered if not touches(a, b)]


def _merged(ranges: Ranges, *, touching: bool) -> Ranges:
    """The same addresses in ascending ranges, none of which overlap (with ``touching``: none of which touch either)."""
    made: Ranges = []
    for start, end in sorted(ranges):
        if made and (start < made[-1][1] or (touching and start == made[-1][1])):
            made[-1] = (made[-1][0], max(made[-1][1], end))
        else:
            made.append((start, end))
    return made
