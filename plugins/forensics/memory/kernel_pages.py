"""The kernel inside a memory image: its page tables, its text, and what its own page records say is in use.

The tables here are those of x86-64 with 4 or 5 levels (``arm64_pages`` has AArch64's; text and records are read alike). The kernel's symbol addresses come from its kallsyms; where the kernel lies in physical memory is
found from its banner: the banner's physical and virtual address differ by ``phys_base`` (the kernel's own name), a multiple
of 2 MiB. Sources: Intel SDM volume 3, 4.5 (paging); the kernel's Documentation/arch/x86/x86_64/mm.rst; ``struct page`` in
include/linux/mm_types.h (64 bytes; mapping at 24, _refcount at 52, unchanged since 4.18).
"""

from __future__ import annotations

import re
import struct
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import nlargest
from typing import Protocol

from forensics.memory.lime import PAGE, LimeWalker, MemoryRange
from forensics.memory.limits import KERNEL_TEXT, MIB, Budget, OverBudgetError

TEXT_MAPPING = 0xFFFF_FFFF_8000_0000
KERNEL_HALF = 0xFFFF_8000_0000_0000
_ADDRESS = 0x000F_FFFF_FFFF_F000
_PRESENT, _LARGE = 1, 0x80
_ANONYMOUS = 1
_MAPPING_FLAGS = 3
_KERNEL_ALIGNMENT = 2 << 20
_WANTED = (
    b"linux_banner",
    b"init_top_pgt",
    b"init_level4_pgt",
    b"_text",
    b"_etext",
    b"vmemmap_base",
    b"shmem_aops",
    b"shmem_write_begin",
)
# Objects of the kernel's own data, initialised when it is compiled: a page with one of them is never all zeros.
_OWN_DATA = (
    "init_task", "init_mm", "init_cred", "init_nsproxy", "init_pid_ns", "init_uts_ns", "init_user_ns", "init_net", "super_blocks", "modules",
)  # fmt: skip
_SYMBOL = re.compile(
    rb"^([0-9a-f]{8,16}) \w (" + b"|".join((*_WANTED, *(name.encode() for name in _OWN_DATA))) + rb")$", re.MULTILINE
)
_STRUCT_PAGE = struct.Struct("<24xQ20xi8x")
# An address_space with its table of operations lies within these bytes from where ``mapping`` points (about 150 of them).
_MAPPING_BYTES = 256
# As much of its table of operations: ``write_begin`` is among the first ten of its words.
_OPERATIONS_BYTES = 128
# A hole in an image touches the pages of many files; a capture writes into a few.
_LOOKED_AT_MAPPINGS = 64
_LOOKED_AT_OBJECTS = 256
# Runs of zero frames from which on an image is not whole: half a MiB of files is not zero by itself; kernel objects that are given
# back during a capture of minutes leave zero pages under `init_on_free` (187 consecutive ones seen).
FILE_RUN, OBJECT_RUN = 128, 1_024
_CACHED_PAGES = 1024
# 64 groups of 16,384 page records (1 MiB each) are looked at, spread over the memory: enough to see a hole of 1 %.
_GROUP_FRAMES = 16_384
_GROUPS = 64

ReadAt = Callable[[int, int], bytes]


class UnreachableError(Exception):
    """An address that the image does not hold or the page tables do not map."""


def symbols(kallsyms: bytes) -> dict[str, int]:
    """Addresses of the few symbols that are needed here; the first of each name. Empty when addresses are hidden."""
    found: dict[str, int] = {}
    # One match at a time: a list of all of them would take ten times the target's text in memory.
    for match in _SYMBOL.finditer(kallsyms):
        if address := int(match[1], 16):
            found.setdefault(match[2].decode(), address)
    return found


