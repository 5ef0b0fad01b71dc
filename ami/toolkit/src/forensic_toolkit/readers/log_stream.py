"""A log of any size read from its end, block by block: the newest lines come first, and little of it is in memory at a time."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tempfile
import zlib
from collections.abc import Iterator
from typing import IO, cast

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.readers.compressed_logs import MAX_LOG, SUFFIXES, content_of

BLOCK = 4 << 20
# A longer line is cut into pieces: it was crafted, or is no text.
MAX_LINE = 1 << 20
_IN_MEMORY = 8 << 20


class LogFile:
    """The decompressed content of a log; ``problems`` says why it is incomplete. Close it to free its temporary file."""

    def __init__(self, entry: Entry, *, limit: int = MAX_LOG) -> None:
        self._entry = entry
        self._file: IO[bytes] | None = None
        self.problems: list[str] = []
        self.size = entry.size
        if entry.path.endswith(SUFFIXES):
            self._unpack(limit)

    def _unpack(self, limit: int) -> None:
        """Packed files can only be read from their start: unpacked into a temporary file, which has a name nowhere."""
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this object
        if self._entry.size <= _IN_MEMORY or self._entry.path.endswith(".xz"):
            # Small enough for the careful way, which keeps what lies before damage to the last byte.
            content = content_of(self._entry, limit=limit)
            self._file.write(content.data)
            self.problems.extend(content.problems)
        else:
            self._stream(limit)
        self._file.flush()
        self.size = self._file.tell()

    def _stream(self, limit: int) -> None:
        if self._file is None:
            return
        written = 0
        try:
            with _opened(self._entry) as stream:
                while written < limit and (part := stream.read(1 << 16)):
                    self._file.write(part[: limit - written])
                    written += len(part)
        except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
            self.problems.append(f"it cannot be decompressed beyond byte {written}: {error}")
        if written >= limit:
            self.problems.append(f"it decompresses to more than {limit} bytes; the rest was skipped")

    def close(self) -> None:
        """Remove the temporary file."""
        if self._file is not None:
            self._file.close()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to read: a log that was rotated before anything was written to it has only its packing."""
        return not self.size and not self.problems

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the content; fewer where it cannot be read, which is noted as a problem."""
        if self._file is not None:
            return os.pread(self._file.fileno(), length, offset)
        data = self._entry.read(limit=length, offset=offset)
        if len(data) < length:
            why = f"{length - len(data)} of {self.size} bytes could not be read, from byte {offset + len(data)} on"
            self.problems.append(why)
        return data

    def blocks(self) -> Iterator[list[bytes]]:
        """The lines of the file in blocks, the last block first; within a block the last line first."""
        end, rest = self.size, b""
        while end > 0:
            start = max(0, end - BLOCK)
            lines = (self.read(start, end - start) + rest).split(b"\n")
            rest = lines.pop(0) if start else b""
            while len(rest) > MAX_LINE:
                lines.insert(0, rest[-MAX_LINE:])
                rest = rest[:-MAX_LINE]
            lines.reverse()
            yield lines
            end = start


def text_lines(log: LogFile) -> Iterator[str]:
    """The lines of a log as text, the last one first."""
    for lines in log.blocks():
        yield from (line.decode("utf-8", "replace") for line in lines)


def _opened(entry: Entry) -> IO[bytes]:
    reader = io.BufferedReader(_Packed(entry), 1 << 20)
    if entry.path.endswith(".gz"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=reader))
    if entry.path.endswith(".bz2"):
        return cast("IO[bytes]", bz2.BZ2File(reader))
    import zstandard

    return cast("IO[bytes]", zstandard.ZstdDecompressor(max_window_size=128 << 20).stream_reader(reader))


class _Packed(io.RawIOBase):
    """The packed bytes of a file, read piece by piece."""

    def __init__(self, entry: Entry) -> None:
        self._entry, self._at = entry, 0

    def readable(self) -> bool:
        """True: a read-only stream."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill ``buffer``; returns the number of bytes."""
        data = self._entry.read(limit=len(buffer), offset=self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
