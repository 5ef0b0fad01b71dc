"""The on-disk records: superblock, group descriptor, inode, extent tree.

Source: the kernel's Documentation/filesystems/ext4 (super.rst, group_descr.rst, inodes.rst, ifork.rst).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from lab.tools.disks.ext4.layout import (
    BLOCK,
    BLOCKS_PER_GROUP,
    DESCRIPTOR_SIZE,
    FIRST_INODE,
    INODE_SIZE,
    Ext4Error,
    Geometry,
    Group,
)
from lab.tools.disks.ext4.tree import Times

EXTENTS_FLAG = 0x80000
_INLINE_EXTENTS = 4
_INLINE_BYTES = 60
_EXTRA_ISIZE = 32
_LAST_32BIT_SECOND = 0x7FFFFFFF
_NS = 1_000_000_000

_INCOMPAT = 0x2 | 0x40  # filetype, extents
_RO_COMPAT = 0x1 | 0x2 | 0x40  # sparse_super, large_file, extra_isize

_INODE = struct.Struct("<HHIIIIIHHIII60sIIII2xHHHHHHHIIIIIII")


@dataclass(frozen=True)
class Volume:
    """What the superblock says about the file system as a whole; times in seconds since 1970."""

    label: str
    uuid: UUID
    hash_seed: UUID
    made: int
    mounted: int
    written: int


def extent_tree(runs: Sequence[tuple[int, int]]) -> bytes:
    """The inline tree of an inode (depth 0); Ext4Error beyond four extents."""
    if len(runs) > _INLINE_EXTENTS:
        raise Ext4Error(f"a file in {len(runs)} pieces: more than {_INLINE_EXTENTS} extents are not written")
    tree = struct.pack("<HHHHI", 0xF30A, len(runs), _INLINE_EXTENTS, 0, 0)
    logical = 0
    for start, length in runs:
        tree += struct.pack("<IHHI", logical, length, start >> 32, start & 0xFFFFFFFF)
        logical += length
    return tree.ljust(_INLINE_BYTES, b"\0")


def pack_inode(
    *,
    mode: int,
    owner: tuple[int, int],
    size: int,
    links: int,
    blocks: int,
    times: Times,
    content: bytes,
    flags: int,
    generation: int,
) -> bytes:
    """256 bytes; `owner` is (uid, gid), `blocks` counts blocks of 4 KiB, `content` is i_block's 60 bytes."""
    uid, gid = owner
    accessed, accessed_extra = _time(times.accessed)
    changed, changed_extra = _time(times.changed)
    modified, modified_extra = _time(times.modified)
    created, created_extra = _time(times.created)
    deleted = 0 if times.deleted is None else times.deleted // _NS
    sectors = blocks * (BLOCK // 512)
    raw = _INODE.pack(
        *(mode, uid & 0xFFFF, size & 0xFFFFFFFF, accessed, changed, modified, deleted, gid & 0xFFFF, links),
        *(sectors, flags, 0, content.ljust(_INLINE_BYTES, b"\0"), generation, 0, size >> 32, 0),
        *(0, uid >> 16, gid >> 16, 0, 0, _EXTRA_ISIZE, 0),
        *(changed_extra, modified_extra, accessed_extra, created, created_extra, 0, 0),
    )
    return raw.ljust(INODE_SIZE, b"\0")


def _time(nanoseconds: int) -> tuple[int, int]:
    """Seconds and the "extra" word: nanoseconds above two bits of epoch."""
    seconds, rest = divmod(nanoseconds, _NS)
    if not 0 <= seconds <= _LAST_32BIT_SECOND:
        raise Ext4Error(f"time {seconds} s lies outside 1970-2038, which is all this writer stores")
    return seconds, rest << 2


def pack_descriptor(group: Group, *, free_blocks: int, free_inodes: int, directories: int) -> bytes:
    """32 bytes of the group descriptor table."""
    raw = struct.pack(
        "<IIIHHH",
        group.block_bitmap,
        group.inode_bitmap,
        group.inode_table,
        free_blocks,
        free_inodes,
        directories,
    )
    return raw.ljust(DESCRIPTOR_SIZE, b"\0")


def pack_superblock(volume: Volume, *, geometry: Geometry, group: int, free_blocks: int, free_inodes: int) -> bytes:
    """1024 bytes; `group` is the block group that this copy lies in."""
    raw = bytearray(1024)

    def put(offset: int, layout: str, *values: int | bytes) -> None:
        struct.pack_into("<" + layout, raw, offset, *values)

    put(0x00, "IIIII", geometry.inodes, geometry.blocks, 0, free_blocks, free_inodes)
    put(0x14, "III", 0, 2, 2)  # first data block; block and cluster size as 2**(10 + 2)
    put(0x20, "III", BLOCKS_PER_GROUP, BLOCKS_PER_GROUP, geometry.inodes_per_group)
    put(0x2C, "IIHH", volume.mounted, volume.written, 1, 0xFFFF)
    put(0x38, "HHHH", 0xEF53, 1, 1, 0)  # clean; errors: continue
    put(0x40, "IIII", volume.made, 0, 0, 1)  # last check, no interval, Linux, dynamic revision
    put(0x54, "IHH", FIRST_INODE, INODE_SIZE, group)
    put(0x5C, "III", 0, _INCOMPAT, _RO_COMPAT)
    put(0x68, "16s16s64s", volume.uuid.bytes, _label(volume.label), b"/")
    put(0xEC, "16sBBH", volume.hash_seed.bytes, 1, 0, 0)  # half MD4, though no directory is hashed
    put(0x108, "I", volume.made)
    put(0x15C, "HHI", _EXTRA_ISIZE, _EXTRA_ISIZE, 1)
    return bytes(raw)


def _label(label: str) -> bytes:
    raw = label.encode()
    if len(raw) > 16:
        raise Ext4Error(f"file system label {label!r} is longer than 16 bytes")
    return raw
