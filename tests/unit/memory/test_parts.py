"""The list of parts: read strictly, compared part by part, decompressed with bounded memory."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from forensics.errors import DigestMismatchError, EvidenceSizeError, EvidenceTransferError
from forensics.memory.parts import Part, checked, decoded, parse_part_list

HEAD = "forensics-parts 1 avml none 8589f2d9-e721-4f3b-9889-f26b53b03b3e"
BODIES = [b"a" * 100, b"b" * 100, b"c" * 7]


def part_list(bodies: list[bytes] = BODIES, *, head: str = HEAD) -> bytes:
    """A list for raw parts."""
    lines, end = [head], 0
    for number, body in enumerate(bodies, start=1):
        end += len(body)
        lines.append(f"{number} {end} {len(body)} {hashlib.sha256(body).hexdigest()}")
    return ("\n".join(lines) + "\n").encode()


def test_a_list_is_read_and_hashed() -> None:
    found = parse_part_list(part_list())
    assert (found.method, found.encoding, len(found.parts)) == ("avml", "none", 3)
    assert found.parts[2] == Part(3, 207, 7, hashlib.sha256(b"c" * 7).hexdigest())
    assert found.sha256 == hashlib.sha256(part_list()).hexdigest()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"forensics-parts 2 avml none x\n",
        part_list(head=HEAD.replace("avml", "magic")),
        part_list() + b"4 300 93 zz\n",
        part_list()[:-1],
        part_list().replace(b"\n2 ", b"\n3 "),
        part_list().replace(b"\n2 200", b"\n2 90"),
        part_list() + b"<script>\n",
    ],
)
def test_anything_else_is_refused(text: bytes) -> None:
    with pytest.raises(EvidenceTransferError):
        parse_part_list(text)


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [
        ({1: 100, 2: 100, 3: 7}, 3),
        ({1: 100, 2: 100}, 2),
        ({1: 100, 3: 7}, 1),
        ({1: 99, 2: 100}, 0),
        ({}, 0),
        ({1: 100, 2: 100, 3: 6}, 2),
    ],
)
def test_only_what_s3_has_in_the_sent_size_counts_as_landed(sizes: dict[int, int], kept: int) -> None:
    found = parse_part_list(part_list()).landed(sizes)
    assert len(found.parts) == kept
    assert parse_part_list(found.text) == found, "the shortened list is itself a list"


@given(cuts=st.lists(st.integers(0, 207), max_size=10))
def test_parts_are_compared_however_the_stream_is_cut(cuts: list[int]) -> None:
    whole = b"".join(BODIES)
    edges = [0, *sorted(cuts), len(whole)]
    chunks = (whole[a:b] for a, b in itertools.pairwise(edges))
    assert b"".join(checked(chunks, parse_part_list(part_list()).parts)) == whole


@pytest.mark.parametrize(
    ("whole", "said"),
    [
        (b"a" * 100 + b"x" + b"b" * 99 + b"c" * 7, "part 2 landed with"),
        (b"a" * 100 + b"b" * 100 + b"c" * 6, "part 3 of 3 did not land completely"),
        (b"".join(BODIES) + b"!", "more bytes landed"),
    ],
)
def test_the_first_wrong_part_is_named(whole: bytes, said: str) -> None:
    with pytest.raises(DigestMismatchError, match=said):
        list(checked(iter([whole]), parse_part_list(part_list()).parts))


def frames(*pieces: bytes) -> bytes:
    """Several zstd frames, as the parts of one image are."""
    return b"".join(zstandard.ZstdCompressor(level=1).compress(piece) for piece in pieces)


def test_frames_decompress_to_the_image() -> None:
    packed = frames(b"x" * 70_000, b"y" * 10, b"z" * 99_999)
    found = b"".join(decoded(iter([packed[:7], packed[7:5000], packed[5000:]]), encoding="zstd", limit=200_000))
    assert found == b"x" * 70_000 + b"y" * 10 + b"z" * 99_999


def test_a_bomb_is_refused_before_it_fills_the_memory() -> None:
    packed = frames(bytes(64 * 1024 * 1024))

    def sized() -> Iterator[int]:
        for piece in decoded(iter([packed]), encoding="zstd", limit=20 * 1024 * 1024):
            yield len(piece)

    seen = []
    with pytest.raises(EvidenceTransferError, match="more than the"):
        seen.extend(sized())
    assert max(seen, default=0) <= 16 * 1024 * 1024


@pytest.mark.parametrize("bad", [b"not zstd at all", frames(b"x" * 1000)[:-4] + b"\0\0\0\0\0"])
def test_damage_is_an_error_and_not_a_short_image(bad: bytes) -> None:
    with pytest.raises(EvidenceTransferError):
        list(decoded(iter([bad]), encoding="zstd", limit=10**6))


def test_a_list_of_more_parts_than_s3_allows_is_refused_before_its_lines_are_read() -> None:
    with pytest.raises(EvidenceTransferError, match="more than the 10000 parts"):
        parse_part_list(b"forensics-parts 1 avml none 8589f2d9\n" + b"\n" * 10_001)


def test_a_stream_that_wants_more_memory_than_any_level_of_zstd_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    stream = compressor.compress(bytes(1 << 20)) + compressor.flush()
    with pytest.raises(EvidenceTransferError, match=r"cannot be decompressed: .*too much memory"):
        list(decoded(iter([stream]), encoding="zstd", limit=1 << 30))


def test_a_few_bytes_that_unfold_without_end_take_neither_memory_nor_the_store() -> None:
    """256 MiB of zeros are 8 KiB as sent; what follows the announced size is never handed on."""
    compressor = zstandard.ZstdCompressor(level=3)
    frame = compressor.compress(bytes(64 << 20))
    handed, largest = 0, 0
    with pytest.raises(EvidenceSizeError, match="more than the 100000000 bytes that were announced") as caught:
        for piece in decoded(itertools.repeat(frame), encoding="zstd", limit=100_000_000):
            handed, largest = handed + len(piece), max(largest, len(piece))
    assert handed <= 100_000_000 and largest <= 16 << 20
    assert not caught.value.retryable
