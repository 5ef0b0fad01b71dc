"""The manifest's text and the sizes of parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.manifest import MIB, CaptureSegment, part_size_for, render

GIB = 1024 * MIB
SIZES = [512 * MIB, GIB, 16 * GIB, 256 * GIB, 768 * GIB, 24 * 1024 * GIB]


@pytest.mark.parametrize("memory", SIZES)
def test_parts_suit_s3_for_every_instance_size(memory: int) -> None:
    size, count = part_size_for(memory)
    assert 5 * MIB <= size <= 5 * GIB
    assert size % MIB == 0
    assert 2 <= count <= 10_000
    assert size * count >= memory * 1.05


@given(st.integers(512 * MIB, 24 * 1024 * GIB))
def test_every_size_in_between_fits_too(memory: int) -> None:
    size, count = part_size_for(memory)
    assert 5 * MIB <= size <= 5 * GIB and count <= 10_000
    # One part to spare: the last part of the image never needs a URL that is not there.
    assert size * (count - 1) >= memory


def test_the_whole_manifest() -> None:
    text = render(
        gets={"avml": ("a" * 64, "https://s3/tool?x=1"), "btf": (None, "https://s3/btf")},
        puts={"results": "https://s3/results"},
        parts=["https://s3/p?partNumber=1", "https://s3/p?partNumber=2"],
        part_size=16 * MIB,
    )
    assert text == (
        "forensics-manifest 1\n"
        "part_size 16777216\n"
        f"get avml {'a' * 64} https://s3/tool?x=1\n"
        "get btf - https://s3/btf\n"
        "put results https://s3/results\n"
        "part 1 https://s3/p?partNumber=1\n"
        "part 2 https://s3/p?partNumber=2\n"
    )


def test_an_empty_manifest_is_its_first_line() -> None:
    assert render() == "forensics-manifest 1\n"


@given(count=st.integers(1, 300))
def test_parts_ascend_from_one(count: int) -> None:
    lines = render(parts=[f"https://s3/{n}" for n in range(count)]).splitlines()[1:]
    assert [int(line.split()[1]) for line in lines] == list(range(1, count + 1))
    assert all(len(line.split()) == 3 for line in lines)


def test_a_segment_says_how_to_read_where_to_resume_and_when_to_stop() -> None:
    segment = CaptureSegment(
        methods=("avml", "kcore"), encoding="zstd", stop_at=1_795_000_000, first_part=3, skip=200, boot="8589f2d9"
    )
    assert render(parts=["https://s3/3", "https://s3/4"], segment=segment).splitlines() == [
        "forensics-manifest 1",
        "method avml",
        "method kcore",
        "encoding zstd",
        "stop_at 1795000000",
        "resume 3 200",
        "expect boot 8589f2d9",
        "part 3 https://s3/3",
        "part 4 https://s3/4",
    ]


def test_a_first_segment_resumes_nothing() -> None:
    assert CaptureSegment(methods=("winpmem",)).lines() == ["method winpmem", "encoding none"]
