"""Names of deleted files from copies of directory blocks in an ext4 journal.

The name of a file that was created and deleted before its directory block was written exists only in the journal.
A directory's first block begins with an entry for the directory itself, which identifies it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

JOURNAL_INODE = 8
MAX_JOURNAL = 256 << 20
_ENTRY = struct.Struct("<IHBB")
# "." : entry of 12 bytes, name of one byte, type directory; the inode before it is the directory's own.
_SELF = bytes((12, 0, 1, 2)) + b".\0\0\0"
_CHECKSUM_TYPE = 0xDE


@dataclass(frozen=True, slots=True)
class Name:
    """A name found in a copy of a directory block."""

    folder_inode: int
    inode: int
    name: str
    kind: int  # 1: regular file, 2: directory, 7: symbolic link


def in_blocks(content: bytes, *, block: int) -> Iterator[Name]:
    """Names in those blocks of ``content`` that are first blocks of directories; ``block`` is their size in bytes."""
    for start in range(0, len(content) - block + 1, block):
        if content[start + 4 : start + 12] == _SELF:
            yield from _names(content[start : start + block])


def _names(block: bytes) -> list[Name]:
    """The names of one block; none when its entries do not form a chain over the whole block."""
    folder = _ENTRY.unpack_from(block, 0)[0]
    names: list[Name] = []
    position = 0
    while position + _ENTRY.size <= len(block):
        _inode, length, name_length, kind = _ENTRY.unpack_from(block, position)
        if length < 12 or length % 4 or position + length > len(block) or name_length + 8 > length:
            return []
        if kind != _CHECKSUM_TYPE:
            names.extend(_name(block, at=position, folder=folder))
            # Deleted entries may remain in the slack that this entry's length covers.
            used = 8 + (name_length + 3) // 4 * 4
            names.extend(_slack(block, at=position + used, end=position + length, folder=folder))
        position += length
    return names


def _name(block: bytes, *, at: int, folder: int) -> list[Name]:
    inode, _length, name_length, kind = _ENTRY.unpack_from(block, at)
    raw = block[at + 8 : at + 8 + name_length]
    usable = inode and name_length and kind in (1, 2, 7) and raw not in (b".", b"..")
    if not usable or b"/" in raw or b"\0" in raw:
        return []
    return [Name(folder, inode, raw.decode("utf-8", "backslashreplace"), kind)]


def _slack(block: bytes, *, at: int, end: int, folder: int) -> Iterator[Name]:
    position = at
    while position + 12 <= end:
        _inode, length, name_length, kind = _ENTRY.unpack_from(block, position)
        fits = 12 <= length <= len(block) and length % 4 == 0 and 0 < name_length <= end - position - 8
        if not fits or kind not in (1, 2, 7):
            return
        yield from _name(block, at=position, folder=folder)
        position += 8 + (name_length + 3) // 4 * 4
