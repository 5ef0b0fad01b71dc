"""The kernel inside an image: symbols, physical memory, page tables, its text, the frames it calls in use."""

from __future__ import annotations

import struct

import pytest

from forensics.memory.kernel_pages import (
    PageTables,
    PhysicalMemory,
    UnreachableError,
    find_tables,
    frames_in_use,
    symbols,
    zero_text_pages,
)
from forensics.memory.lime import HEADER, LimeWalker, MemoryRange
from tests.memory_image import (
    BANNER,
    FIRST,
    MIB,
    PAGE,
    RECORDS_PHYSICAL,
    RECORDS_VIRTUAL,
    SYMBOLS,
    TABLES,
    TEXT_PHYSICAL,
    TEXT_VIRTUAL,
    small_memory,
)

MADE = small_memory(12 * MIB)
KNOWN = symbols(MADE.kallsyms)
BANNER_PLACE = TEXT_PHYSICAL + MIB + 0x40


def offset(physical: int) -> int:
    return HEADER.size + physical - FIRST


def walked(image: bytes = MADE.image) -> tuple[LimeWalker, PhysicalMemory]:
    walker = LimeWalker()
    walker.feed(image)
    walker.close()
    return walker, PhysicalMemory(walker.ranges, lambda at, size: image[at : at + size])


def tables(image: bytes = MADE.image) -> tuple[PageTables, LimeWalker]:
    walker, memory = walked(image)
    return find_tables(memory, KNOWN, {BANNER_PLACE}), walker


def zeroed(first: int, size: int) -> bytes:
    image = bytearray(MADE.image)
    image[offset(first) : offset(first) + size] = bytes(size)
    return bytes(image)


def test_the_first_address_of_each_wanted_symbol_is_taken() -> None:
    assert {name: KNOWN[name] for name in SYMBOLS} == SYMBOLS
    twice = b"ffffffff81000000 T _text\nffffffff82000000 t _text\nffffffff81000040 T something_else\n"
    assert symbols(twice) == {"_text": 0xFFFFFFFF81000000}
    assert symbols(b"0000000000000000 T _text\n") == {}, "hidden addresses"


def test_physical_memory_is_read_across_the_image_and_not_beyond() -> None:
    ranges = [MemoryRange(0x1000, 0x1FFF, 32), MemoryRange(0x4000, 0x4FFF, 32 + PAGE + 32)]
    image = bytes(32) + b"a" * PAGE + bytes(32) + b"b" * PAGE
    memory = PhysicalMemory(ranges, lambda at, size: image[at : at + size])
    assert (memory.read(0x1FFF, 1), memory.read(0x4000, 2)) == (b"a", b"bb")
    for address, size in ((0x2000, 1), (0x1FFF, 2), (0x0FFF, 1)):
        with pytest.raises(UnreachableError, match=f"physical address {address:#x} is not in the image"):
            memory.read(address, size)


def test_the_tables_are_those_that_map_the_banner_to_where_it_is() -> None:
    found, _ = tables()
    assert (found.root, found.levels) == (TABLES, 4)
    assert found.translate(TEXT_VIRTUAL)[0] == TEXT_PHYSICAL
    assert found.translate(RECORDS_VIRTUAL)[0] == RECORDS_PHYSICAL
    assert found.read(SYMBOLS["linux_banner"], len(BANNER)) == BANNER


@pytest.mark.parametrize(
    ("known", "places", "reason"),
    [
        ({}, {BANNER_PLACE}, "the symbol list names neither linux_banner nor the page tables"),
        (KNOWN, set(), "no copy of the banner lies where the kernel's own would"),
        (KNOWN, {BANNER_PLACE + PAGE}, "no copy of the banner lies where the kernel's own would"),
        (KNOWN, {BANNER_PLACE + 2 * MIB}, "is not mapped|map the kernel elsewhere|is not in the image"),
    ],
)
def test_tables_that_cannot_be_found_say_why(known: dict[str, int], places: set[int], reason: str) -> None:
    _, memory = walked()
    with pytest.raises(UnreachableError, match=reason):
        find_tables(memory, known, places)


def test_an_address_that_is_not_mapped_is_unreachable() -> None:
    found, _ = tables()
    with pytest.raises(UnreachableError, match="kernel address 0xffffffff40000000 is not mapped"):
        found.translate(0xFFFFFFFF40000000)


def test_zero_pages_of_the_text_are_counted() -> None:
    assert zero_text_pages(tables()[0], KNOWN, tables()[1]) == (0, MIB // PAGE - 1)
    image = zeroed(TEXT_PHYSICAL + 4 * PAGE, 3 * PAGE)
    found, walker = tables(image)
    assert zero_text_pages(found, KNOWN, walker) == (3, MIB // PAGE - 1)
    assert zero_text_pages(found, {}, walker) == (0, 0)


def test_zero_frames_in_use_are_counted_and_their_longest_run() -> None:
    found, walker = tables()
    clean = frames_in_use(found, KNOWN, walker)
    assert (clean.frames, clean.zero, clean.longest_run, clean.blank_records) == (12 * MIB // PAGE, 0, 0, 0)
    hole = zeroed(TABLES + MIB, 5 * PAGE)
    again = frames_in_use(*[tables(hole)[0], KNOWN, tables(hole)[1]])
    assert (again.zero, again.longest_run) == (5, 5)
    assert again.zero_share == pytest.approx(5 / (12 * MIB // PAGE))


def test_zero_pages_of_processes_count_but_not_in_the_run() -> None:
    """A process's own pages (bit 0 of the mapping) may well be zero."""
    image = bytearray(zeroed(TABLES + MIB, 5 * PAGE))
    for frame in range((TABLES + MIB) // PAGE + 2, (TABLES + MIB) // PAGE + 5):
        struct.pack_into("<Q", image, offset(RECORDS_PHYSICAL) + frame * 64 + 24, 0xFFFF_8880_0000_1001)
    found, walker = tables(bytes(image))
    seen = frames_in_use(found, KNOWN, walker)
    assert (seen.zero, seen.longest_run) == (5, 2)


def test_a_frame_that_nobody_uses_does_not_count() -> None:
    image = bytearray(MADE.image)
    struct.pack_into("<i", image, offset(RECORDS_PHYSICAL) + (FIRST // PAGE) * 64 + 52, 0)
    found, walker = tables(bytes(image))
    assert frames_in_use(found, KNOWN, walker).frames == 12 * MIB // PAGE - 1


def test_blank_page_records_are_counted() -> None:
    found, walker = tables(zeroed(RECORDS_PHYSICAL + PAGE, 2 * PAGE))
    assert frames_in_use(found, KNOWN, walker).blank_records >= 1


def test_without_the_page_records_symbol_nothing_is_compared() -> None:
    found, walker = tables()
    with pytest.raises(UnreachableError, match="does not name vmemmap_base"):
        frames_in_use(found, {k: v for k, v in KNOWN.items() if k != "vmemmap_base"}, walker)
