"""The list of parts that a capture sends beside them: what landed, where to resume, and how the stream is read back.

Form (the capture document writes it, the target's claim): ``forensics-parts 1 <method> <encoding> <boot id>``, then per part
``<number> <image bytes up to its end> <size as sent> <sha256 as sent>``. Parts are raw, or whole zstd frames.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zstandard

from forensics.errors import DigestMismatchError, EvidenceSizeError, EvidenceTransferError
from forensics.memory.limits import WINDOW

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_HEAD = re.compile(r"forensics-parts 1 (avml|lime|kcore|winpmem) (none|zstd) ([0-9a-f-]{0,40})")
_LINE = re.compile(r"([1-9]\d{0,4}) ([1-9]\d{0,15}) ([1-9]\d{0,11}) ([0-9a-f]{64})")
PARTS = 10_000  # S3 has no more in one upload
LIST_LIMIT = 2 * 1024 * 1024
_OUT = 4 * 1024 * 1024
_IN = 1024 * 1024


@dataclass(frozen=True)
class Part:
    """One part: its number, the image bytes up to its end, its size and digest as sent."""

    number: int
    image_end: int
    size: int
    sha256: str


@dataclass(frozen=True)
class PartList:
    """The whole list, with the bytes it was read from."""

    method: str
    encoding: str
    boot: str
    parts: tuple[Part, ...]
    text: bytes

    @property
    def sha256(self) -> str:
        """Digest of the list itself."""
        return hashlib.sha256(self.text).hexdigest()

    def landed(self, sizes: Mapping[int, int]) -> PartList:
        """The list up to the first part that S3 does not have in the size that was sent."""
        kept = []
        for part in self.parts:
            if sizes.get(part.number) != part.size:
                break
            kept.append(part)
        lines = self.text.decode("ascii").splitlines(keepends=True)[: len(kept) + 1]
        return PartList(self.method, self.encoding, self.boot, tuple(kept), "".join(lines).encode("ascii"))


def parse_part_list(text: bytes) -> PartList:
    """Read a list. Raises :class:`EvidenceTransferError` for anything that is not of the form."""
    lines = text.decode("ascii", "replace").splitlines()
    if len(lines) > PARTS + 1:
        raise EvidenceTransferError(f"the target's list has more than the {PARTS} parts that S3 allows")
    head = _HEAD.fullmatch(lines[0]) if lines else None
    rows = [_LINE.fullmatch(line) for line in lines[1:]]
    if head is None or not all(rows) or (text and not text.endswith(b"\n")):
        raise EvidenceTransferError("the target's list of parts is not of the agreed form")
    parts = tuple(Part(int(r[1]), int(r[2]), int(r[3]), r[4]) for r in rows if r)
    ends = [0, *(p.image_end for p in parts)]
    if [p.number for p in parts] != list(range(1, len(parts) + 1)) or ends != sorted(set(ends)):
        raise EvidenceTransferError("the target's list of parts is out of order")
    return PartList(head[1], head[2], head[3], parts, text)


def checked(stream: Iterator[bytes], parts: tuple[Part, ...]) -> Iterator[bytes]:
    """The bytes as they landed, each part hashed and compared as it passes.

    Raises :class:`DigestMismatchError` naming the first part that is not what the target sent.
    """
    waiting = iter(parts)
    current = next(waiting, None)
    digest, seen = hashlib.sha256(), 0
    for chunk in stream:
        at = 0
        while at < len(chunk):
            if current is None:
                raise DigestMismatchError(f"more bytes landed than the {len(parts)} parts that the target lists")
            piece = chunk[at : at + current.size - seen]
            digest.update(piece)
            seen, at = seen + len(piece), at + len(piece)
            if seen == current.size:
                if digest.hexdigest() != current.sha256:
                    msg = f"part {current.number} landed with SHA-256 {digest.hexdigest()}, the target sent {current.sha256}"
                    raise DigestMismatchError(msg)
                current, digest, seen = next(waiting, None), hashlib.sha256(), 0
        yield chunk
    if current is not None:
        raise DigestMismatchError(f"part {current.number} of {len(parts)} did not land completely")


class _ChunkReader(io.RawIOBase):
    """A stream of chunks as a file, which the decompressor asks for."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill the buffer as far as the current chunk goes; 0 at the end."""
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        room = memoryview(buffer).cast("B")
        piece, self._rest = self._rest[: len(room)], self._rest[len(room) :]
        room[: len(piece)] = piece
        return len(piece)


def decoded(stream: Iterator[bytes], *, encoding: str, limit: int) -> Iterator[bytes]:
    """The image's bytes; memory stays bounded and a stream that decompresses to more than ``limit`` bytes is refused.

    Raises :class:`EvidenceTransferError` for a stream that is damaged, :class:`EvidenceSizeError` for one that is too large.
    """
    total = 0
    for piece in _decompressed(stream) if encoding == "zstd" else stream:
        total += len(piece)
        if total > limit:
            msg = f"the landed image decompresses to more than the {limit} bytes that were announced"
            raise EvidenceSizeError(
                msg, next_action="take it for an attack on the pipeline; isolate the target, continue with its disks"
            )
        yield piece


def _decompressed(stream: Iterator[bytes]) -> Iterator[bytes]:
    source = io.BufferedReader(_ChunkReader(stream), buffer_size=_IN)
    reader = zstandard.ZstdDecompressor(max_window_size=WINDOW).stream_reader(source, read_across_frames=True)
    try:
        while piece := reader.read(_OUT):
            yield piece
    except zstandard.ZstdError as error:
        msg = f"the landed image cannot be decompressed: {error}"
        raise EvidenceTransferError(msg, next_action="clear memory.capture_memory to capture again") from error
