"""The parts of a live response in the landing bucket: their keys, what has landed, their bytes one after the other."""

from __future__ import annotations

from collections.abc import Iterator

from forensics.aws.s3_landing import LandingGateway
from forensics.errors import EvidenceTransferError

ARCHIVE = "live-response.tar"
PARTS = 64  # objects that a run may send: one for each class of items, more with the memory of processes


def part_key(prefix: str, number: int) -> str:
    """Key of one part of the archive below the prefix of an attempt."""
    return f"{prefix}/{ARCHIVE}.{number:02d}"


def landed_sizes(landing: LandingGateway, prefix: str, *, most: int | None = None) -> list[int]:
    """Sizes in bytes of the parts that have landed, from the first to the last before one is missing; ``most`` are looked for."""
    sizes: list[int] = []
    for number in range(1, min(PARTS if most is None else most, PARTS) + 1):
        size = landing.size(part_key(prefix, number))
        if size is None:
            break
        sizes.append(size)
    return sizes


def joined(landing: LandingGateway, prefix: str, sizes: list[int]) -> Iterator[bytes]:
    """The parts one after the other, each no longer than S3 said before."""
    for number, size in enumerate(sizes, start=1):
        key, seen = part_key(prefix, number), 0
        for chunk in landing.stream(key):
            seen += len(chunk)
            if seen > size:
                break
            yield chunk
        if seen != size:
            msg = f"{key} had {size} bytes and has another size now: somebody writes there"
            raise EvidenceTransferError(msg, next_action="clear this task to collect again")
