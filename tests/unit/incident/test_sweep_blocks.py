"""Indicators in raw blocks: over borders, in both encodings, within a budget, and never inside of another address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count as numbers

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.aws.ebs_direct import Block
from forensics.incident.sweep_blocks import PLACES, BlockLook, _any_of, search_blocks
from forensics.incident.sweep_order import read_indicators
from forensics.models.disk import BLOCK_BYTES

NAMES = "203.0.113.9\nupdates.evil.example\nfile: dropper.sh\n2001:db8::7"


def blocks(*parts: tuple[int, int, bytes]) -> list[Block]:
    """(number, offset, text) of each block; all else is zero."""
    made = []
    for number, offset, text in parts:
        data = bytearray(BLOCK_BYTES)
        data[offset : offset + len(text)] = text
        made.append(Block(number, bytes(data[:BLOCK_BYTES]), b""))
    return made


def look(*parts: tuple[int, int, bytes], most: int = 1000, texts: str = NAMES) -> BlockLook:
    return search_blocks(blocks(*parts), read_indicators(texts), most=most, in_time=lambda: True)


def places(found: BlockLook) -> list[tuple[str, str]]:
    return [(hit.value, hit.at.partition(":")[0]) for hit in found.hits]


def test_texts_are_found_in_both_encodings_and_whatever_their_case() -> None:
    found = look((3, 100, b"a Dropper.SH b"), (9, 10, "UPDATES.evil.example".encode("utf-16-le")))
    assert places(found) == [
        ("dropper.sh", f"byte {3 * BLOCK_BYTES + 102:,}"),
        ("updates.evil.example", f"byte {9 * BLOCK_BYTES + 10:,}"),
    ]
    assert (found.blocks, found.why) == (2, "") and "Dropper.SH" in found.hits[0].at


@pytest.mark.parametrize("cut", range(1, 11))
def test_a_text_over_a_border_is_found_once(cut: int) -> None:
    word = b"203.0.113.9"
    found = look((5, BLOCK_BYTES - cut, word[:cut]), (6, 0, word[cut:]))
    assert places(found) == [("203.0.113.9", f"byte {6 * BLOCK_BYTES - cut:,}")]


def test_a_text_that_ends_at_a_border_is_found_once() -> None:
    assert len(look((5, BLOCK_BYTES - 10, b"dropper.sh"), (6, 100, b"x")).hits) == 1


def test_blocks_that_do_not_follow_each_other_are_not_joined() -> None:
    assert look((5, BLOCK_BYTES - 5, b"drop"), (7, 0, b"per.sh")).hits == []


@pytest.mark.parametrize("text", [b"1203.0.113.9", b"203.0.113.99", "203.0.113.95".encode("utf-16-le"), "1203.0.113.9".encode("utf-16-le"), b"a2001:db8::7", b"2001:db8::7:1"])  # fmt: skip
def test_a_part_of_another_address_is_no_hit(text: bytes) -> None:
    assert look((0, 64, text)).hits == []


@pytest.mark.parametrize(
    "text", [b"x203.0.113.9x", b"(203.0.113.9)", "203.0.113.9".encode("utf-16-le"), b"[2001:db8::7]"]
)
def test_an_address_between_other_signs_is_a_hit(text: bytes) -> None:
    assert len(look((0, 64, text)).hits) == 1


def test_a_shorter_text_within_a_longer_one_is_found_too() -> None:
    found = look(
        (0, 0, b"www.updates.evil.example"), texts="updates.evil.example\nwww.updates.evil.example\nevil.example"
    )
    assert {value for value, _ in places(found)} == {"updates.evil.example", "www.updates.evil.example", "evil.example"}


def test_a_disk_full_of_hits_gives_few_places_and_ends() -> None:
    found = look(*((n, 0, b"dropper.sh " * 4000) for n in range(5)), texts="file: dropper.sh")
    assert len(found.hits) == PLACES and found.blocks == 1 and "the rest was not read" in found.why


@given(
    st.sets(st.text("ab.\\0[", min_size=1, max_size=6).map(str.encode), min_size=1, max_size=12),
    st.text("ab.\\0[", max_size=40).map(str.encode),
)
def test_the_quick_look_sees_a_block_exactly_when_a_pattern_is_in_it(patterns: set[bytes], data: bytes) -> None:
    assert bool(re.search(_any_of(patterns), data)) is any(pattern in data for pattern in patterns)


def test_the_budget_of_blocks_and_of_time_is_said() -> None:
    def endless() -> Iterator[Block]:
        for number in numbers():
            yield Block(number, bytes(BLOCK_BYTES), b"")

    asked = read_indicators(NAMES)
    assert search_blocks(endless(), asked, most=3, in_time=lambda: True).why == "the budget of 3 blocks"
    answers = iter([True, True, False])
    cut = search_blocks(endless(), asked, most=100, in_time=lambda: next(answers))
    assert (cut.why, cut.blocks) == ("the budget of time", 2)
