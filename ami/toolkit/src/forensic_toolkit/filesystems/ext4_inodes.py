"""As much of ext2, ext3 and ext4 as is needed before a reader can open them: superblock, backups, and an inode's blocks.

Source: the kernel's fs/ext4/ext4.h and ext4_extents.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from forensic_toolkit.filesystems.storage import Storage

OFFSET, SIZE = 1024, 1024
_MAGIC = b"\x53\xef"
_JOURNAL, _RECOVER, _META_BG, _64BIT, _JOURNAL_DEVICE = 0x4, 0x4, 0x10, 0x80, 0x8
_EXTENTS, _EXTENT_MAGIC = 0x80000, 0xF30A
_BIGALLOC = 0x200
_MAX_BLOCKS = 1 << 21
_MAX_DEPTH = 5


@dataclass(frozen=True, slots=True)
class Superblock:
    """An ext superblock; sizes in bytes, ``group`` is the number of the block group that this copy lies in."""

    raw: bytes
    block: int
    blocks: int
    first_block: int
    blocks_per_group: int
    inode_size: int
    descriptor: int
    compatible: int
    incompatible: int
    read_only: int
    group: int
    journal_inode: int

    @property
    def size(self) -> int:
        """The size of the file system."""
        return self.blocks * self.block

    @property
    def has_journal(self) -> bool:
        """Whether it keeps a journal."""
        return bool(self.compatible & _JOURNAL)

    @property
    def needs_recovery(self) -> bool:
        """Whether the journal has to be replayed before anything is believed (EXT4_FEATURE_INCOMPAT_RECOVER)."""
        return bool(self.incompatible & _RECOVER)

    @property
    def journal_device(self) -> bool:
        """Whether the journal lies on a device of its own, or this is such a device."""
        return bool(self.incompatible & _JOURNAL_DEVICE) or (self.has_journal and not self.journal_inode)

    @property
    def clusters(self) -> bool:
        """Whether it allocates clusters of several blocks (bigalloc)."""
        return bool(self.read_only & _BIGALLOC)


def superblock(raw: bytes) -> Superblock | None:
    """The superblock in 1024 bytes; None when it is none or its numbers contradict each other."""
    if len(raw) < SIZE or raw[56:58] != _MAGIC:
        return None
    low, first, shift = struct.unpack_from("<I", raw, 4)[0], *struct.unpack_from("<II", raw, 20)
    per_group, inodes_per_group = struct.unpack_from("<I4xI", raw, 32)
    revision = struct.unpack_from("<I", raw, 76)[0]
    inode, group, compatible, incompatible, read_only = struct.unpack_from("<HHIII", raw, 88)
    if revision == 0:
        inode, group, compatible, incompatible, read_only = 128, 0, 0, 0, 0
    block = 1024 << shift if shift <= 6 else 0
    wide = bool(incompatible & _64BIT)
    descriptor = max(struct.unpack_from("<H", raw, 254)[0], 32) if wide else 32
    high = struct.unpack_from("<I", raw, 336)[0] if wide else 0
    blocks = low | high << 32
    sane = block and blocks and per_group and inodes_per_group and 128 <= inode <= block and first <= 1
    if not sane or descriptor > block:
        return None
    journal = struct.unpack_from("<I", raw, 224)[0] if compatible & _JOURNAL else 0
    return Superblock(
        raw[:SIZE],
        block,
        blocks,
        first,
        per_group,
        inode,
        descriptor,
        compatible,
        incompatible,
        read_only,
        group,
        journal,
    )


def backups(volume: Storage) -> Iterator[tuple[int, Superblock]]:
    """(offset, superblock) of backup copies of the superblock, for a volume whose own is damaged.

    They lie at the start of groups 1 and the powers of 3, 5 and 7 (sparse_super); the group's size follows from the block's.
    """
    groups = sorted({1, *(base**power for base in (3, 5, 7) for power in range(1, 8))})
    for block in (4096, 1024, 2048, 65536, 16384, 8192, 32768):
        for group in groups:
            offset = group * 8 * block * block + (1024 if block == 1024 else 0)
            if offset + SIZE > volume.size:
                break
            found = superblock(volume.read(offset, SIZE))
            if found and found.block == block and found.group in (group, group & 0xFFFF):
                yield offset, found


def journal_blocks(volume: Storage, head: Superblock) -> list[int]:
    """The file system's blocks that hold the journal, in order; empty when they cannot be found."""
    raw = _inode(volume, head, head.journal_inode)
    found = blocks_of_inode(volume, head, raw) if raw else []
    if found:
        return found
    # s_jnl_blocks: the superblock keeps a copy of the journal's i_block and size (kind 1).
    if head.raw[253] != 1:
        return []
    copy = bytearray(head.inode_size)
    copy[40:100] = head.raw[268:328]
    high, low = struct.unpack_from("<II", head.raw, 328)
    struct.pack_into("<I", copy, 4, low)
    struct.pack_into("<I", copy, 108, high)
    if struct.unpack_from("<H", copy, 40)[0] == _EXTENT_MAGIC:
        struct.pack_into("<I", copy, 32, _EXTENTS)
    return blocks_of_inode(volume, head, bytes(copy))


