"""The names that Linux gives to partitions by their table: PARTUUID, PARTLABEL and number, as fstab may use them.

Sources: UEFI 2.10, 5.3.2 and 5.3.3 (GPT header and entries: a GUID's first three fields are little-endian, names are UTF-16); for MBR
Linux' ``block/partitions/msdos.c``: the disk's signature at 0x1B8 and the partition's number, both in hexadecimal.
"""

from __future__ import annotations

import struct
import uuid

from forensic_toolkit.filesystems.storage import Storage

_SECTORS = (512, 4096)
_MAX_ENTRIES, _MAX_ENTRY = 1024, 4096


def of_table(storage: Storage) -> dict[int, tuple[str, ...]]:
    """``partuuid:…``, ``partlabel:…`` and ``number:…`` of every partition by its offset in bytes; none without a table."""
    for sector in _SECTORS:
        header = storage.read(sector, 92)
        if len(header) == 92 and header[:8] == b"EFI PART":
            return _gpt(storage, header, sector)
    return _mbr(storage.read(0, 512))


def _gpt(storage: Storage, header: bytes, sector: int) -> dict[int, tuple[str, ...]]:
    start, count, size = struct.unpack_from("<QII", header, 72)
    if not 128 <= size <= _MAX_ENTRY:
        return {}
    found: dict[int, tuple[str, ...]] = {}
    table = storage.read(start * sector, min(count, _MAX_ENTRIES) * size)
    for at in range(0, len(table) - size + 1, size):
        entry = table[at : at + size]
        if any(entry[:16]):
            first = struct.unpack_from("<Q", entry, 32)[0]
            label = entry[56:128].decode("utf-16-le", "replace").split("\0", 1)[0]
            own = (f"partuuid:{uuid.UUID(bytes_le=entry[16:32])}", f"number:{at // size + 1}")
            found[first * sector] = (*own, f"partlabel:{label}") if label else own
    return found


def _mbr(block: bytes) -> dict[int, tuple[str, ...]]:
    """Of the four primary partitions; logical ones have no name here."""
    if len(block) < 512 or block[510:] != b"\x55\xaa":
        return {}
    (signature,) = struct.unpack_from("<I", block, 0x1B8)
    found: dict[int, tuple[str, ...]] = {}
    for number in range(4):
        kind, (first, sectors) = block[450 + 16 * number], struct.unpack_from("<II", block, 454 + 16 * number)
        if kind and sectors:
            own = (f"partuuid:{signature:08x}-{number + 1:02x}",) if signature else ()
            found[first * 512] = (*own, f"number:{number + 1}")
    return found
