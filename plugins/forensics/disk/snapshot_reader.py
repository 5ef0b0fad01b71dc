"""Reads a snapshot to its digest: block manifest and (if wanted) data go to the evidence store, segment by segment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.ebs_direct import THREADS, Block, EbsDirectGateway
from forensics.aws.s3 import EvidenceStore, StoredObject
from forensics.disk.image import SEGMENT_BLOCKS, DiskDigest, ImageHash, ReadState, resumable

Beat = Callable[[str], None]


class Shelf:
    """Where a read leaves its segments: below one prefix of the evidence store, or nowhere.

    :param export: also store the written blocks themselves (``data-….bin``: they are the raw image without its zeros)
    """

    def __init__(self, evidence: EvidenceStore | None, *, prefix: str = "", export: bool = False) -> None:
        self._evidence = evidence
        self._prefix = prefix
        self.export = export and evidence is not None

    def _key(self, kind: str, number: int) -> str:
        return f"{self._prefix}{kind}-{number:05d}.{'txt' if kind == 'blocks' else 'bin'}"

    def keep(self, number: int, body: bytes) -> StoredObject | None:
        """Store a segment's lines; the same lines of an earlier try are accepted."""
        if self._evidence is None:
            return None
        return self._evidence.put(self._key("blocks", number), body, content_type="text/plain")

    def pass_through(self, number: int, data: Iterator[bytes]) -> None:
        """Take a segment's data: store it, or let it pass."""
        if self.export and self._evidence is not None:
            self._evidence.put_stream(self._key("data", number), data)
        else:
            for _ in data:
                continue

    def listed(self, digest: DiskDigest) -> list[dict[str, Any]]:
        """The segments as the manifest's table of contents lists them."""
        if self._evidence is None:
            return []
        return [
            {**segment.model_dump(), "uri": self._evidence.uri(self._key("blocks", number))}
            for number, segment in enumerate(digest.segments)
        ]

    def data_listed(self, digest: DiskDigest) -> list[str]:
        """URIs of the data segments."""
        if not self.export or self._evidence is None:
            return []
        return [self._evidence.uri(self._key("data", number)) for number in range(len(digest.segments))]


class Bookmark:
    """Where a read has come to, in the case store: an interrupted read goes on from there."""

    def __init__(self, store: CaseStore, case_id: str, *, snapshot_id: str) -> None:
        self._store = store
        self._case_id = case_id
        self._sk = f"{case_keys.DISK_READ}{snapshot_id}"

    def load(self) -> ReadState | None:
        """The last state, or None."""
        return self._store.get(self._case_id, self._sk, ReadState)

    def save(self, state: ReadState) -> None:
        """Write the state down."""
        self._store.put(self._case_id, self._sk, state)


class DiskReading:
    """One read of one snapshot."""

    def __init__(
        self,
        source: EbsDirectGateway,
        *,
        shelf: Shelf,
        bookmark: Bookmark | None = None,
        threads: int = THREADS,
        segment_blocks: int = SEGMENT_BLOCKS,
        beat: Beat = lambda _: None,
    ) -> None:
        self._source = source
        self._shelf = shelf
        self._bookmark = bookmark
        self._threads = threads
        self._segment_blocks = segment_blocks
        self._beat = beat

    def run(self, snapshot_id: str) -> DiskDigest:
        """Read, hash, store. Raises :class:`DigestMismatchError` for a block that is not what EBS says."""
        volume_bytes = self._source.volume_bytes(snapshot_id)
        last = self._bookmark.load() if self._bookmark else None
        state = resumable(last, snapshot_id=snapshot_id, volume_bytes=volume_bytes)
        if state.next_index:
            self._beat(f"{snapshot_id}: going on from block {state.next_index}, {state.blocks} blocks are done")
        image = ImageHash(state)
        blocks = self._source.blocks(snapshot_id, start=state.next_index, threads=self._threads)
        number = len(state.segments)
        for first in blocks:
            self._shelf.pass_through(number, _hashed(first, islice(blocks, self._segment_blocks - 1), image))
            body, state = image.end_segment()
            self._shelf.keep(number, body)
            if self._bookmark:
                self._bookmark.save(state)
            number += 1
            self._beat(f"{snapshot_id}: {state.blocks} blocks up to number {state.next_index - 1}")
        return image.finish()


def _hashed(first: Block, rest: Iterator[Block], image: ImageHash) -> Iterator[bytes]:
    image.add(*first)
    yield first.data
    for block in rest:
        image.add(*block)
        yield block.data
