"""Reads a snapshot to its digest: block manifest and (if wanted) data go to the evidence store, segment by segment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.ebs_direct import THREADS, Block, EbsDirectGateway
from forensics.aws.s3 import EvidenceStore
from forensics.disk.image import SEGMENT_BLOCKS, DiskDigest, ImageHash, ReadState, resumable
from forensics.models.disk import StoredSegment

Heartbeat = Callable[[str], None]


class BlockSink:
    """Where a read stores its segments: below one prefix of the evidence store, or nowhere.

    :param export: also store the written blocks themselves (``data-….bin``: they are the raw image without its zeros)
    """

    def __init__(self, evidence: EvidenceStore | None, *, prefix: str = "", export: bool = False) -> None:
        self._evidence = evidence
        self._prefix = prefix
        self.export = export and evidence is not None

    def _key(self, kind: str, number: int) -> str:
        return f"{self._prefix}{kind}-{number:05d}.{'txt' if kind == 'blocks' else 'bin'}"

    def store_lines(self, number: int, body: bytes) -> None:
        """Store a segment's lines; the same lines of an earlier try are accepted."""
        if self._evidence is not None:
            self._evidence.put(self._key("blocks", number), body, content_type="text/plain")

    def consume(self, number: int, data: Iterator[bytes]) -> None:
        """Read a segment's data to its end: store it when it is exported, else discard it."""
        if self.export and self._evidence is not None:
            self._evidence.put_stream(self._key("data", number), data)
        else:
            for _ in data:
                continue

    def segments(self, digest: DiskDigest) -> list[StoredSegment]:
        """The stored segments of a digest, for the manifest's table of contents."""
        if self._evidence is None:
            return []
        return [
            StoredSegment(**segment.model_dump(), uri=self._evidence.uri(self._key("blocks", number)))
            for number, segment in enumerate(digest.segments)
        ]

    def data_uris(self, digest: DiskDigest) -> list[str]:
        """URIs of the exported data, one for each segment."""
        if not self.export or self._evidence is None:
            return []
        return [self._evidence.uri(self._key("data", number)) for number in range(len(digest.segments))]


class ReadProgress:
    """How far the read of a snapshot has come, in the case store: an interrupted read resumes there."""

    def __init__(self, store: CaseStore, case_id: str, *, snapshot_id: str) -> None:
        self._store = store
        self._case_id = case_id
        self._sk = f"{case_keys.DISK_READ}{snapshot_id}"

    def load(self) -> ReadState | None:
        """The last saved state, or None."""
        return self._store.get(self._case_id, self._sk, ReadState)

    def save(self, state: ReadState) -> None:
        """Save the state."""
        self._store.put(self._case_id, self._sk, state)


class SnapshotReader:
    """Reads snapshots of one account and Region to their digests.

    :param progress: where the state of the read is saved; without it an interrupted read starts over
    :param threads: requests at a time
    :param heartbeat: called with a line of text when a read resumes and after each segment
    """

    def __init__(
        self,
        source: EbsDirectGateway,
        *,
        sink: BlockSink,
        progress: ReadProgress | None = None,
        threads: int = THREADS,
        segment_blocks: int = SEGMENT_BLOCKS,
        heartbeat: Heartbeat = lambda _: None,
    ) -> None:
        self._source = source
        self._sink = sink
        self._progress = progress
        self._threads = threads
        self._segment_blocks = segment_blocks
        self._heartbeat = heartbeat

    def read(self, snapshot_id: str) -> DiskDigest:
        """Read, hash, store. Raises :class:`DigestMismatchError` for a block whose checksum is not EBS's."""
        volume_bytes = self._source.volume_bytes(snapshot_id)
        last = self._progress.load() if self._progress else None
        state = resumable(last, snapshot_id=snapshot_id, volume_bytes=volume_bytes)
        if state.next_index:
            self._heartbeat(f"{snapshot_id}: resuming at block {state.next_index}, {state.blocks} blocks are done")
        image = ImageHash(state)
        blocks = self._source.blocks(snapshot_id, start=state.next_index, threads=self._threads)
        number = len(state.segments)
        for first in blocks:
            self._sink.consume(number, _hashed(first, islice(blocks, self._segment_blocks - 1), image))
            body, state = image.end_segment()
            self._sink.store_lines(number, body)
            if self._progress:
                self._progress.save(state)
            number += 1
            self._heartbeat(f"{snapshot_id}: {state.blocks} blocks read, the last is number {state.next_index - 1}")
        return image.finish()


def _hashed(first: Block, rest: Iterator[Block], image: ImageHash) -> Iterator[bytes]:
    image.add(*first)
    yield first.data
    for block in rest:
        image.add(*block)
        yield block.data
