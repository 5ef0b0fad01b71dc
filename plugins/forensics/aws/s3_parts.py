"""Cuts a stream of unknown length into the parts of a multipart upload, in bounded memory."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import IO, Self

MIB = 1024 * 1024
CHUNK = 16 * MIB


def part_size(number: int) -> int:
    """Size in bytes of part ``number`` of a stream of unknown length.

    S3 allows 10,000 parts: with equal parts of 16 MiB a stream would end at 156 GiB. Every 250 parts the size grows
    by 32 MiB, so that 10,000 hold 6 TiB.
    """
    return CHUNK + 2 * CHUNK * ((number - 1) // 250)


class PartBody:
    """The bytes of one part with their digest, in a file that goes with it: what is resident does not grow with the part."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._digest = hashlib.sha256()
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it ends with the part

    def add(self, piece: bytes | memoryview) -> None:
        """Append; never more than the limit."""
        self._digest.update(piece)
        self.size += len(piece)
        self._file.write(piece)

    @property
    def room(self) -> int:
        """How many bytes are left."""
        return self.limit - self.size

    @property
    def sha256(self) -> bytes:
        """Digest of what was added."""
        return self._digest.digest()

    @property
    def body(self) -> IO[bytes]:
        """What boto3 sends: it measures the file itself, and rewinds it to send it again."""
        self._file.seek(0)
        return self._file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


def parts_of(chunks: Iterator[bytes]) -> Iterator[PartBody]:
    """The stream in parts of :func:`part_size`, the last may be shorter; each is used before the next is asked for."""
    number = 1
    part = PartBody(part_size(number))
    for chunk in chunks:
        left = memoryview(chunk)
        while left:
            piece, left = left[: part.room], left[part.room :]
            part.add(piece)
            if not part.room:
                yield part
                number += 1
                part = PartBody(part_size(number))
    if part.size:
        yield part
    else:
        part.__exit__(None, None, None)
