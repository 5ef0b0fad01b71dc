"""The digest of a disk is that of its raw image: gaps are zeros, segments add up, an interrupted hash continues."""

from __future__ import annotations

import hashlib

import pytest

from forensics.disk.image import DiskDigest, ImageHash, ReadState, digest_document, resumable
from forensics.models.disk import BLOCK_BYTES, StoredSegment

BLOCKS = 20
VOLUME_BYTES = BLOCKS * BLOCK_BYTES
FRESH = ReadState(snapshot_id="snap-1", volume_bytes=VOLUME_BYTES)


def block(number: int) -> bytes:
    return bytes([number + 1]) * BLOCK_BYTES


def digest_of(number: int) -> bytes:
    return hashlib.sha256(block(number)).digest()


def raw(*written: int) -> str:
    """SHA-256 of the raw image with these blocks."""
    return hashlib.sha256(b"".join(block(n) if n in written else bytes(BLOCK_BYTES) for n in range(BLOCKS))).hexdigest()


def add(image: ImageHash, *numbers: int) -> None:
    for number in numbers:
        image.add(number, block(number), digest_of(number))


@pytest.mark.parametrize("written", [(), (0,), (19,), (0, 19), (3, 4, 5, 17)], ids=str)
def test_what_was_not_written_is_zeros(written: tuple[int, ...]) -> None:
    image = ImageHash(FRESH)
    add(image, *written)
    image.end_segment()
    digest = image.finish()
    assert (digest.sha256, digest.blocks, digest.volume_bytes) == (raw(*written), len(written), VOLUME_BYTES)


def test_a_segment_states_its_blocks_and_the_digest_of_its_lines() -> None:
    image = ImageHash(FRESH)
    add(image, 2, 7)
    assert image.pending == 2
    body, state = image.end_segment()
    assert body.decode() == f"2 {digest_of(2).hex()}\n7 {digest_of(7).hex()}\n"
    (segment,) = state.segments
    assert (segment.blocks, segment.first, segment.last) == (2, 2, 7)
    assert segment.sha256 == hashlib.sha256(body).hexdigest()
    assert (state.next_index, state.blocks, image.pending) == (8, 2, 0)


def test_the_linear_digest_is_over_the_digests_of_the_written_blocks() -> None:
    image = ImageHash(FRESH)
    add(image, 1)
    image.end_segment()
    add(image, 2)
    image.end_segment()
    assert image.finish().linear == hashlib.sha256(digest_of(1) + digest_of(2)).hexdigest()


def test_a_saved_state_continues_to_the_same_digest() -> None:
    first = ImageHash(FRESH)
    add(first, 1, 2)
    _, state = first.end_segment()
    again = ImageHash(ReadState.model_validate_json(state.model_dump_json()))
    add(again, 9)
    again.end_segment()
    digest = again.finish()
    assert (digest.sha256, digest.blocks, [s.first for s in digest.segments]) == (raw(1, 2, 9), 3, [1, 9])


def test_blocks_out_of_order_are_an_error() -> None:
    image = ImageHash(FRESH)
    add(image, 4)
    with pytest.raises(ValueError, match="block 4 came after block 4"):
        add(image, 4)


@pytest.mark.parametrize(
    "change",
    [
        {"snapshot_id": "snap-2"},
        {"volume_bytes": VOLUME_BYTES * 2},
        {"image": None},
        {"image": "not a state"},
    ],
    ids=["another snapshot", "another size", "hash not saved", "hash of another form"],
)
def test_a_state_that_does_not_fit_is_not_resumed(change: dict[str, object]) -> None:
    image = ImageHash(FRESH)
    add(image, 1, 2)
    _, state = image.end_segment()
    asked = {"snapshot_id": "snap-1", "volume_bytes": VOLUME_BYTES}
    assert resumable(state, **asked) == state  # type: ignore[arg-type]
    assert resumable(state.model_copy(update=change), **asked) == FRESH  # type: ignore[arg-type]
    assert resumable(None, **asked) == FRESH  # type: ignore[arg-type]


def test_a_segment_of_an_odd_number_of_blocks_cannot_be_resumed() -> None:
    image = ImageHash(FRESH)
    add(image, 1)
    _, state = image.end_segment()
    assert state.linear is None, "the digests so far are not a multiple of 64 bytes"
    assert resumable(state, snapshot_id="snap-1", volume_bytes=VOLUME_BYTES) == FRESH


def test_the_manifest_lists_segments_with_their_place() -> None:
    digest = DiskDigest(snapshot_id="copy-1", volume_bytes=VOLUME_BYTES, blocks=2, sha256="a" * 64, linear="b" * 64)
    segment = StoredSegment(blocks=2, first=3, last=4, sha256="c" * 64, uri="s3://evidence/blocks-00000.txt")
    body = digest_document(
        digest, case_id="fc-1", evidence_id="disk-vol-1", volume_id="vol-1", segments=[segment], data=["s3://e/d"]
    )
    assert body["schema"] == "forensics.disk-digest/1"
    assert body["segments"] == [
        {"blocks": 2, "first": 3, "last": 4, "sha256": "c" * 64, "uri": "s3://evidence/blocks-00000.txt"}
    ]
    assert (body["linear_sha256"], body["block_bytes"], body["data"]) == ("b" * 64, 524288, ["s3://e/d"])
    assert body["subject"] == "the raw image: all blocks in order, blocks that the snapshot does not hold as zeros"
