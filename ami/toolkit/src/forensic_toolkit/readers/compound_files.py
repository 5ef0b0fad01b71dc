"""Compound files (OLE2): the streams of the root storage. Source: [MS-CFB] 2.2-2.6."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from forensic_toolkit.errors import EvidenceError

SIGNATURE = bytes.fromhex("d0cf11e0a1b11ae1")
_LAST = 0xFFFFFFFA  # numbers of sectors end here; what follows has a meaning of its own
_STREAM, _ROOT, _ENTRY = 2, 5, 128
_HEADER = struct.Struct("<8s16sHHHHHHIIIIIIIIII")
MOST_STREAMS = 20_000


class CompoundFile:
    """An opened compound file; ``damaged`` counts streams that break off. Raises EvidenceError when it is none."""

    def __init__(self, raw: bytes) -> None:
        if raw[:8] != SIGNATURE or len(raw) < 512:
            raise EvidenceError("no compound file: its signature is missing")
        fields = _HEADER.unpack_from(raw)
        shift, small_shift = fields[5], fields[6]
        if shift not in (9, 12) or not 4 <= small_shift <= shift:
            raise EvidenceError(f"a damaged compound file: sectors of 2^{shift} and 2^{small_shift} bytes")
        self.damaged = 0
        self._raw, self._sector, self._small = raw, 1 << shift, 1 << small_shift
        self._cutoff = fields[13]
        self._table = self._fat(first=fields[16])
        self._small_table = _numbers(self._chain(fields[14]))
        self._entries = self._directory(fields[11])
        root = next((entry for entry in self._entries if entry[66] == _ROOT), b"")
        self._small_streams = self._chain(int.from_bytes(root[116:120], "little")) if root else b""

    def streams(self) -> Iterator[tuple[str, bytes]]:
        """Name and content of every stream, whatever storage it is in."""
        left = 4 * len(self._raw)  # streams that share sectors would be many times as large as the file
        for entry in self._entries:
            if entry[66] != _STREAM:
                continue
            if left < 0:
                self.damaged += 1
                continue
            length, first = struct.unpack_from("<H", entry, 64)[0], struct.unpack_from("<I", entry, 116)[0]
            size = struct.unpack_from("<I", entry, 120)[0]
            content = self._chain(first, most=size) if size >= self._cutoff else self._small_chain(first, most=size)
            self.damaged += len(content) < size
            left -= len(content)
            yield entry[: max(0, min(length, 64) - 2)].decode("utf-16-le", "replace"), content

    def _at(self, number: int) -> bytes:
        start = (number + 1) * self._sector
        return self._raw[start : start + self._sector]

    def _fat(self, *, first: int) -> list[int]:
        numbers = list(struct.unpack_from("<109I", self._raw, 76))
        seen: set[int] = set()
        while first < _LAST and first not in seen and (block := self._at(first)):
            seen.add(first)
            *more, first = _numbers(block) or [_LAST]
            numbers += more
        return [number for sector in dict.fromkeys(numbers) if sector < _LAST for number in _numbers(self._at(sector))]

    def _sectors(self, number: int, table: list[int]) -> Iterator[int]:
        for _ in range(len(table)):  # a chain that runs in circles ends here
            if number >= min(_LAST, len(table)):
                return
            yield number
            number = table[number]

    def _chain(self, first: int, *, most: int | None = None) -> bytes:
        limit = len(self._raw) if most is None else most
        found = bytearray()
        for number in self._sectors(first, self._table):
            if len(found) >= limit:
                break
            found += self._at(number)
        return bytes(found[:limit])

    def _small_chain(self, first: int, *, most: int) -> bytes:
        found = bytearray()
        for number in self._sectors(first, self._small_table):
            if len(found) >= most:
                break
            found += self._small_streams[number * self._small : (number + 1) * self._small]
        return bytes(found[:most])

    def _directory(self, first: int) -> list[bytes]:
        raw = self._chain(first)
        return [raw[at : at + _ENTRY] for at in range(0, len(raw) - _ENTRY + 1, _ENTRY)][:MOST_STREAMS]


def _numbers(raw: bytes) -> list[int]:
    return [number for (number,) in struct.iter_unpack("<I", raw[: len(raw) // 4 * 4])]
