"""The LiME walker: the same verdict however the stream is cut."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.memory.lime import HEADER, MAGIC, PAGE, LimeWalker

BANNER = b"Linux version 6.1.0-13-amd64 (debian-kernel@lists.debian.org) (gcc-12 12.2.0) #1 SMP Debian 6.1.55-1\n"


def header(first: int, last: int, *, magic: int = MAGIC, version: int = 1) -> bytes:
    """A range's header."""
    return struct.pack("<IIQQ8x", magic, version, first, last)


def body(pages: int, *, banner_at: int | None = None, fill: int = 0xA5) -> bytes:
    """Pages with something in them."""
    data = bytearray([fill]) * (pages * PAGE)
    if banner_at is not None:
        data[banner_at : banner_at + len(BANNER)] = BANNER
    return bytes(data)


def image(*ranges: tuple[int, bytes]) -> bytes:
    """A whole image of (first address, bytes)."""
    return b"".join(header(first, first + len(data) - 1) + data for first, data in ranges)


def walk(chunks: Iterable[bytes]) -> LimeWalker:
    """A walker that has seen the chunks."""
    walker = LimeWalker()
    for chunk in chunks:
        walker.feed(chunk)
    return walker.close()


def ranges(walker: LimeWalker) -> list[tuple[int, int]]:
    """First and last address of every range."""
    return [(s.first, s.last) for s in walker.ranges]


WHOLE = image((0x1000, body(3, banner_at=5000)), (0x100000, body(2)), (0x200000, body(1)))


def test_a_whole_image_passes() -> None:
    walker = walk([WHOLE])
    assert walker.error is None and walker.missing_bytes == 0
    assert ranges(walker) == [(0x1000, 0x3FFF), (0x100000, 0x101FFF), (0x200000, 0x200FFF)]
    assert [WHOLE[s.offset : s.offset + s.last - s.first + 1] for s in walker.ranges][2] == body(1)
    assert walker.banners == {BANNER.decode().strip(): {0x1000 + 5000}}
    assert walker.total == len(WHOLE)
    assert walker.banner == BANNER.decode().strip()


@given(cuts=st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_chunk_boundaries_do_not_matter(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WHOLE)]
    walker = walk(WHOLE[a:b] for a, b in itertools.pairwise(edges))
    whole = walk([WHOLE])
    assert ranges(walker) == ranges(whole)
    assert (walker.total, walker.pages, walker.zero_pages) == (len(WHOLE), 6, 0)
    assert walker.banners == whole.banners


@pytest.mark.parametrize("size", [1, 7, 31, 32, 33, 4095])
def test_small_chunks_split_every_header(size: int) -> None:
    small = image((0x1000, body(1, banner_at=100)), (0x9000, body(1)))
    walker = walk(small[i : i + size] for i in range(0, len(small), size))
    assert walker.error is None and len(walker.ranges) == 2 and walker.banner


@given(missing=st.integers(1, PAGE))
def test_a_cut_body_is_truncated_by_as_many_bytes(missing: int) -> None:
    walker = walk([WHOLE[:-missing]])
    assert walker.missing_bytes == missing
    assert walker.covered[-1] == (0x200000, 0x201000 - missing)


@given(kept=st.integers(1, HEADER.size - 1))
def test_a_cut_header_is_truncated(kept: int) -> None:
    assert walk([WHOLE + header(0x300000, 0x300FFF)[:kept]]).missing_bytes == HEADER.size - kept


def test_an_empty_stream_is_an_empty_image() -> None:
    walker = walk([])
    assert (walker.ranges, walker.banner, walker.zero_share) == ([], None, 1.0)


@given(st.binary(min_size=HEADER.size, max_size=200))
def test_bytes_that_are_no_image_are_named_and_never_pass(data: bytes) -> None:
    walker = walk([data])
    assert walker.error or walker.missing_bytes
    if data[:8] != struct.pack("<II", MAGIC, 1):
        assert walker.error and "no LiME header at the start" in walker.error


@pytest.mark.parametrize("bad", [header(0x100000, 0x100FFF, magic=0x464C457F), header(0x100000, 0x100FFF, version=2)])
def test_a_bad_header_after_a_range_says_where(bad: bytes) -> None:
    walker = walk([image((0x1000, body(1, banner_at=0))) + bad + body(1)])
    assert "no LiME header after range 1" in str(walker.error)


@pytest.mark.parametrize(("second", "last"), [(0x1000, 0x1FFF), (0x0, 0xFFF), (0x1FFF, 0x2FFF), (0x5000, 0x4FFF)])
def test_overlapping_descending_and_inverted_ranges_are_refused(second: int, last: int) -> None:
    walker = walk([image((0x1000, body(1, banner_at=0))) + header(second, last) + body(1)])
    assert "is not ascending" in str(walker.error)


def test_a_range_that_begins_inside_a_page_is_refused() -> None:
    assert "inside a page" in str(walk([header(0x1010, 0x1FFF) + body(1)]).error)


def test_zero_pages_are_counted_and_found_again() -> None:
    data = body(3) + bytes(2 * PAGE) + body(4)
    walker = walk([image((0x1000, data), (0x100000, bytes(PAGE)))])
    assert (walker.pages, walker.zero_pages) == (10, 3)
    found = [address for address in [*range(0, 0xB000, PAGE), 0x100000] if walker.zeros.is_zero(address)]
    assert found == [0x4000, 0x5000, 0x100000]


@given(cuts=st.lists(st.integers(0, 12 * PAGE), max_size=8), zero=st.sets(st.integers(0, 11), max_size=12))
def test_zero_pages_are_the_same_however_the_stream_is_cut(cuts: list[int], zero: set[int]) -> None:
    data = b"".join(bytes(PAGE) if page in zero else body(1) for page in range(12))
    whole = image((0x1000, data))
    edges = [0, *sorted(cuts), len(whole)]
    walker = walk(whole[a:b] for a, b in itertools.pairwise(edges))
    assert {page for page in range(12) if walker.zeros.is_zero(0x1000 + page * PAGE)} == zero


@settings(max_examples=40)
@given(at=st.integers(0, 3 * PAGE), chunk=st.sampled_from([16, 100, 4096]))
def test_a_banner_on_a_chunk_boundary_is_found(at: int, chunk: int) -> None:
    whole = image((0x1000, body(4, banner_at=at)))
    assert walk(whole[i : i + chunk] for i in range(0, len(whole), chunk)).banner == BANNER.decode().strip()


@given(st.lists(st.binary(max_size=64), max_size=20))
def test_hostile_bytes_never_raise(chunks: list[bytes]) -> None:
    assert walk([header(0, 2**64 - 1), *chunks]).missing_bytes > 0