def _inode(volume: Storage, head: Superblock, number: int) -> bytes:
    per_group = struct.unpack_from("<I", head.raw, 40)[0]
    group, index = divmod(number - 1, per_group)
    if group:
        return b""
    at = (head.first_block + 1) * head.block
    descriptor = volume.read(at, head.descriptor)
    if len(descriptor) < 32:
        return b""
    table = struct.unpack_from("<I", descriptor, 8)[0]
    if head.descriptor >= 64:
        table |= struct.unpack_from("<I", descriptor, 40)[0] << 32
    return volume.read(table * head.block + index * head.inode_size, head.inode_size)


def blocks_of_inode(volume: Storage, head: Superblock, raw: bytes) -> list[int]:
    """The blocks of a file without holes, in order; empty when they cannot be followed."""
    size = struct.unpack_from("<I", raw, 4)[0] | struct.unpack_from("<I", raw, 108)[0] << 32
    count = -(-size // head.block)
    if not 0 < count <= _MAX_BLOCKS:
        return []
    if struct.unpack_from("<I", raw, 32)[0] & _EXTENTS:
        found = dict(_extents(volume, head, raw[40:100], depth=0))
    else:
        found = dict(enumerate(_pointers(volume, head, struct.unpack_from("<15I", raw, 40), count)))
    blocks = [found.get(number, 0) for number in range(count)]
    return blocks if all(0 < number < head.blocks for number in blocks) else []


def _extents(volume: Storage, head: Superblock, node: bytes, *, depth: int) -> Iterator[tuple[int, int]]:
    magic, entries, _most, level = struct.unpack_from("<HHHH", node)
    if magic != _EXTENT_MAGIC or depth > _MAX_DEPTH:
        return
    for number in range(min(entries, len(node) // 12 - 1)):
        at = 12 + 12 * number
        if level == 0:
            first, length, high, low = struct.unpack_from("<IHHI", node, at)
            length = length - 32768 if length > 32768 else length
            start = low | high << 32
            yield from ((first + step, start + step) for step in range(length))
        else:
            low, high = struct.unpack_from("<IH", node, at + 4)
            child = volume.read((low | high << 32) * head.block, head.block)
            if len(child) == head.block:
                yield from _extents(volume, head, child, depth=depth + 1)


def _pointers(volume: Storage, head: Superblock, places: tuple[int, ...], count: int) -> Iterator[int]:
    """Block numbers of the old scheme: twelve direct ones, then one, two and three levels of indirection."""
    yield from places[:12]
    left = count - 12
    for level in (1, 2, 3):
        if left <= 0:
            return
        for number in _level(volume, head, places[11 + level], level):
            yield number
            left -= 1


def _level(volume: Storage, head: Superblock, place: int, level: int) -> Iterator[int]:
    content = volume.read(place * head.block, head.block) if place else bytes(head.block)
    for (number,) in struct.iter_unpack("<I", content):
        if level == 1:
            yield number
        else:
            yield from _level(volume, head, number, level - 1)
