"""LiME memory format, version 1: what AVML and LiME write and Volatility 3 reads.

Each range of RAM is a 32-byte header followed by its bytes.
Source: https://github.com/504ensicsLabs/LiME (doc/README.md).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

PAGE = 4096
_HEADER = struct.Struct("<IIQQ8x")
_MAGIC = 0x4C694D45
_VERSION = 1
_CHUNK = 1 << 20
_IOMEM = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) : System RAM$")


@dataclass(frozen=True)
class RamRange:
    """Physical addresses [start, end), whole pages, in bytes."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes in the range."""
        return self.end - self.start


def system_ram(iomem: str) -> list[RamRange]:
    """The RAM ranges of /proc/iomem; ValueError when it names none (without root all addresses are zero)."""
    ranges = []
    for line in iomem.splitlines():
        if match := _IOMEM.match(line):
            start = -(-int(match[1], 16) // PAGE) * PAGE
            end = (int(match[2], 16) + 1) // PAGE * PAGE
            if end > start:
                ranges.append(RamRange(start, end))
    if not ranges:
        raise ValueError("/proc/iomem names no 'System RAM' range: it must be read as root")
    return ranges


def write_lime(physical: BinaryIO, *, ranges: list[RamRange], out: BinaryIO, base: int = 0) -> int:
    """Write `ranges` of a flat physical dump, which begins at address `base`, as LiME; returns its size. ValueError when the
    dump is short."""
    written = 0
    for ram in ranges:
        out.write(_HEADER.pack(_MAGIC, _VERSION, ram.start, ram.end - 1))
        written += _HEADER.size
        physical.seek(ram.start - base)
        left = ram.size
        while left:
            block = physical.read(min(left, _CHUNK))
            if not block:
                raise ValueError(f"physical dump ends at {base + physical.tell():#x}, RAM goes to {ram.end:#x}")
            out.write(block)
            left -= len(block)
            written += len(block)
    return written


def read_ranges(image: BinaryIO) -> Iterator[RamRange]:
    """The ranges of a LiME file, in order; ValueError on a bad header or a file that ends inside a range."""
    image.seek(0, 2)
    size = image.tell()
    offset = 0
    while offset < size:
        image.seek(offset)
        header = image.read(_HEADER.size)
        if len(header) < _HEADER.size:
            raise ValueError(f"LiME header cut short at byte {offset}")
        magic, version, start, last = _HEADER.unpack(header)
        if (magic, version) != (_MAGIC, _VERSION):
            raise ValueError(f"no LiME header at byte {offset}: magic {magic:#x}, version {version}")
        ram = RamRange(start, last + 1)
        offset += _HEADER.size + ram.size
        if offset > size:
            raise ValueError(f"LiME range at {start:#x} needs {offset} bytes, the file has {size}")
        yield ram
