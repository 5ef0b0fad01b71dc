"""systemd's binary journal, read object by object, so that the intact part of a damaged file is still read.

On Amazon Linux 2023 it is the only log of log-ins. Source: systemd's Journal File Format and journal-def.h.
"""

from __future__ import annotations

import lzma
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

SIGNATURE = b"LPKSHHRH"
# incompatible_flags and object flags
_XZ, _LZ4, _ZSTD, _COMPACT = 1, 2, 8, 16
_OBJECT_XZ, _OBJECT_LZ4, _OBJECT_ZSTD = 1, 2, 4
_DATA, _ENTRY = 1, 3
_OBJECT = struct.Struct("<BB6xQ")
_ENTRY_HEAD = struct.Struct("<QQQ16sQ")
_LARGEST_TYPE = 7
# The limit of a single field in bytes; anything larger was crafted to fill memory.
MAX_FIELD = 1 << 20
MAX_SHOWN = 8192
_WANTED = (
    b"MESSAGE",
    b"_PID",
    b"SYSLOG_PID",
    b"SYSLOG_IDENTIFIER",
    b"_COMM",
    b"_HOSTNAME",
    b"_SYSTEMD_UNIT",
    b"_UID",
    b"PRIORITY",
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Record:
    """One entry; ``fields`` holds those of its fields that rules use."""

    time: datetime
    sequence: int
    fields: dict[str, str]

    @property
    def program(self) -> str:
        """The program that wrote the entry."""
        return self.fields.get("SYSLOG_IDENTIFIER") or self.fields.get("_COMM") or ""

    @property
    def line(self) -> str:
        """The entry in rsyslog's format, so that the same rules apply to both."""
        pid = self.fields.get("_PID") or self.fields.get("SYSLOG_PID")
        head = f"{self.program}[{pid}]" if pid else self.program
        host = self.fields.get("_HOSTNAME", "-")
        message = self.fields.get("MESSAGE", "").replace("\n", " ")
        return f"{self.time.isoformat(timespec='microseconds')} {host} {head}: {message}"


@dataclass(slots=True)
class Journal:
    """A journal file in memory. ``expected`` is the number of entries in its header; ``problems`` lists damage."""

    content: bytes
    expected: int = 0
    read: int = 0
    problems: list[str] = field(default_factory=list)

    def records(self) -> Iterator[Record]:
        """All entries, in the order of the file."""
        head = self.content[:256]
        if len(head) < 208 or head[:8] != SIGNATURE:
            self.problems.append("not a journal file: its signature is missing")
            return
        flags = struct.unpack_from("<I", head, 12)[0]
        header, arena = struct.unpack_from("<QQ", head, 88)
        self.expected = struct.unpack_from("<Q", head, 152)[0]
        if header + arena > len(self.content):
            missing = header + arena - len(self.content)
            self.problems.append(f"truncated: {missing} of {header + arena} bytes are missing")
        cache: dict[int, tuple[str, str] | None] = {}
        compact = bool(flags & _COMPACT)
        for at, size in self._entries(header):
            record = self._record(at, size=size, compact=compact, cache=cache)
            if record is not None:
                self.read += 1
                yield record
        if self.read < self.expected:
            self.problems.append(f"{self.read} of {self.expected} entries could be read")

    def _entries(self, position: int) -> Iterator[tuple[int, int]]:
        """(position, size) of the entry objects; ends where the chain of objects breaks."""
        tail = struct.unpack_from("<Q", self.content, 136)[0]
        while position + _OBJECT.size <= len(self.content):
            kind, _flags, size = _OBJECT.unpack_from(self.content, position)
            if kind == 0 and size == 0 and position > tail:
                return
            if kind > _LARGEST_TYPE or size < _OBJECT.size or position + size > len(self.content):
                self.problems.append(f"damaged at byte {position}: there is no valid object")
                return
            if kind == _ENTRY and size >= _OBJECT.size + _ENTRY_HEAD.size:
                yield position, size
            position += -(-size // 8) * 8

    def _record(self, at: int, *, size: int, compact: bool, cache: dict[int, tuple[str, str] | None]) -> Record | None:
        sequence, microseconds, _monotonic, _boot, _xor = _ENTRY_HEAD.unpack_from(self.content, at + _OBJECT.size)
        start, step, layout = at + _OBJECT.size + _ENTRY_HEAD.size, 4 if compact else 16, "<I" if compact else "<Q"
        fields = {}
        for position in range(start, at + size - step + 1, step):
            offset = struct.unpack_from(layout, self.content, position)[0]
            if offset not in cache:
                cache[offset] = self._field(offset, compact=compact)
            if (item := cache[offset]) is not None:
                fields[item[0]] = item[1]
        try:
            time = _EPOCH + timedelta(microseconds=microseconds)
        except OverflowError:
            self.problems.append(f"entry {sequence}: impossible time")
            return None
        return Record(time, sequence, fields)

    def _field(self, offset: int, *, compact: bool) -> tuple[str, str] | None:
        """Name and value of a data object; None when no rule uses it or it cannot be read."""
        if offset % 8 or offset + _OBJECT.size > len(self.content):
            return None
        kind, flags, size = _OBJECT.unpack_from(self.content, offset)
        payload = self.content[offset + (72 if compact else 64) : offset + size]
        if kind != _DATA:
            return None
        if flags & (_OBJECT_XZ | _OBJECT_LZ4 | _OBJECT_ZSTD):
            payload = self._unpacked(payload, flags=flags)
        name, _, value = payload[: MAX_SHOWN + 64].partition(b"=")
        if name not in _WANTED:
            return None
        return name.decode("ascii"), value.decode("utf-8", "replace")

    def _unpacked(self, data: bytes, *, flags: int) -> bytes:
        try:
            return unpack_field(data, flags=flags)
        except Exception as error:  # three libraries, each with its own errors
            problem = f"a compressed field cannot be decompressed ({type(error).__name__}: {error})"[:200]
            if problem not in self.problems:
                self.problems.append(problem)
            return b""


def unpack_field(data: bytes, *, flags: int) -> bytes:
    """At most MAX_FIELD bytes of a compressed data object. Raises whatever the compression library raises."""
    if flags & _OBJECT_XZ:
        return lzma.LZMADecompressor(memlimit=64 << 20).decompress(data, MAX_FIELD)
    if flags & _OBJECT_ZSTD:
        import zstandard

        return zstandard.ZstdDecompressor(max_window_size=1 << 24).stream_reader(data).read(MAX_FIELD)
    from lz4 import block

    size = struct.unpack_from("<Q", data)[0]
    if size > MAX_FIELD:
        raise ValueError(f"{size} bytes in one field exceed the limit")
    return bytes(block.decompress(data[8:], uncompressed_size=size))
