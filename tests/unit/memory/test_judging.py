"""The judgement of an image in a child: what it finds is what the checks find, and what stops it is in the verdict."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
import zstandard

from forensics.errors import ConfinedError, EvidenceSizeError, EvidenceTransferError
from forensics.memory import judging
from forensics.memory.judging import ImageJudge, ImageJudgement, ImageOrder
from forensics.memory.lime import HEADER, MAGIC
from forensics.models.evidence import Outcome
from tests.memory_image import MIB, small_memory

MADE = small_memory(12 * MIB)
FACTS = {"iomem": MADE.iomem, "kallsyms": MADE.kallsyms}


def order(limit: int, encoding: str = "none") -> ImageOrder:
    """What the child is told about the small image."""
    return ImageOrder(encoding=encoding, limit=limit, banner=MADE.banner.decode())


def pieces(data: bytes, size: int = 1 << 20) -> Iterator[bytes]:
    """As the landing bucket gives them."""
    return iter([data[at : at + size] for at in range(0, len(data), size)])


def judged(landed: bytes, told: ImageOrder) -> tuple[ImageJudgement, bytes, int]:
    """The judgement, the image that came out, and the child's most memory."""
    with ImageJudge(told) as judge:
        image = b"".join(judge.unfold(pieces(landed)))
        found = judge.judgement(facts=FACTS, read_at=lambda offset, size: image[offset : offset + size])
        return found, image, judge.peak_bytes


@pytest.mark.parametrize("encoding", ["none", "zstd"])
def test_a_clean_image_comes_out_and_passes_every_check(encoding: str) -> None:
    landed = zstandard.compress(MADE.image) if encoding == "zstd" else MADE.image
    found, image, peak = judged(landed, order(len(MADE.image), encoding))
    assert image == MADE.image and found.report.outcome is Outcome.ACQUIRED, found.report.problems
    assert found.ranges == 1 and found.banner == MADE.banner.decode().strip() and peak < 256 * MIB


def test_a_large_image_takes_no_more_memory_than_a_small_one() -> None:
    """A GiB of zeros is 32 KiB as sent."""
    size = 1024 * MIB
    packer = zstandard.ZstdCompressor(level=3).compressobj()
    landed = packer.compress(struct.pack("<IIQQ8x", MAGIC, 1, 0, size - 1))
    landed += b"".join(packer.compress(bytes(16 * MIB)) for _ in range(64)) + packer.flush()
    told = order(size + HEADER.size, "zstd")
    with ImageJudge(told) as judge:
        assert sum(len(piece) for piece in judge.unfold(pieces(landed))) == told.limit
        found = judge.judgement(facts={}, read_at=lambda _offset, size: bytes(size))
        assert judge.peak_bytes < 256 * MIB
    assert found.report.outcome is Outcome.FAILED and "pages are zero" in "; ".join(found.report.problems)


@pytest.mark.parametrize(
    ("landed", "limit", "error", "why"),
    [
        (zstandard.compress(MADE.image), MIB, EvidenceSizeError, "decompresses to more than the 1048576 bytes"),
        (b"\x28\xb5\x2f\xfd" + b"\xff" * 100, 100 * MIB, EvidenceTransferError, "cannot be decompressed"),
    ],
    ids=["unfolds", "damaged"],
)
def test_what_cannot_be_unfolded_is_the_error_that_it_was(
    landed: bytes, limit: int, error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        judged(landed, order(limit, "zstd"))


def test_a_child_that_is_stopped_while_it_unfolds_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "MEMORY", 50 * MIB)
    with pytest.raises(ConfinedError, match="judge was stopped: it needed more than 50 MiB"):
        judged(zstandard.compress(bytes(200 * MIB)), order(300 * MIB, "zstd"))


def test_an_image_that_is_stored_and_whose_judging_is_stopped_is_partial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "KERNEL_READS", 1)
    found, image, _ = judged(MADE.image, order(len(MADE.image)))
    assert image == MADE.image and found.report.outcome is Outcome.PARTIAL
    assert found.report.problems == ["judging: judge was stopped: it asked more than 2 times"] and found.ranges is None