@dataclass
class PhysicalMemory:
    """Reads physical addresses out of an image of which any piece can be read at an offset, within a budget.

    ``ranges``: in ascending order of addresses, as :class:`LimeWalker` keeps them.
    """

    ranges: list[MemoryRange]
    read_at: ReadAt
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        self._cache: dict[int, bytes] = {}
        self._firsts = [known.first for known in self.ranges]

    def read(self, address: int, size: int) -> bytes:
        """Bytes at a physical address. Raises :class:`UnreachableError` and :class:`OverBudgetError`."""
        place = bisect_right(self._firsts, address) - 1
        if place >= 0 and address + size - 1 <= (known := self.ranges[place]).last:
            self.budget.spend(size)
            data = self.read_at(known.offset + address - known.first, size)
            if len(data) == size:
                return data
        msg = f"physical address {address:#x} is not in the image"
        raise UnreachableError(msg)

    def entry(self, table: int, index: int) -> int:
        """One entry of a page table."""
        if table not in self._cache:
            if len(self._cache) >= _CACHED_PAGES:
                self._cache.pop(next(iter(self._cache)))
            self._cache[table] = self.read(table, PAGE)
        return int.from_bytes(self._cache[table][index * 8 : index * 8 + 8], "little")


@dataclass(frozen=True)
class PageTables:
    """Translates kernel addresses as the processor does."""

    memory: PhysicalMemory
    root: int
    levels: int

    def translate(self, address: int) -> tuple[int, int]:
        """Physical address, and how many bytes from there are mapped in one piece. Raises UnreachableError."""
        table = self.root
        for level in range(self.levels - 1, -1, -1):
            shift = 12 + 9 * level
            entry = self.memory.entry(table, address >> shift & 511)
            if not entry & _PRESENT:
                break
            span = 1 << shift
            if level == 0 or (level < 3 and entry & _LARGE):
                inside = address & (span - 1)
                return (entry & _ADDRESS & ~(span - 1)) + inside, span - inside
            table = entry & _ADDRESS
        msg = f"kernel address {address:#x} is not mapped"
        raise UnreachableError(msg)

    def read(self, address: int, size: int) -> bytes:
        """Bytes at a kernel address. Raises UnreachableError."""
        pieces = []
        while size > 0:
            physical, span = self.translate(address)
            pieces.append(self.memory.read(physical, min(size, span)))
            address, size = address + span, size - span
        return b"".join(pieces)


class KernelTables(Protocol):
    """What the checks need of an architecture's page tables."""

    @property
    def memory(self) -> PhysicalMemory:
        """What they read from."""

    def translate(self, address: int) -> tuple[int, int]:
        """Physical address, and how many bytes from there are mapped in one piece. Raises UnreachableError."""

    def read(self, address: int, size: int) -> bytes:
        """Bytes at a kernel address. Raises UnreachableError."""


@dataclass(frozen=True)
class Frames:
    """Where the kernel's page records are and what they are of.

    ``records``: address of the first; ``page``: bytes of a frame; ``linear``: addresses at which the kernel sees all memory.
    """

    records: int
    page: int = PAGE
    linear: range = range(KERNEL_HALF, 1 << 64)

    @classmethod
    def of_x86_64(cls, tables: KernelTables, known: dict[str, int]) -> Frames:
        """As the kernel's ``vmemmap_base`` says. Raises UnreachableError, OverBudgetError."""
        if "vmemmap_base" not in known:
            msg = "the symbol list does not name vmemmap_base"
            raise UnreachableError(msg)
        return cls(int.from_bytes(tables.read(known["vmemmap_base"], 8), "little"))


def find_tables(memory: PhysicalMemory, known: dict[str, int], banner_places: Iterable[int]) -> PageTables:
    """The kernel's page tables: those that map the banner's address to where the banner is. Raises UnreachableError."""
    banner, top = known.get("linux_banner"), known.get("init_top_pgt") or known.get("init_level4_pgt")
    if banner is None or top is None:
        msg = "the symbol list names neither linux_banner nor the page tables"
        raise UnreachableError(msg)
    reason = "no copy of the banner lies where the kernel's own would"
    for place in sorted(banner_places):
        base = place - (banner - TEXT_MAPPING)
        if base % _KERNEL_ALIGNMENT:
            continue
        for levels in (4, 5):
            tables = PageTables(memory, root=top - TEXT_MAPPING + base, levels=levels)
            try:
                if tables.translate(banner)[0] == place:
                    return tables
                reason = "the page tables map the kernel elsewhere"
            except UnreachableError as error:
                reason = str(error)
    raise UnreachableError(reason)


