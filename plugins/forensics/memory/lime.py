"""Walks a LiME memory image as it streams past: is it complete, what does it cover, which kernels does it name?

LiME format v1: a 32-byte little-endian header (magic 0x4C694D45, version 1, first and last physical address,
8 reserved bytes) before each range's bytes. Source: the LiME project's format description.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from forensics.memory.limits import BANNER_CANDIDATES, RANGES

MAGIC = 0x4C694D45
HEADER = struct.Struct("<IIQQ8x")
PAGE = 4096
_ZERO = bytes(PAGE)
# Bounded and without going back: digits without end would cost 400 steps a byte.
_BANNER = re.compile(rb"Linux version \d{1,3}\.\d{1,3}+[^\n\0]{10,400}+\n")
_BANNER_BEGINS = re.compile(rb"Linux version \d")
# The name of the Windows kernel's symbol file stands in its debug directory (and nowhere in a wiped image).
# The name of the note that a Linux kernel keeps for crash dumps, and its first line (Linux, kernel/vmcore_info.c).
_NOTE_BEGINS = b"VMCOREINFO\0\0OSRELEASE="
_KEPT_NOTES = 64
_WINDOWS_KERNEL = re.compile(rb"ntkr(?:nlmp|nlpa|pamp)\.pdb")
_BANNER_LIMIT = 512
_KEPT_BANNERS = 16
_ENDLESS = 1 << 62
_KEPT_PLACES = 256


@dataclass(frozen=True)
class MemoryRange:
    """One range of the image: first and last physical address, and where its bytes begin in the image."""

    first: int
    last: int
    offset: int


class ZeroMap:
    """Which pages hold only zeros: one bit a page, so 8 MiB for 256 GiB of memory."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._ranges: list[tuple[MemoryRange, bytearray]] = []
        self._waiting = ""

    def open(self, memory_range: MemoryRange) -> None:
        """Begin the next range; ranges ascend."""
        self.flush()
        self._firsts.append(memory_range.first)
        self._ranges.append((memory_range, bytearray()))

    def add(self, flags: str) -> None:
        """Take ``0`` and ``1`` (all zero) for the next pages of the range."""
        self._waiting += flags
        whole = len(self._waiting) // 8 * 8
        if whole:
            self._ranges[-1][1].extend(int(self._waiting[:whole], 2).to_bytes(whole // 8, "big"))
            self._waiting = self._waiting[whole:]

    def flush(self) -> None:
        """End the current range."""
        if self._waiting:
            self.add("0" * (-len(self._waiting) % 8))

    def is_zero(self, address: int) -> bool:
        """Whether the page at a physical address was seen and holds only zeros."""
        place = bisect_right(self._firsts, address) - 1
        if place < 0 or address > self._ranges[place][0].last:
            return False
        known, bits = self._ranges[place]
        page = (address - known.first) // PAGE
        return page // 8 < len(bits) and bool(bits[page // 8] >> (7 - page % 8) & 1)


@dataclass
class LimeWalker:
    """Feed it the image's bytes in order with :meth:`feed`, then call :meth:`close` and look at what it saw.

    ``raw``: the image has no headers, its bytes are physical memory from address 0 on (go-winpmem's raw form).
    ``notes``: physical addresses at which the name of a VMCOREINFO note begins.
    ``exceeded``: what of the limits the image exceeds; from there on it is only counted, not looked at.
    """

    raw: bool = False
    ranges: list[MemoryRange] = field(default_factory=list)
    total: int = 0
    pages: int = 0
    zero_pages: int = 0
    zeros: ZeroMap = field(default_factory=ZeroMap)
    banners: dict[str, set[int]] = field(default_factory=dict)
    notes: set[int] = field(default_factory=set)
    error: str | None = None
    exceeded: str | None = None
    _candidates: int = 0
    _left: int = 0
    _head: bytes = b""
    _page: bytes = b""
    _tail: bytes = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the image."""
        position = 0
        if self.raw and not self.ranges:
            self.ranges.append(MemoryRange(0, _ENDLESS - 1, 0))
            self.zeros.open(self.ranges[0])
            self._left = _ENDLESS
        while position < len(chunk) and self.error is None:
            if self._left:
                take = min(self._left, len(chunk) - position)
                whole = take == len(chunk)
                self._body(chunk if whole else chunk[position : position + take])
                position += take
                self.total += take
                continue
            need = HEADER.size - len(self._head)
            piece = chunk[position : position + need]
            self._head += piece
            position += len(piece)
            self.total += len(piece)
            if len(self._head) == HEADER.size:
                self._open_range()
        self.total += len(chunk) - position

    def close(self) -> LimeWalker:
        """The stream has ended."""
        self.zeros.flush()
        if self.raw and self.ranges:
            self.ranges[0], self._left = MemoryRange(0, self.total - 1, 0), 0
        return self

    def _open_range(self) -> None:
        magic, version, first, last = HEADER.unpack(self._head)
        self._head = b""
        if magic != MAGIC or version != 1:
            where = "at the start" if not self.ranges else f"after range {len(self.ranges)}"
            self.error = f"no LiME header {where} (magic {magic:#010x}, version {version})"
        elif last < first or (self.ranges and first <= self.ranges[-1].last):
            self.error = f"range {len(self.ranges) + 1} ({first:#x}-{last:#x}) is not ascending"
        elif first % PAGE:
            self.error = f"range {len(self.ranges) + 1} begins at {first:#x}, inside a page"
        elif len(self.ranges) == RANGES:
            self.error = self.exceeded = f"the image has more than {RANGES} ranges (a real one has tens)"
        else:
            self.ranges.append(MemoryRange(first, last, self.total))
            self.zeros.open(self.ranges[-1])
            self._left, self._page, self._tail = last - first + 1, b"", b""

    def _body(self, data: bytes) -> None:
        address = self.ranges[-1].last + 1 - self._left
        self._find_banners(data, address)
        self._count_pages(data)
        self._left -= len(data)

    def _count_pages(self, data: bytes) -> None:
        start = min(len(data), -len(self._page) % PAGE)
        self._page += data[:start]
        flags = ""
        if len(self._page) == PAGE:
            flags = "1" if self._page == _ZERO else "0"
            self._page = b""
        if self._page == b"":
            end = start + (len(data) - start) // PAGE * PAGE
            flags += "".join("1" if data[at : at + PAGE] == _ZERO else "0" for at in range(start, end, PAGE))
            self._page = data[end:]
        if flags:
            self.pages += len(flags)
            self.zero_pages += flags.count("1")
            self.zeros.add(flags)

    def _find_banners(self, data: bytes, address: int) -> None:
        seam = self._tail + data[:_BANNER_LIMIT]
        if self._tail:
            self._keep_banners(seam, address - len(self._tail))
        self._keep_banners(data, address)
        self._tail = (seam if len(data) < _BANNER_LIMIT else data)[-_BANNER_LIMIT:]

    def _keep_banners(self, window: bytes, address: int) -> None:
        at = -1 if self.raw else window.find(_NOTE_BEGINS)
        while at >= 0 and len(self.notes) < _KEPT_NOTES:
            self.notes.add(address + at)
            at = window.find(_NOTE_BEGINS, at + 1)
        for found in _WINDOWS_KERNEL.finditer(window) if self.raw else self._banners_in(window):
            text = found.group().decode("ascii", "replace").strip()
            if text in self.banners or len(self.banners) < _KEPT_BANNERS:
                places = self.banners.setdefault(text, set())
                if len(places) < _KEPT_PLACES:
                    places.add(address + found.start())

    def _banners_in(self, window: bytes) -> Iterator[re.Match[bytes]]:
        for begins in _BANNER_BEGINS.finditer(window):
            if self._candidates == BANNER_CANDIDATES:
                self.exceeded = f"more than {BANNER_CANDIDATES} places begin like a kernel banner"
                return
            self._candidates += 1
            if found := _BANNER.match(window, begins.start()):
                yield found

    @property
    def banner(self) -> str | None:
        """The kernel banner that occurs most often; None when there is none."""
        return max(self.banners, key=lambda text: len(self.banners[text]), default=None)

    @property
    def zero_share(self) -> float:
        """Share of the pages that hold only zeros, 0 to 1."""
        return self.zero_pages / self.pages if self.pages else 1.0

    @property
    def missing_bytes(self) -> int:
        """How many bytes the last range or header lacks at the end of the stream."""
        return self._left or (HEADER.size - len(self._head) if self._head else 0)

    @property
    def covered(self) -> list[tuple[int, int]]:
        """What the image really holds: first and one past the last physical address of every range."""
        found = [(r.first, r.last + 1) for r in self.ranges]
        if found and self._left:
            found[-1] = (found[-1][0], found[-1][1] - self._left)
        return found
