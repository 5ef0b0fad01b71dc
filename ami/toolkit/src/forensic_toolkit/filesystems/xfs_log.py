"""The log of an XFS file system: its records and the transactions in them that may not have reached their place yet.

A snapshot of a running system finds the last half minute of changes only here. Sources: the kernel's
fs/xfs/libxfs/xfs_log_format.h and fs/xfs/xfs_log_recover.c.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystems.checksums import crc32c
from forensic_toolkit.filesystems.storage import Storage, part_of
from forensic_toolkit.filesystems.xfs_superblock import Superblock

_BLOCK = 512
_MAGIC = bytes.fromhex("feedbabe")
_HEADER = struct.Struct(
    ">IIIIQQII I".replace(" ", "")
)  # magic, cycle, version, length, lsn, tail lsn, crc, previous, operations
_CYCLES = 64  # first words of blocks that the header keeps; one block for each 32 KiB
_HEADER_SIZES = (328, 324)  # of the C structure, which ends with padding on most machines
_OPERATION = struct.Struct(">IIBBH")
_START, _COMMIT, _CONTINUED, _WAS_CONTINUED, _END, _UNMOUNT = 1, 2, 4, 8, 16, 32
_TRANSACTION_MAGIC = 0x5452414E
_TRANSACTION_HEADER = 16
_LITTLE_ENDIAN = 1
_CHUNK = 8 << 20
MAX_LOG = 4 << 30
MAX_REGION = 1 << 20


@dataclass(frozen=True, slots=True)
class _Record:
    block: int  # of the log, 512 bytes
    cycle: int
    lsn: int
    tail: int
    length: int
    headers: int
    operations: int

    @property
    def blocks(self) -> int:
        return self.headers + -(-self.length // _BLOCK)


@dataclass(slots=True)
class Transaction:
    """One committed transaction; each item is its regions, the first of which says what it is."""

    lsn: int
    items: list[list[bytes]] = field(default_factory=list)


class Log:
    """The log of a file system. Raises EvidenceError when it lies elsewhere or has an implausible size."""

    def __init__(self, volume: Storage, superblock: Superblock) -> None:
        if not superblock.log_start:
            raise EvidenceError("its log is on another device, which is not part of this volume")
        size = superblock.log_blocks * superblock.block
        if not 0 < size <= MAX_LOG:
            raise EvidenceError(f"its log has an implausible size of {size} bytes")
        self._log = part_of(volume, superblock.place(superblock.log_start), size)
        self._blocks = size // _BLOCK
        self._uuid = superblock.raw[32:48]
        self._checksums = superblock.checksums
        self.problems: list[str] = []

    def transactions(self) -> Iterator[Transaction]:
        """The committed transactions between the log's tail and its head, in order; none for a clean log."""
        records = self._active()
        if records and records[-1].operations == 1 and self._is_unmount(records[-1]):
            return
        open_ones: dict[int, _Open] = {}
        for record in records:
            yield from self._of(record, open_ones)

    def _read(self, block: int, count: int) -> bytes:
        """Blocks of the log, which is a ring."""
        block %= self._blocks
        first = min(count, self._blocks - block)
        content = self._log.read(block * _BLOCK, first * _BLOCK)
        return content + self._log.read(0, (count - first) * _BLOCK) if first < count else content

    def _active(self) -> list[_Record]:
        """The records from the tail to the head; the tail is what the newest complete record says it is."""
        headers = {record.lsn: record for record in self._headers()}
        newest = max(headers, default=None)
        while newest is not None:
            chain, broken = self._chain(headers, newest)
            if not broken:
                return chain
            # Records are written side by side: one behind a hole was never acknowledged, recovery ends before the hole.
            last = chain[-1].lsn if chain else None
            if last is None:
                older = [lsn for lsn in headers if lsn < newest]
                newest = max(older, default=None)
            else:
                newest = last if last != newest else None
        return []

    def _chain(self, headers: dict[int, _Record], newest: int) -> tuple[list[_Record], bool]:
        """The records from the newest one's tail to itself, and whether a link is missing."""
        head = headers[newest]
        current = headers.get(head.tail)
        chain: list[_Record] = []
        if current is None:
            # The tail is the head of an empty log, or was overwritten.
            return ([head], False) if self._sound(head) and head.tail >> 32 == 0 else ([], True)
        while current is not None and current.lsn <= newest:
            if not self._sound(current):
                return chain, True
            chain.append(current)
            if current.lsn == newest:
                return chain, False
            following = current.block + current.blocks
            cycle = current.cycle + (following >= self._blocks)
            current = headers.get(cycle << 32 | following % self._blocks)
        return chain, True

    def _headers(self) -> Iterator[_Record]:
        for start in range(0, self._log.size, _CHUNK):
            content = self._log.read(start, _CHUNK)
            at = content.find(_MAGIC)
            while at >= 0:
                if at % _BLOCK == 0 and (record := self._header((start + at) // _BLOCK)):
                    yield record
                at = content.find(_MAGIC, at + 1)

    def _header(self, block: int) -> _Record | None:
        raw = self._read(block, 1)
        _magic, cycle, version, length, lsn, tail, _crc, _previous, operations = _HEADER.unpack_from(raw)
        form, uuid, size = struct.unpack_from(">I16sI", raw, 300)
        plausible = lsn == cycle << 32 | block and 0 < length <= self._log.size and version in (1, 2)
        if not plausible or uuid != self._uuid:
            return None
        if form != _LITTLE_ENDIAN:
            raise EvidenceError(f"its log was written by a machine of another byte order (format {form})")
        headers = -(-size // (_CYCLES * _BLOCK)) if version == 2 and size > _CYCLES * _BLOCK else 1
        return _Record(block, cycle, lsn, tail, length, headers, operations)

    def _sound(self, record: _Record) -> bool:
        """Whether a record was written completely: its checksum, or on version 4 the cycle number of each block."""
        raw = self._read(record.block, record.blocks)
        stated = struct.unpack_from("<I", raw, 32)[0]
        if not self._checksums or not stated:
            return self._stamped(record, raw)
        more = b"".join(raw[number * _BLOCK : number * _BLOCK + 4 + 4 * _CYCLES] for number in range(1, record.headers))
        data = raw[record.headers * _BLOCK :][: record.length]
        return any(
            crc32c(data, seed=crc32c(more, seed=crc32c(raw[:32] + bytes(4) + raw[36:size]))) == stated
            for size in _HEADER_SIZES
        )

    def _stamped(self, record: _Record, raw: bytes) -> bool:
        for number in range(record.headers, record.blocks):
            cycle = record.cycle + (record.block + number >= self._blocks)
            if struct.unpack_from(">I", raw, number * _BLOCK)[0] != cycle:
                return False
        return True

    def _content(self, record: _Record) -> bytes:
        """A record's data, with the words put back that the cycle numbers replaced (xlog_unpack_data)."""
        raw = self._read(record.block, record.blocks)
        data = bytearray(raw[record.headers * _BLOCK :])
        for number in range(len(data) // _BLOCK):
            header, index = divmod(number, _CYCLES)
            if header >= record.headers:
                break
            at = 40 + 4 * (index + 1) if header == 0 else header * _BLOCK + 4 + 4 * index
            data[number * _BLOCK : number * _BLOCK + 4] = raw[at : at + 4]
        return bytes(data[: record.length])

    def _is_unmount(self, record: _Record) -> bool:
        content = self._content(record)
        return len(content) >= _OPERATION.size and bool(_OPERATION.unpack_from(content)[3] & _UNMOUNT)

    def _of(self, record: _Record, open_ones: dict[int, _Open]) -> Iterator[Transaction]:
        content, at = self._content(record), 0
        for _ in range(record.operations):
            if at + _OPERATION.size > len(content):
                self.problems.append(f"the log's record at block {record.block} ends early")
                return
            number, length, _client, flags, _ = _OPERATION.unpack_from(content, at)
            at += _OPERATION.size
            region = content[at : at + length]
            at += length
            if flags & _UNMOUNT:
                continue
            if flags & _START:
                open_ones[number] = _Open(Transaction(record.lsn))
                continue
            current = open_ones.get(number)
            if current is None:
                continue  # it began before the tail: all its changes are in their places
            if flags & _COMMIT:
                del open_ones[number]
                yield current.transaction
            elif not current.add(region, continues=bool(flags & _WAS_CONTINUED)):
                self.problems.append(
                    f"a transaction in the log's record at block {record.block} is damaged; it was left out"
                )
                del open_ones[number]


@dataclass(slots=True)
class _Open:
    """A transaction whose commit was not met yet."""

    transaction: Transaction
    header: bytes = b""
    missing: int = 0  # regions that the last item still lacks

    def add(self, region: bytes, *, continues: bool) -> bool:
        """Add a region (xlog_recover_add_to_trans, _add_to_cont_trans); False when the transaction cannot be followed."""
        items = self.transaction.items
        if len(self.header) < _TRANSACTION_HEADER:
            self.header += region
            return len(self.header) <= _TRANSACTION_HEADER and (
                len(self.header) < 4 or struct.unpack_from("<I", self.header)[0] == _TRANSACTION_MAGIC
            )
        if continues and items:
            items[-1][-1] += region
            return len(items[-1][-1]) <= MAX_REGION
        if not self.missing:
            if len(region) < 4:
                return False
            self.missing = struct.unpack_from("<H", region, 2)[0]
            items.append([])
            if not self.missing:
                return False
        items[-1].append(region)
        self.missing -= 1
        return True
