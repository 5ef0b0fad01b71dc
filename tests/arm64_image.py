"""A small LiME image with an AArch64 kernel: banner, text, tables, page records and the note for crash dumps; the rest is noise.

The tables are built here from the Arm ARM's descriptor formats (D8.3), apart from the code that reads them.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass

from tests.memory_image import BANNER, MIB

LARGE = 2 * MIB
SIZE = 24 * MIB
LOW_RAM, HIGH_RAM = 0x4000_0000, (1 << 50) + (1 << 48) + 0x4000_0000
# Where things lie, from the first byte of RAM on.
TEXT, RECORDS, TABLES, NOTE = LARGE, 2 * LARGE, 3 * LARGE, 5 * LARGE
TEXT_BYTES = MIB
_VALID, _TABLE = 1, 3
# Access flag and inner shareable: what stands at bits 8 to 10 is no address unless 52-bit addresses are in use.
_FLAGS, _FLAGS_WIDE = 1 << 10 | 3 << 8, 1 << 10


@dataclass(frozen=True)
class Form:
    """``granule``: bits of an offset in a page; ``bits``: of an address; ``made_for``: what the kernel was configured for."""

    granule: int
    bits: int
    made_for: int
    ram: int = LOW_RAM

    @property
    def wide(self) -> bool:
        """Whether descriptors hold bits 50 and 51 at 8 and 9."""
        return self.granule != 16 and self.bits > 48

    @property
    def text(self) -> int:
        """The address of the text's first page: the kernel lies at the top quarter of its half."""
        return (1 << 64) - (1 << self.bits - 1) + 0x8000_0000

    @property
    def records(self) -> int:
        """The address of the first page record."""
        return (1 << 64) - (1 << self.bits - 2)


@dataclass(frozen=True)
class Arm64Memory:
    """The image, what the kernel says about itself, and addresses for a test to look at."""

    image: bytes
    banner: bytes
    iomem: bytes
    kallsyms: bytes
    form: Form


def arm64_memory(form: Form, *, seed: int = 1, banner: bytes = BANNER, data_symbols: bool = True) -> Arm64Memory:
    """Make one; the same arguments give the same bytes. ``data_symbols``: the kernel has KALLSYMS_ALL."""
    body = bytearray(random.Random(seed).randbytes(SIZE))
    page = 1 << form.granule
    record = struct.pack("<24xQ16xii8x", (1 << 64) - (1 << form.bits) + 0x1000, -1, 1)
    tables = _Tables(form)
    tables.map(form.text, form.ram + TEXT, 2 * MIB)
    tables.map(form.records, form.ram + RECORDS, LARGE)
    banner_at = TEXT + TEXT_BYTES + 0x40
    for place, data in (
        (banner_at, banner + b"\0"), (RECORDS, record * (SIZE // page)), (TABLES, bytes(tables.pages)), (NOTE, note(form)),
    ):  # fmt: skip
        body[place : place + len(data)] = data
    header = struct.pack("<IIQQ8x", 0x4C694D45, 1, form.ram, form.ram + SIZE - 1)
    iomem = f"{form.ram:08x}-{form.ram + SIZE - 1:08x} : System RAM\n".encode()
    names = {"_text": form.text - 0x1_0000, "_stext": form.text, "_etext": form.text + TEXT_BYTES}
    if data_symbols:
        names["linux_banner"] = form.text + TEXT_BYTES + 0x40
    kallsyms = "".join(f"{address:016x} T {name}\n" for name, address in names.items()).encode()
    return Arm64Memory(header + bytes(body), banner, iomem, kallsyms, form)


def note(form: Form, **changed: object) -> bytes:
    """The ELF note as the kernel writes it (Linux v6.12, kernel/vmcore_info.c, arch/arm64/kernel/vmcore_info.c)."""
    offset = (form.text - form.ram - TEXT) & (1 << 64) - 1
    lines: dict[str, object] = {
        "OSRELEASE": "6.1.0-test", "BUILD-ID": "00ff", "PAGESIZE": 1 << form.granule,
        "SYMBOL(swapper_pg_dir)": f"{form.text + TABLES - TEXT:x}", "SYMBOL(_stext)": f"{form.text:x}",
        "SIZE(page)": 64, "OFFSET(page._refcount)": 52, "OFFSET(page.mapping)": 24, "NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)": -129,
        "NUMBER(VA_BITS)": form.made_for, "NUMBER(MODULES_VADDR)": f"0x{form.text - 0x8000_0000:x}",
        "NUMBER(VMEMMAP_START)": f"0x{form.records:x}", "NUMBER(kimage_voffset)": f"0x{offset:x}",
        "NUMBER(PHYS_OFFSET)": f"0x{form.ram:x}", "NUMBER(TCR_EL1_T1SZ)": f"0x{64 - form.bits:x}", "KERNELOFFSET": "0",
    }  # fmt: skip
    text = "".join(f"{name}={value}\n" for name, value in {**lines, **changed}.items() if value is not None).encode()
    return struct.pack("<III", 11, len(text), 0) + b"VMCOREINFO\0\0" + text


class _Tables:
    """Tables of one granule, each a page long, one after the other from ``TABLES`` on."""

    def __init__(self, form: Form) -> None:
        self._form, self._page = form, 1 << form.granule
        self.pages = bytearray(self._page)
        self._places: dict[int, int] = {}
        stride = form.granule - 3
        # With 64 KiB pages the root is that of all bits that the kernel was made for.
        self._bits = form.made_for if form.granule == 16 else form.bits
        self._shifts = list(range(form.granule, self._bits, stride))[::-1]

    def map(self, virtual: int, physical: int, size: int) -> None:
        """Map whole pages, or blocks of 2 MiB where pages have 4 KiB."""
        last = 21 if self._form.granule == 12 else self._form.granule
        for done in range(0, size, 1 << last):
            self._leaf(virtual + done, physical + done, last)

    def _leaf(self, virtual: int, physical: int, last: int) -> None:
        table = 0
        for shift in self._shifts:
            entries = 1 << min(self._form.granule - 3, self._bits - shift)
            at = table + virtual // (1 << shift) % entries * 8
            if shift == last:
                kind = _TABLE if shift == self._form.granule else _VALID
                self.pages[at : at + 8] = self._entry(physical, kind)
                return
            known = int.from_bytes(self.pages[at : at + 8], "little")
            if not known:
                place = len(self.pages)
                self.pages[at : at + 8] = self._entry(self._form.ram + TABLES + place, _TABLE)
                self.pages += bytes(self._page)
                self._places[at] = place
            table = self._places[at]

    def _entry(self, physical: int, kind: int) -> bytes:
        low = physical & (1 << 48) - 1
        if self._form.granule == 16:
            value = low | (physical >> 48) << 12 | _FLAGS
        elif self._form.wide:
            value = physical & (1 << 50) - 1 | (physical >> 50) << 8 | _FLAGS_WIDE
        else:
            value = low | _FLAGS
        return (value | kind | 1 << 54).to_bytes(8, "little")  # and not to be executed by programs
