"""A volume whose bytes are not contiguous on the device: the mapping from volume to device."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate


class Extents:
    """Parts of a device in order, as (offset, length) in bytes. Reading neither seeks nor locks."""

    def __init__(self, pieces: Sequence[tuple[int, int]]) -> None:
        self.pieces = tuple(pieces)
        self._starts = [0, *accumulate(length for _, length in pieces)]
        self.bytes = self._starts[-1]

    def within(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        """The parts of the device that hold ``length`` bytes from ``offset``; fewer at the end."""
        end = min(offset + length, self.bytes)
        index = bisect_right(self._starts, offset) - 1
        while offset < end:
            start, size = self.pieces[index]
            inside = offset - self._starts[index]
            count = min(size - inside, end - offset)
            yield start + inside, count
            offset, index = offset + count, index + 1

    def read(self, descriptor: int, *, offset: int, length: int) -> bytes:
        """Bytes of the volume, read from an open device; fewer when the device ends early."""
        parts: list[bytes] = []
        for start, count in self.within(offset, length):
            while count:
                part = os.pread(descriptor, count, start)
                if not part:
                    return b"".join(parts)
                parts.append(part)
                start, count = start + len(part), count - len(part)
        return b"".join(parts)

    def inside(self, pieces: Sequence[tuple[int, int]]) -> Extents:
        """Parts of this volume as parts of the device: a logical volume within a partition."""
        return Extents([found for offset, length in pieces for found in self.within(offset, length)])
