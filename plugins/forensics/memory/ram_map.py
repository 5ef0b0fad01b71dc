"""The RAM map that the kernel states in /proc/iomem, and what of it an image lacks.

Source of the format: the kernel's Documentation/filesystems/proc.rst; addresses are zero for readers without privilege.
"""

from __future__ import annotations

import re

PAGE = 4096
# Capture tools leave out a few pages at a range's edges (the first page, firmware tables that share a page with RAM).
EDGE = 16 * PAGE
_RAM = re.compile(r"^([0-9a-f]{4,16})-([0-9a-f]{4,16}) : System RAM\s*$", re.MULTILINE)

Ranges = list[tuple[int, int]]


def system_ram(iomem: str) -> Ranges:
    """Ranges of RAM as (first, one past the last) physical address in whole pages; empty when none is named."""
    found = []
    for first, last in _RAM.findall(iomem):
        start, end = -(-int(first, 16) // PAGE) * PAGE, (int(last, 16) + 1) // PAGE * PAGE
        if end > start:
            found.append((start, end))
    return sorted(found)


def size(ranges: Ranges) -> int:
    """Bytes in all ranges."""
    return sum(end - start for start, end in ranges)


def missing(ram: Ranges, covered: Ranges) -> Ranges:
    """What of the RAM map no range of the image covers; thin edges that capture tools leave out do not count."""
    found = []
    for start, end in ram:
        inside = sorted((max(a, start), min(b, end)) for a, b in covered if a < end and b > start)
        at = start
        for first, past in [*inside, (end, end)]:
            gap = first - at
            edge = at == start or first == end
            if gap > (EDGE if edge else 0):
                found.append((at, first))
            at = max(at, past)
    return found


def outside(ram: Ranges, covered: Ranges) -> Ranges:
    """Ranges of the image that touch no RAM at all."""
    return [(a, b) for a, b in covered if not any(a < end and b > start for start, end in ram)]
