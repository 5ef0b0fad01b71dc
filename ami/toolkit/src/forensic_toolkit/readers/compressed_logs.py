"""Rotated logs are compressed. Decompression stops at a limit, whatever size the file claims."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from dataclasses import dataclass

from forensic_toolkit.filesystems.entries import Entry

MAX_LOG = 256 << 20
_MEMORY = 128 << 20
# Small, because the output of a step that meets damage is lost.
_STEP = 4096
SUFFIXES = (".gz", ".xz", ".bz2", ".zst")


@dataclass(frozen=True, slots=True)
class Content:
    """The decompressed content of a file, and why it is incomplete."""

    data: bytes
    problems: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The content as text; invalid UTF-8 is replaced."""
        return self.data.decode("utf-8", "replace")


def content_of(entry: Entry, *, limit: int = MAX_LOG) -> Content:
    """At most ``limit`` bytes of a file's decompressed content."""
    raw = entry.read(limit=limit)
    problems = []
    if len(raw) < min(entry.size, limit):
        problems.append(f"{len(raw)} of {entry.size} bytes could be read")
    elif entry.size > limit:
        problems.append(f"the first {limit} of {entry.size} bytes were read")
    suffix = next((suffix for suffix in SUFFIXES if entry.path.endswith(suffix)), None)
    if suffix is None or not raw:
        return Content(raw, tuple(problems))
    data, error = _unpacked(raw, suffix=suffix, limit=limit)
    if error:
        problems.append(error)
    return Content(data, tuple(problems))


def _unpacked(raw: bytes, *, suffix: str, limit: int) -> tuple[bytes, str | None]:
    """The data before the limit or the first damage, and which of the two ended it."""
    parts, length = [], 0
    try:
        with _opened(raw, suffix=suffix) as stream:
            while length <= limit and (part := stream.read(_STEP)):
                parts.append(part)
                length += len(part)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
        return b"".join(parts), f"it cannot be decompressed beyond byte {length}: {error}"
    if length > limit:
        return b"".join(parts)[:limit], f"it decompresses to more than {limit} bytes; the rest was skipped"
    return b"".join(parts), None


def _opened(raw: bytes, *, suffix: str) -> io.BufferedIOBase:
    stream = io.BytesIO(raw)
    match suffix:
        case ".gz":
            import gzip

            return gzip.GzipFile(fileobj=stream)
        case ".bz2":
            return bz2.BZ2File(stream)
        case ".xz":
            # The file itself says how much memory it needs; the library refuses more than this.
            return io.BufferedReader(_Xz(raw))
        case _:
            return _zstandard(stream)


class _Xz(io.RawIOBase):
    """lzma with a limit on memory, which LZMAFile does not offer."""

    def __init__(self, raw: bytes) -> None:
        self._unpacker = lzma.LZMADecompressor(memlimit=_MEMORY)
        self._rest = raw

    def readable(self) -> bool:
        """True: a read-only stream."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill ``buffer``; returns the number of bytes. Raises EOFError for a truncated file."""
        while not self._unpacker.eof:
            needs = self._unpacker.needs_input
            if needs and not self._rest:
                raise EOFError("the file ends early")
            data = self._unpacker.decompress(self._rest if needs else b"", max_length=len(buffer))
            if needs:
                self._rest = b""
            if data:
                buffer[: len(data)] = data
                return len(data)
        return 0


def _zstandard(stream: io.BytesIO) -> io.BufferedIOBase:
    import zstandard

    class Reader(io.RawIOBase):
        def __init__(self) -> None:
            self._inner = zstandard.ZstdDecompressor(max_window_size=_MEMORY).stream_reader(stream)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            try:
                data = self._inner.read(len(buffer))
            except zstandard.ZstdError as error:
                raise OSError(str(error)) from error
            buffer[: len(data)] = data
            return len(data)

    return io.BufferedReader(Reader())
