"""The canonical form of a disk: its raw image, of which a snapshot holds the written blocks only.

A block is 512 KiB (EBS direct APIs); a block that the snapshot does not hold is zeros. The digest of a disk is the SHA-256
of all blocks in order, so that it is the ``sha256sum`` of the raw image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from forensics.disk.resumable_hash import ResumableSha256
from forensics.models.base import Model
from forensics.models.disk import BLOCK_BYTES, ManifestSegment, StoredSegment

SUBJECT = "raw image: all blocks in order, blocks that the snapshot does not hold as zeros"
# 32 GiB of written blocks: a volume of 64 TiB has at most 2,048 segments, an interrupted read repeats one at most.
SEGMENT_BLOCKS = 65_536
_ZEROS = bytes(8 * BLOCK_BYTES)


class ReadState(Model):
    """How far a read has come: where an interrupted one resumes."""

    snapshot_id: str
    volume_bytes: int
    next_index: int = 0
    blocks: int = 0
    image: str | None = None
    linear: str | None = None
    segments: tuple[ManifestSegment, ...] = ()


class DiskDigest(Model):
    """A disk's digest. ``linear`` is the SHA-256 over the written blocks' digests (EBS's LINEAR aggregation)."""

    snapshot_id: str
    volume_bytes: int
    blocks: int
    sha256: str
    linear: str
    segments: tuple[ManifestSegment, ...] = ()


class ImageHash:
    """Hashes blocks in ascending order; gaps are zeros.

    :param state: where an earlier read ended
    """

    def __init__(self, state: ReadState) -> None:
        self._image, self._linear = ResumableSha256(state.image), ResumableSha256(state.linear)
        self._state = state
        self._position = state.next_index
        self._blocks = state.blocks
        self._lines: list[str] = []
        self._digests: list[bytes] = []
        self._first = -1

    @property
    def pending(self) -> int:
        """Blocks since the last segment."""
        return len(self._lines)

    def add(self, index: int, data: bytes, digest: bytes) -> None:
        """Hash the next written block, whose SHA-256 the caller has computed. Raises :class:`ValueError` out of order."""
        if index < self._position:
            msg = f"block {index} came after block {self._position - 1}: blocks must ascend"
            raise ValueError(msg)
        self._zeros(index - self._position)
        self._image.update(data)
        self._position = index + 1
        self._first = index if not self._lines else self._first
        self._lines.append(f"{index} {digest.hex()}\n")
        self._digests.append(digest)

    def _zeros(self, blocks: int) -> None:
        while blocks > 0:
            count = min(blocks, len(_ZEROS) // BLOCK_BYTES)
            self._image.update(_ZEROS[: count * BLOCK_BYTES])
            blocks -= count

    def end_segment(self) -> tuple[bytes, ReadState]:
        """End a segment; returns its lines, and the state to save once they are stored."""
        body = "".join(self._lines).encode()
        self._linear.update(b"".join(self._digests))
        self._blocks += len(self._lines)
        segment = ManifestSegment(
            blocks=len(self._lines), first=self._first, last=self._position - 1, sha256=hashlib.sha256(body).hexdigest()
        )
        self._lines, self._digests = [], []
        self._state = self._state.model_copy(
            update={
                "next_index": self._position,
                "blocks": self._blocks,
                "image": self._image.state(),
                "linear": self._linear.state(),
                "segments": (*self._state.segments, segment),
            }
        )
        return body, self._state

    def finish(self) -> DiskDigest:
        """The digest of the whole disk."""
        self._zeros(self._state.volume_bytes // BLOCK_BYTES - self._position)
        return DiskDigest(
            snapshot_id=self._state.snapshot_id,
            volume_bytes=self._state.volume_bytes,
            blocks=self._blocks,
            sha256=self._image.hexdigest(),
            linear=self._linear.hexdigest(),
            segments=self._state.segments,
        )


def resumable(state: ReadState | None, *, snapshot_id: str, volume_bytes: int) -> ReadState:
    """The state to resume from: the one given if it is of this snapshot and this machine can use it, else a fresh one."""
    fresh = ReadState(snapshot_id=snapshot_id, volume_bytes=volume_bytes)
    if state is None or (state.snapshot_id, state.volume_bytes) != (snapshot_id, volume_bytes):
        return fresh
    if state.next_index and not (state.image and state.linear):
        return fresh
    try:
        ImageHash(state)
    except ValueError:
        return fresh
    return state


def digest_document(
    digest: DiskDigest,
    *,
    case_id: str,
    evidence_id: str,
    volume_id: str,
    segments: Sequence[StoredSegment],
    data: Sequence[str],
) -> dict[str, object]:
    """The block manifest's table of contents (``forensics.disk-digest/1``), as JSON.

    :param data: URIs of the written blocks themselves, when they were exported
    """
    return {
        "schema": "forensics.disk-digest/1",
        "case_id": case_id,
        "evidence_id": evidence_id,
        "volume_id": volume_id,
        "snapshot_id": digest.snapshot_id,
        "volume_bytes": digest.volume_bytes,
        "block_bytes": BLOCK_BYTES,
        "blocks": digest.blocks,
        "sha256": digest.sha256,
        "linear_sha256": digest.linear,
        "subject": f"the {SUBJECT}",
        "segments": [segment.model_dump() for segment in segments],
        "data": list(data),
    }