def zero_text_pages(tables: KernelTables, known: dict[str, int], walker: LimeWalker) -> tuple[int, int]:
    """Pages of the kernel's text that hold only zeros, and all its pages. Raises UnreachableError, OverBudgetError."""
    first, past = known.get("_text", 0), known.get("_etext", 0)
    if past - first > KERNEL_TEXT:
        msg = f"the symbol list says {(past - first) // MIB} MiB of kernel text; more than {KERNEL_TEXT // MIB} MiB is not walked"
        raise OverBudgetError(msg)
    zero = total = 0
    for address in range(first, past - PAGE, PAGE):
        tables.memory.budget.alive()
        total += 1
        zero += walker.zeros.is_zero(tables.translate(address)[0])
    return zero, total


def zero_data_pages(tables: KernelTables, known: dict[str, int], walker: LimeWalker) -> tuple[list[str], int]:
    """Names of the kernel's own objects whose pages hold only zeros, and how many were looked at. Raises UnreachableError, OverBudgetError."""
    named = {name: known[name] for name in _OWN_DATA if known.get(name)}
    zero = [name for name, at in named.items() if walker.zeros.is_zero(tables.translate(at)[0])]
    return zero, len(named)


@dataclass(frozen=True)
class InUse:
    """Page frames that the kernel's records call in use (a file's or a process's page), and how many of those are zero.

    Zero pages of files in memory (tmpfs) are excluded: the capture itself copies free memory into such files. ``longest_run``
    counts consecutive zero frames of files; ``longest_object_run`` those of files and of kernel objects (slabs), which the kernel
    gives back while the capture goes on. A process's own pages may well be zero and count in neither.
    """

    frames: int
    zero: int
    longest_run: int
    longest_object_run: int
    blank_records: int

    @property
    def zero_share(self) -> float:
        """Zero frames among those in use, 0 to 1."""
        return self.zero / self.frames if self.frames else 0.0


