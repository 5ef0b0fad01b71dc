"""A small LiME image that the usability gate accepts: a kernel's banner, text, page tables and page records, the rest noise."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024
PAGE = 4096
BANNER = b"Linux version 6.1.0-test (lab@test) (gcc 12.2.0) #1 SMP PREEMPT_DYNAMIC Test 6.1.0 (2026-01-01)\n"
FIRST = 0x1000
LARGE = 2 * MIB
TEXT_VIRTUAL, TEXT_PHYSICAL = 0xFFFF_FFFF_8100_0000, 2 * LARGE
RECORDS_VIRTUAL, RECORDS_PHYSICAL = 0xFFFF_EA00_0000_0000, 3 * LARGE
TABLES = 4 * LARGE
SYMBOLS = {
    "_text": TEXT_VIRTUAL,
    "_etext": TEXT_VIRTUAL + MIB,
    "linux_banner": TEXT_VIRTUAL + MIB + 0x40,
    "vmemmap_base": TEXT_VIRTUAL + MIB + 0x2000,
    "init_top_pgt": TEXT_VIRTUAL + TABLES - TEXT_PHYSICAL,
}


@dataclass(frozen=True)
class SmallMemory:
    """The image and what its kernel says about itself, as bytes."""

    image: bytes
    banner: bytes
    iomem: bytes
    kallsyms: bytes


def small_memory(size: int = 20 * MIB, *, seed: int = 1, banner: bytes = BANNER) -> SmallMemory:
    """Make one; ``size`` in bytes, at least 10 MiB. The same arguments give the same bytes."""
    body = bytearray(random.Random(seed).randbytes(size))

    def put(physical: int, data: bytes) -> None:
        body[physical - FIRST : physical - FIRST + len(data)] = data

    put(TEXT_PHYSICAL + MIB + 0x40, banner + b"\0")
    put(TEXT_PHYSICAL + MIB + 0x2000, struct.pack("<Q", RECORDS_VIRTUAL))
    frames = (FIRST + size) // PAGE
    record = struct.pack("<24xQ16xii8x", 0xFFFF_8880_0000_1000, -1, 1)
    put(RECORDS_PHYSICAL, record * frames)
    tables = _Tables()
    tables.map(TEXT_VIRTUAL, TEXT_PHYSICAL)
    tables.map(RECORDS_VIRTUAL, RECORDS_PHYSICAL)
    put(TABLES, bytes(tables.pages))
    header = struct.pack("<IIQQ8x", 0x4C694D45, 1, FIRST, FIRST + size - 1)
    iomem = f"00000000-00000fff : Reserved\n{FIRST:08x}-{FIRST + size - 1:08x} : System RAM\n".encode()
    kallsyms = "".join(f"{address:016x} T {name}\n" for name, address in SYMBOLS.items()).encode()
    return SmallMemory(header + bytes(body), banner, iomem, kallsyms)


class _Tables:
    """Four levels of page tables whose leaves are pages of 2 MiB."""

    def __init__(self) -> None:
        self.pages = bytearray(PAGE)

    def map(self, virtual: int, physical: int) -> None:
        """Map 2 MiB."""
        table = 0
        for shift in (39, 30):
            at = table + (virtual >> shift & 511) * 8
            (entry,) = struct.unpack_from("<Q", self.pages, at)
            if not entry:
                entry = (TABLES + len(self.pages)) | 3
                struct.pack_into("<Q", self.pages, at, entry)
                self.pages += bytes(PAGE)
            table = (entry & ~0xFFF) - TABLES
        struct.pack_into("<Q", self.pages, table + (virtual >> 21 & 511) * 8, physical | 0x83)


def write(folder: Path, *, size: int = 20 * MIB) -> dict[str, Path]:
    """Write image and kernel facts as the lab takes them; the BTF is only bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    made = small_memory(size)
    contents = {
        "memory": made.image, "btf": random.Random(2).randbytes(4096), "kallsyms": made.kallsyms,
        "version": made.banner, "iomem": made.iomem,
    }  # fmt: skip
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in contents}
