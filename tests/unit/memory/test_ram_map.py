"""The RAM map of /proc/iomem, and what of it an image lacks or has too much."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.memory.ram_map import EDGE, PAGE, Ranges, missing, outside, size, system_ram

IOMEM = """\
00000000-00000fff : Reserved
00001000-0009fbff : System RAM
000f0000-000fffff : System ROM
00100000-7ffdbfff : System RAM
  01000000-01e037d7 : Kernel code
100000000-17fffffff : System RAM
"""


def test_ranges_are_whole_pages_of_ram_in_order() -> None:
    assert system_ram(IOMEM) == [(0x1000, 0x9F000), (0x100000, 0x7FFDC000), (0x1_0000_0000, 0x1_8000_0000)]
    assert size(system_ram(IOMEM)) == 0x9E000 + 0x7FEDC000 + 0x8000_0000


@pytest.mark.parametrize(
    "iomem",
    [
        "",
        "00000000-00000000 : System RAM\n",
        "00001000-00001ffe : System RAM\n",
        "zz : System RAM\n",
        "00001000-00002fff : Reserved\n",
    ],
)
def test_a_map_without_addresses_names_no_ram(iomem: str) -> None:
    assert system_ram(iomem) == []


RAM: Ranges = [(0x100000, 0x900000)]


@pytest.mark.parametrize(
    ("covered", "gone"),
    [
        ([(0x100000, 0x900000)], []),
        ([(0x100000 + EDGE, 0x900000 - EDGE)], []),
        ([(0x100000 + EDGE + PAGE, 0x900000)], [(0x100000, 0x100000 + EDGE + PAGE)]),
        ([(0x100000, 0x300000), (0x301000, 0x900000)], [(0x300000, 0x301000)]),
        ([(0x500000, 0x900000), (0x100000, 0x500000)], []),
        ([(0x100000, 0x700000), (0x200000, 0x300000)], [(0x700000, 0x900000)]),
        ([], [(0x100000, 0x900000)]),
        ([(0x900000, 0xA00000)], [(0x100000, 0x900000)]),
    ],
    ids=["all", "edges", "more-than-an-edge", "a-page-inside", "any-order", "overlap", "nothing", "elsewhere"],
)
def test_what_is_missing_is_named_but_thin_edges_are_not(covered: Ranges, gone: Ranges) -> None:
    assert missing(RAM, covered) == gone


def test_ranges_where_there_is_no_ram_are_outside() -> None:
    assert outside(RAM, [(0, 0x1000), (0x0FF000, 0x101000), (0x900000, 0x901000)]) == [
        (0, 0x1000),
        (0x900000, 0x901000),
    ]


@given(st.lists(st.integers(0, 0x7FF), min_size=1, max_size=40, unique=True))
def test_every_hole_of_pages_inside_is_found(holes: list[int]) -> None:
    """Leave single pages out of the middle; what is missing is exactly those."""
    first, past = RAM[0]
    inside = sorted(first + 0x10000 + n * PAGE for n in holes if first + 0x10000 + n * PAGE < past - 0x20000)
    covered, at = [], first
    for hole in inside:
        if hole > at:
            covered.append((at, hole))
        at = hole + PAGE
    covered.append((at, past))
    assert size(missing(RAM, covered)) == len(inside) * PAGE