def frames_in_use(
    tables: KernelTables, known: dict[str, int], walker: LimeWalker, *, kept: Frames | None = None
) -> InUse:
    """Compare the kernel's page records (``kept``, else those of x86-64) with the pages themselves.

    Raises UnreachableError, OverBudgetError.
    """
    kept = kept or Frames.of_x86_64(tables, known)
    records, page, lowest = kept.records, kept.page, kept.linear.start
    places = range(records, records + (walker.covered[-1][1] // page + 1) * _STRUCT_PAGE.size)
    # In their order: the word of each zero frame, 0 for one that is not zero and no process's own.
    seen = array("Q")
    frames = blank = 0
    for first, past in _groups(walker.covered, page):
        tables.memory.budget.alive()
        block = tables.read(records + first * _STRUCT_PAGE.size, (past - first) * _STRUCT_PAGE.size)
        blank += sum(block[at : at + PAGE].count(0) == PAGE for at in range(0, len(block) - PAGE + 1, PAGE))
        for number, (mapping, references) in enumerate(_STRUCT_PAGE.iter_unpack(block), start=first):
            if references <= 0 or mapping < lowest:
                continue
            frames += 1
            if all(walker.zeros.is_zero(at) for at in range(number * page, (number + 1) * page, PAGE)):
                seen.append(mapping)
            elif not mapping & _ANONYMOUS:
                seen.append(0)
    in_memory = _files_in_memory(tables, known, Counter(seen))
    runs = _Runs(_KernelObjects(tables, places, kept.linear))
    zero = 0
    for mapping in seen:
        if mapping in in_memory:
            frames -= 1
            continue
        zero += mapping > 0
        if not mapping & _ANONYMOUS:
            runs.add(mapping)
    runs.add(0)
    return InUse(frames, zero, runs.longest, runs.longest_object, blank)


def _files_in_memory(tables: KernelTables, known: dict[str, int], zeros: Counter[int]) -> set[int]:
    """The mappings of files in tmpfs, by the kernel's ``shmem_aops`` in them; ``zeros``: zero frames of each mapping.

    A kernel that lists no data symbols does not name that table: there it is the one that holds ``shmem_write_begin``.

    Those with the most zero frames are looked at: a capture writes into a few files, each of them large, while libraries with
    empty pages between their segments are many (64 KiB of alignment on AArch64).
    """
    operations, begins = known.get("shmem_aops"), known.get("shmem_write_begin")
    if not operations and not begins:
        return set()
    files = ((mapping, count) for mapping, count in zeros.items() if mapping and not mapping & _MAPPING_FLAGS)
    most = nlargest(_LOOKED_AT_MAPPINGS, files, key=lambda file: (file[1], -file[0]))
    found = set()
    for mapping, _count in most:
        try:
            data = tables.read(mapping, _MAPPING_BYTES)
        except UnreachableError:
            continue
        words = struct.unpack(f"<{_MAPPING_BYTES // 8}Q", data)
        if not operations and begins:
            operations = next((word for word in words if _holds(tables, word, begins)), None)
        if operations in words:
            found.add(mapping)
    return found


def _holds(tables: KernelTables, table: int, function: int) -> bool:
    """Whether a table of the kernel's image, not farther from the function than an image is long, holds its address."""
    if abs(table - function) > KERNEL_TEXT:
        return False
    try:
        data = tables.read(table, _OPERATIONS_BYTES)
    except UnreachableError:
        return False
    return function in struct.unpack(f"<{_OPERATIONS_BYTES // 8}Q", data)


class _Runs:
    """The longest runs of zero frames: of files, and of files and kernel objects.

    Which of them are objects is looked up (a read of the stored image each) only where it matters, in a run that is long.
    """

    def __init__(self, objects: _KernelObjects) -> None:
        self._objects = objects
        self._run: list[int] = []
        self.longest = self.longest_object = 0

    def add(self, mapping: int) -> None:
        """The next frame: its record's word when it is zero, else 0."""
        if mapping:
            if len(self._run) < OBJECT_RUN:  # a longer one says no more
                self._run.append(mapping)
            return
        length = files = len(self._run)
        if length >= FILE_RUN:
            files = sum(not self._objects.own(known) for known in self._run)
        self.longest, self.longest_object = max(self.longest, files), max(self.longest_object, length)
        self._run.clear()


class _KernelObjects:
    """Recognises the frames of slabs. What a file's page has as its mapping is something else there (Linux, mm/slab.h, ``struct slab``).

    Until 6.5 it is the cache, which begins with an offset into per-processor memory, or on AArch64 with an address of the kernel's
    image (a mapping begins with that of its inode, in the linear map); later a list of slabs: the address of a page record, or of a list that leads to one.
    """

    def __init__(self, tables: KernelTables, records: range, linear: range) -> None:
        self._tables = tables
        self._records = records
        self._linear = linear
        self._known: dict[int, bool] = {}

    def own(self, mapping: int) -> bool:
        """Whether a frame with this word in its record is theirs; False where that cannot be determined."""
        if mapping in self._records:
            return True
        if mapping not in self._known:
            if len(self._known) >= _LOOKED_AT_OBJECTS:
                return False
            self._known[mapping] = self._look(mapping)
        return self._known[mapping]

    def _look(self, mapping: int) -> bool:
        try:
            first = int.from_bytes(self._tables.read(mapping, 8), "little")
        except UnreachableError:
            return False
        return first > 0 and (first not in self._linear or first in self._records)


def _groups(covered: list[tuple[int, int]], page: int) -> Iterator[tuple[int, int]]:
    """Frame numbers (first, one past the last) in groups; all of them, or evenly spread ones of a large memory."""
    found = [
        (at, min(at + _GROUP_FRAMES, end // page))
        for start, end in covered
        for at in range(-(-start // page), end // page, _GROUP_FRAMES)
    ]
    step = max(1, -(-len(found) // _GROUPS))
    yield from found[::step]
