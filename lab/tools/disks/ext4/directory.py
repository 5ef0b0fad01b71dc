"""Linear directories, and how the kernel removes an entry. Source: the kernel's ext4/directory.rst."""

from __future__ import annotations

import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from lab.tools.disks.ext4.layout import BLOCK, Ext4Error

_HEAD = struct.Struct("<IHBB")
_TYPES = {stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFLNK: 7}
_MAX_NAME = 255


@dataclass(frozen=True)
class Entry:
    """A name in a directory; a deleted one is written and then removed."""

    name: str
    inode: int
    mode: int
    deleted: bool = False


def pack_directory(entries: Sequence[Entry], *, keep_names: bool) -> bytes:
    """Whole blocks with `entries` in order, which must begin with "." and "..".

    `keep_names`: leave a removed entry's bytes in the slack of the one before it, as kernels before 5.13 do;
    newer ones wipe them (commit 6c0912739699).
    """
    blocks: list[list[Entry]] = [[]]
    room = BLOCK
    for entry in entries:
        need = _length(entry.name)
        if need > room:
            blocks.append([])
            room = BLOCK
        blocks[-1].append(entry)
        room -= need
    return b"".join(_pack_block(block, keep_names=keep_names) for block in blocks)


def _length(name: str) -> int:
    raw = len(name.encode())
    if not 0 < raw <= _MAX_NAME:
        raise Ext4Error(f"file name of {raw} bytes: 1 to {_MAX_NAME} are possible")
    return (_HEAD.size + raw + 3) // 4 * 4


def _pack_block(entries: Sequence[Entry], *, keep_names: bool) -> bytes:
    block = bytearray(BLOCK)
    offsets = [0]
    for entry in entries:
        offsets.append(offsets[-1] + _length(entry.name))
    offsets[-1] = BLOCK  # the last entry owns the rest of the block
    for entry, start, end in zip(entries, offsets, offsets[1:], strict=False):
        name = entry.name.encode()
        _HEAD.pack_into(block, start, entry.inode, end - start, len(name), _TYPES[stat.S_IFMT(entry.mode)])
        block[start + _HEAD.size : start + _HEAD.size + len(name)] = name
    for entry, start in zip(entries, offsets, strict=False):
        if entry.deleted:
            _remove(block, at=start, keep_name=keep_names)
    return bytes(block)


def _remove(block: bytearray, *, at: int, keep_name: bool) -> None:
    """The entry before takes over the length; an entry at the block's start only loses its inode number."""
    length = _record_length(block, at)
    previous, cursor = None, 0
    while cursor < at:
        previous, cursor = cursor, cursor + _record_length(block, cursor)
    if previous is None:
        struct.pack_into("<I", block, at, 0)
        wipe_from = at + _HEAD.size
    else:
        struct.pack_into("<H", block, previous + 4, _record_length(block, previous) + length)
        wipe_from = at
    if not keep_name:
        block[wipe_from : at + length] = bytes(at + length - wipe_from)


def _record_length(block: bytearray, at: int) -> int:
    return int(struct.unpack_from("<H", block, at + 4)[0])
