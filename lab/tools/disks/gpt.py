"""GUID partition table: protective MBR, primary and backup header. Source: UEFI specification, chapter 5."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO
from uuid import UUID

SECTOR = 512
LINUX_FILESYSTEM = UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
_ENTRIES = 128
_ENTRY = struct.Struct("<16s16sQQQ72s")
_TABLE_SECTORS = _ENTRIES * _ENTRY.size // SECTOR
_HEADER = struct.Struct("<8s4sIIIQQQQ16sQIII")
_FIRST_USABLE = 2 + _TABLE_SECTORS
_NAME_BYTES = 72


@dataclass(frozen=True)
class Partition:
    """One partition; first and last are sectors, both inside it."""

    guid: UUID
    name: str
    first: int
    last: int
    kind: UUID = LINUX_FILESYSTEM

    @property
    def offset(self) -> int:
        """Where it begins, in bytes."""
        return self.first * SECTOR

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return (self.last - self.first + 1) * SECTOR


def last_usable(sectors: int) -> int:
    """The last sector a partition may use on a disk of that many sectors."""
    return sectors - _TABLE_SECTORS - 2


def write_gpt(out: BinaryIO, *, sectors: int, disk_guid: UUID, partitions: Sequence[Partition]) -> None:
    """Write both copies of the table; ValueError when a partition lies outside the usable sectors."""
    for part in partitions:
        if not _FIRST_USABLE <= part.first <= part.last <= last_usable(sectors):
            usable = f"{_FIRST_USABLE}-{last_usable(sectors)}"
            raise ValueError(f"partition {part.name!r} ({part.first}-{part.last}) lies outside {usable}")
    table = b"".join(_entry(part) for part in partitions).ljust(_ENTRIES * _ENTRY.size, b"\0")
    last = sectors - 1
    primary = _header(table, own=1, other=last, table_at=2, sectors=sectors, guid=disk_guid)
    backup = _header(table, own=last, other=1, table_at=last - _TABLE_SECTORS, sectors=sectors, guid=disk_guid)
    for sector, data in ((0, _protective_mbr(sectors)), (1, primary), (2, table)):
        out.seek(sector * SECTOR)
        out.write(data)
    for sector, data in ((last - _TABLE_SECTORS, table), (last, backup)):
        out.seek(sector * SECTOR)
        out.write(data)


def _entry(part: Partition) -> bytes:
    name = part.name.encode("utf-16-le")
    if len(name) > _NAME_BYTES:
        raise ValueError(f"partition name {part.name!r} is longer than {_NAME_BYTES // 2} characters")
    return _ENTRY.pack(part.kind.bytes_le, part.guid.bytes_le, part.first, part.last, 0, name)


def _header(table: bytes, *, own: int, other: int, table_at: int, sectors: int, guid: UUID) -> bytes:
    def pack(checksum: int) -> bytes:
        return _HEADER.pack(
            b"EFI PART",
            b"\0\0\1\0",
            _HEADER.size,
            checksum,
            0,
            own,
            other,
            _FIRST_USABLE,
            last_usable(sectors),
            guid.bytes_le,
            table_at,
            _ENTRIES,
            _ENTRY.size,
            zlib.crc32(table),
        )

    return pack(zlib.crc32(pack(0)))


def _protective_mbr(sectors: int) -> bytes:
    """One partition of type EE over the whole disk, so that old tools see no free space."""
    record = b"\0" + b"\x00\x02\x00" + b"\xee" + b"\xff\xff\xff" + struct.pack("<II", 1, min(sectors - 1, 0xFFFFFFFF))
    return b"\0" * 446 + record.ljust(64, b"\0") + b"\x55\xaa"
