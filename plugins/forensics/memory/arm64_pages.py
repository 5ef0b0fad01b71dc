"""An AArch64 kernel inside a memory image: its page tables, found by what the kernel left for crash dumps (VMCOREINFO). Pure.

Every Linux kernel that can be dumped keeps a note in its own memory that names its tables, page size and offsets; the walker of
the image finds it. Nothing is taken on trust: tables count only if they map a kernel banner of this image to where it lies.
Sources: Linux, Documentation/admin-guide/kdump/vmcoreinfo.rst and Documentation/arch/arm64/memory.rst; Arm Architecture Reference
Manual, D8 (VMSAv8-64 translation, descriptor formats, 52-bit output addresses).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from forensics.memory.kernel_pages import Frames, PhysicalMemory, UnreachableError
from forensics.memory.lime import PAGE

_ALL = (1 << 64) - 1
# What stands before the text: sizes of name and text, the type, the name in 12 bytes (ELF note; Linux, kernel/vmcore_info.c).
_NOTE = struct.Struct("<III12x")
_NOTE_LIMIT = 16_384
_LINE = re.compile(
    rb"^(?:(SYMBOL|NUMBER|OFFSET|SIZE|LENGTH)\(([\w.]{1,60})\)|(KERNELOFFSET|PAGESIZE))=(-?(?:0x)?[0-9a-f]{1,20})$",
    re.MULTILINE,
)
_VALID, _TABLE_OR_PAGE = 1, 2
_GRANULES = {4_096: 12, 16_384: 14, 65_536: 16}
# Field of a page record: where it must be for the records to be read as `kernel_pages` does.
_RECORD = {"SIZE(page)": 64, "OFFSET(page._refcount)": 52, "OFFSET(page.mapping)": 24}


def read_note(text: bytes) -> dict[str, int]:
    """The numbers of a VMCOREINFO text by name, ``SYMBOL(swapper_pg_dir)`` for one; what is no number is left out."""
    found: dict[str, int] = {}
    for line in _LINE.finditer(text):
        name = f"{line[1].decode()}({line[2].decode()})" if line[1] else line[3].decode()
        value = line[4]
        hexadecimal = value.startswith(b"0x") or name == "KERNELOFFSET" or line[1] == b"SYMBOL"
        try:
            found.setdefault(name, int(value, 16 if hexadecimal else 10) & _ALL)
        except ValueError:  # letters in a decimal number: not written by a kernel
            continue
    return found


def note_at(memory: PhysicalMemory, place: int) -> dict[str, int]:
    """The note whose name begins at this physical address. Raises UnreachableError, OverBudgetError."""
    name, size, kind = _NOTE.unpack(memory.read(place - 12, _NOTE.size))
    if (name, kind) != (11, 0) or not 0 < size <= _NOTE_LIMIT:
        raise UnreachableError(f"what begins like a VMCOREINFO note at {place:#x} is none")
    return read_note(memory.read(place + 12, size))


@dataclass(frozen=True)
class Arm64Tables:
    """Translates addresses of the kernel's half (TTBR1) as the processor does.

    ``granule``: bits of an offset in a page (12, 14 or 16); ``bits``: of a kernel address; ``wide``: 52-bit output addresses.
    """

    memory: PhysicalMemory
    root: int
    granule: int
    bits: int
    wide: bool

    @property
    def levels(self) -> int:
        """Levels of the walk, 2 to 5."""
        return -(-(self.bits - self.granule) // (self.granule - 3))

    @property
    def lowest(self) -> int:
        """The lowest address of the kernel's half."""
        return (1 << 64) - (1 << self.bits)

    def translate(self, address: int) -> tuple[int, int]:
        """Physical address, and how many bytes from there are mapped in one piece. Raises UnreachableError."""
        stride, table = self.granule - 3, self.root
        if self.lowest <= address <= _ALL:
            for level in range(self.levels - 1, -1, -1):
                shift = self.granule + stride * level
                width = min(stride, self.bits - shift)
                at = table + (address >> shift & (1 << width) - 1) * 8
                entry = self.memory.entry(at & ~(PAGE - 1), (at & (PAGE - 1)) // 8)
                if not entry & _VALID or (level == 0 and not entry & _TABLE_OR_PAGE):
                    break
                span = 1 << shift
                if level == 0 or not entry & _TABLE_OR_PAGE:
                    inside = address & (span - 1)
                    return (self._output(entry) & ~(span - 1)) + inside, span - inside
                table = self._output(entry)
        raise UnreachableError(f"kernel address {address:#x} is not mapped")

    def _output(self, entry: int) -> int:
        """The output address of a descriptor: bits 51 to 48 lie below the page with 64 KiB pages, 51 and 50 at 8 otherwise."""
        if self.granule == 16:
            return (entry & 0xFFFF_FFFF_0000) | (entry >> 12 & 0xF) << 48
        if self.wide:
            return (entry & ((1 << 50) - (1 << self.granule))) | (entry >> 8 & 3) << 50
        return entry & ((1 << 48) - (1 << self.granule))

    def read(self, address: int, size: int) -> bytes:
        """Bytes at a kernel address. Raises UnreachableError."""
        pieces = []
        while size > 0:
            physical, span = self.translate(address)
            pieces.append(self.memory.read(physical, min(size, span)))
            address, size = address + span, size - span
        return b"".join(pieces)


@dataclass(frozen=True)
class Arm64Kernel:
    """The kernel's tables and what its note says."""

    tables: Arm64Tables
    note: dict[str, int]

    def known(self, kallsyms: dict[str, int]) -> dict[str, int]:
        """Addresses of symbols; the text begins where the note says: what lies before it is not mapped as text."""
        start = self.note.get("SYMBOL(_stext)")
        return {**kallsyms, **({"_text": start} if start else {})}

    def frames(self) -> Frames:
        """Where the page records are. Raises UnreachableError where their form is another one, or the note does not say."""
        strange = [
            f"{name} is {self.note.get(name)}" for name, value in _RECORD.items() if self.note.get(name) != value
        ]
        base, first = self.note.get("NUMBER(VMEMMAP_START)"), self.note.get("NUMBER(PHYS_OFFSET)")
        if strange or base is None or first is None:
            raise UnreachableError(
                f"the kernel's note does not describe its page records: {', '.join(strange) or 'no address'}"
            )
        size = 1 << self.tables.granule
        # The first record is that of the lowest RAM, as a number of 64 bits with a sign: randomised tables put it below zero.
        offset = first - (1 << 64) if first >> 63 else first
        ends = [
            at
            for at in (
                self.note.get(f"NUMBER({name}_{end})") for name, end in (("MODULES", "VADDR"), ("VMALLOC", "START"))
            )
            if at
        ]
        return Frames(
            records=(base - (offset >> self.tables.granule) * _RECORD["SIZE(page)"]) & _ALL,
            page=size,
            linear=range(self.tables.lowest, min(ends, default=1 << 64)),
        )


def find_kernel(
    memory: PhysicalMemory, notes: Iterable[int], banners: Iterable[int], banner: int | None
) -> Arm64Kernel:
    """The kernel whose tables map a banner of the image to where it lies; ``banner``: its address where the symbols name it.

    Raises UnreachableError with what is wrong with the last note that was tried, OverBudgetError.
    """
    places = sorted(banners)
    reason = "the image holds no VMCOREINFO note of its kernel"
    for place in sorted(notes):
        try:
            note = note_at(memory, place)
            tables = _tables(memory, note)
            offset = note["NUMBER(kimage_voffset)"]
            wanted = places if banner is None else [at for at in places if (at + offset) & _ALL == banner]
            if any(_maps(tables, (at + offset) & _ALL, at) for at in wanted):
                return Arm64Kernel(tables, note)
            reason = "the page tables do not map a banner of the kernel to where it lies in the image"
        except UnreachableError as error:
            reason = str(error)
    raise UnreachableError(reason)


def _maps(tables: Arm64Tables, virtual: int, physical: int) -> bool:
    try:
        return tables.translate(virtual)[0] == physical
    except UnreachableError:
        return False


def _tables(memory: PhysicalMemory, note: dict[str, int]) -> Arm64Tables:
    """The tables that a note describes. Raises UnreachableError where it does not."""
    granule = _GRANULES.get(note.get("PAGESIZE", 0))
    top, offset, most = (
        note.get(name) for name in ("SYMBOL(swapper_pg_dir)", "NUMBER(kimage_voffset)", "NUMBER(VA_BITS)")
    )
    if granule is None or top is None or offset is None or most is None:
        raise UnreachableError(
            "the kernel's note lacks page size, tables, offset or address bits: it is of another architecture"
        )
    bits = 64 - note.get("NUMBER(TCR_EL1_T1SZ)", 64 - most)
    # With 64 KiB pages a kernel made for 52 bits keeps tables for them and lets a smaller processor begin inside.
    bits = most if granule == 16 else bits
    if not granule + 8 < bits <= 52:
        raise UnreachableError(f"the kernel's note says {bits} bits of address, which no processor has")
    return Arm64Tables(memory, root=(top - offset) & _ALL, granule=granule, bits=bits, wide=granule != 16 and bits > 48)
