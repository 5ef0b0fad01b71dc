"""Parts of a stream: every size fits into S3's limits, and what is resident does not grow with the stream."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from forensics.aws import s3_parts
from forensics.aws.s3_parts import MIB, PartBody, part_size, parts_of

LEAST, MOST = 5 * MIB, 5 * 1024**3  # of a part, Amazon S3 user guide, "Amazon S3 multipart upload limits"


@pytest.mark.parametrize("gib", [1, 160, 1024, 5 * 1024 - 1])
def test_part_sizes_grow_so_that_every_image_fits_into_ten_thousand_parts(gib: int) -> None:
    left, number = gib * 1024**3, 0
    while left > 0:
        number += 1
        assert LEAST <= part_size(number) <= MOST
        left -= part_size(number)
    assert number <= 10_000


def test_a_stream_is_cut_where_the_parts_end_whatever_its_chunks_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_parts, "CHUNK", 4)
    chunks = [b"a", b"", b"bcdefghi", b"jk"]
    found = [(part.body.read(), part.sha256) for part in parts_of(iter(chunks))]
    assert [body for body, _ in found] == [b"abcd", b"efgh", b"ijk"]
    assert [digest for _, digest in found] == [hashlib.sha256(body).digest() for body, _ in found]
    assert list(parts_of(iter([]))) == []


def test_a_part_is_a_file_that_can_be_sent_twice_and_goes_with_the_part() -> None:
    with PartBody(5 * MIB) as part:
        part.add(b"x" * 1000)
        assert [part.body.read() for _ in range(2)] == [b"x" * 1000] * 2
    assert part._file.closed


def test_no_more_than_one_part_and_one_chunk_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the part that is used now has a file: a disk of 20 GiB holds any image."""
    monkeypatch.setattr(s3_parts, "CHUNK", MIB)
    alive: list[int] = []

    def chunks() -> Iterator[bytes]:
        for _ in range(8):
            alive.append(sum(1 for part in made if not part._file.closed))
            yield b"x" * MIB

    made: list[PartBody] = []
    for part in parts_of(chunks()):
        with part:
            made.append(part)
    assert len(made) == 8 and max(alive) == 0
