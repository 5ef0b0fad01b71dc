"""Walks a LiME memory image as it streams past: is it whole, is it memory, which kernel?

LiME format v1: a 32-byte little-endian header (magic 0x4C694D45, version 1, first and last physical address,
8 reserved bytes) before each range's bytes. Source: the LiME project's format description.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

MAGIC = 0x4C694D45
HEADER = struct.Struct("<IIQQ8x")
PAGE = 4096
_BANNER = re.compile(rb"Linux version \d+\.\d+[^\n\0]{10,400}\n")
_SAMPLE_EVERY = 16


@dataclass
class LimeWalker:
    """Feed it the image's bytes in order with :meth:`feed`, then ask :meth:`problems`."""

    ranges: list[tuple[int, int]] = field(default_factory=list)
    total: int = 0
    sampled_pages: int = 0
    zero_pages: int = 0
    banner: str | None = None
    error: str | None = None
    _left: int = 0
    _head: bytes = b""
    _tail: bytes = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the image."""
        self.total += len(chunk)
        if self.banner is None:
            self._find_banner(chunk)
        position = 0
        view = memoryview(chunk)
        while position < len(chunk) and self.error is None:
            if self._left:
                take = min(self._left, len(chunk) - position)
                self._sample(view[position : position + take])
                self._left -= take
                position += take
                continue
            need = HEADER.size - len(self._head)
            self._head += bytes(view[position : position + need])
            position += need
            if len(self._head) == HEADER.size:
                self._open_range()

    def _open_range(self) -> None:
        magic, version, first, last = HEADER.unpack(self._head)
        self._head = b""
        if magic != MAGIC or version != 1:
            where = "at the start" if not self.ranges else f"after range {len(self.ranges)}"
            self.error = f"no LiME header {where} (magic {magic:#010x}, version {version})"
        elif last < first or (self.ranges and first <= self.ranges[-1][1]):
            self.error = f"range {len(self.ranges) + 1} ({first:#x}-{last:#x}) is not ascending"
        else:
            self.ranges.append((first, last))
            self._left = last - first + 1

    def _sample(self, data: memoryview) -> None:
        for start in range(0, len(data) - PAGE + 1, PAGE * _SAMPLE_EVERY):
            self.sampled_pages += 1
            if not any(data[start : start + PAGE]):
                self.zero_pages += 1

    def _find_banner(self, chunk: bytes) -> None:
        window = self._tail + chunk
        found = _BANNER.search(window)
        if found:
            self.banner = found.group().decode("ascii", "replace").strip()
        self._tail = window[-512:]

    @property
    def zero_share(self) -> float:
        """Share of the sampled pages that hold only zeros, 0 to 1."""
        return self.zero_pages / self.sampled_pages if self.sampled_pages else 1.0

    def problems(self) -> list[str]:
        """What is wrong with the image; empty when it passes."""
        found = []
        if self.error:
            found.append(self.error)
        elif not self.ranges:
            found.append("the image is empty")
        elif self._left or self._head:
            found.append(
                f"the image is truncated: {self._left or HEADER.size - len(self._head)} bytes are missing at the end"
            )
        if self.ranges and self.zero_share > 0.98:
            found.append(f"{self.zero_share:.0%} of the sampled pages are zero")
        if self.banner is None:
            found.append("no kernel banner was found in the image")
        return found
