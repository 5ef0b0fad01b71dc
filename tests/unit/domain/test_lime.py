"""The LiME walker: the same verdict however the stream is cut."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.domain.lime import HEADER, MAGIC, PAGE, LimeWalker

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
    return walker


WHOLE = image((0x1000, body(3, banner_at=5000)), (0x100000, body(2)), (0x200000, body(1)))


def test_a_whole_image_passes() -> None:
    walker = walk([WHOLE])
    assert walker.problems() == []
    assert walker.ranges == [(0x1000, 0x3FFF), (0x100000, 0x101FFF), (0x200000, 0x200FFF)]
    assert walker.total == len(WHOLE)
    assert walker.banner == BANNER.decode().strip()


@given(cuts=st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_chunk_boundaries_do_not_matter(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WHOLE)]
    walker = walk(WHOLE[a:b] for a, b in itertools.pairwise(edges))
    assert walker.problems() == []
    assert len(walker.ranges) == 3
    assert walker.total == len(WHOLE)


@pytest.mark.parametrize("size", [1, 7, 31, 32, 33, 4095])
def test_small_chunks_split_every_header(size: int) -> None:
    small = image((0x1000, body(1, banner_at=100)), (0x9000, body(1)))
    walker = walk(small[i : i + size] for i in range(0, len(small), size))
    assert walker.error is None and len(walker.ranges) == 2 and walker.banner


@given(missing=st.integers(1, PAGE))
def test_a_cut_body_is_truncated_by_as_many_bytes(missing: int) -> None:
    problems = walk([WHOLE[:-missing]]).problems()
    assert problems == [f"the image is truncated: {missing} bytes are missing at the end"]


@given(kept=st.integers(1, HEADER.size - 1))
def test_a_cut_header_is_truncated(kept: int) -> None:
    problems = walk([WHOLE + header(0x300000, 0x300FFF)[:kept]]).problems()
    assert problems == [f"the image is truncated: {HEADER.size - kept} bytes are missing at the end"]


def test_an_empty_stream_is_an_empty_image() -> None:
    assert "the image is empty" in walk([]).problems()


@given(st.binary(min_size=HEADER.size, max_size=200))
def test_bytes_that_are_no_image_are_named_and_never_pass(data: bytes) -> None:
    walker = walk([data])
    assert walker.problems()
    if data[:8] != struct.pack("<II", MAGIC, 1):
        assert walker.error and "no LiME header at the start" in walker.error


@pytest.mark.parametrize("bad", [header(0x100000, 0x100FFF, magic=0x464C457F), header(0x100000, 0x100FFF, version=2)])
def test_a_bad_header_after_a_range_says_where(bad: bytes) -> None:
    walker = walk([image((0x1000, body(1, banner_at=0))) + bad + body(1)])
    assert "no LiME header after range 1" in walker.problems()[0]


@pytest.mark.parametrize(("second", "last"), [(0x1000, 0x1FFF), (0x0, 0xFFF), (0x1FFF, 0x2FFF), (0x5000, 0x4FFF)])
def test_overlapping_descending_and_inverted_ranges_are_refused(second: int, last: int) -> None:
    walker = walk([image((0x1000, body(1, banner_at=0))) + header(second, last) + body(1)])
    assert "is not ascending" in walker.problems()[0]


def test_a_zeroed_image_is_no_memory() -> None:
    walker = walk([image((0x1000, bytes(64 * PAGE)))])
    assert walker.zero_share == 1.0
    assert "100% of the sampled pages are zero" in walker.problems()


def test_an_image_with_few_zero_pages_passes_the_share() -> None:
    walker = walk([image((0x1000, body(32, banner_at=PAGE) + bytes(16 * PAGE)))])
    assert 0 < walker.zero_share < 0.98
    assert walker.problems() == []


def test_without_a_banner_the_kernel_is_unknown() -> None:
    assert walk([image((0x1000, body(2)))]).problems() == ["no kernel banner was found in the image"]


@settings(max_examples=40)
@given(at=st.integers(0, 3 * PAGE), chunk=st.sampled_from([16, 100, 4096]))
def test_a_banner_on_a_chunk_boundary_is_found(at: int, chunk: int) -> None:
    whole = image((0x1000, body(4, banner_at=at)))
    assert walk(whole[i : i + chunk] for i in range(0, len(whole), chunk)).banner == BANNER.decode().strip()


@given(st.lists(st.binary(max_size=64), max_size=20))
def test_hostile_bytes_never_raise(chunks: list[bytes]) -> None:
    walk([header(0, 2**64 - 1), *chunks]).problems()
