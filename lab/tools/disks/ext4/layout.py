"""Where things lie: block groups, the blocks their metadata takes, and an allocator for the rest.

Source: the kernel's Documentation/filesystems/ext4 ("Layout", "Block Groups", "Special inodes").
"""

from __future__ import annotations

from dataclasses import dataclass, field

BLOCK = 4096
BLOCKS_PER_GROUP = 8 * BLOCK
INODE_SIZE = 256
INODES_PER_BLOCK = BLOCK // INODE_SIZE
DESCRIPTOR_SIZE = 32
FIRST_INODE = 11
# The most blocks one extent can describe (ee_len above it would mean "unwritten").
MAX_EXTENT = 32768


class Ext4Error(ValueError):
    """The tree does not fit; the message says what is short."""


@dataclass(frozen=True)
class Group:
    """One block group; numbers of blocks, counted from the start of the file system."""

    index: int
    first: int
    end: int
    block_bitmap: int
    inode_bitmap: int
    inode_table: int
    data: int
    has_super: bool


@dataclass(frozen=True)
class Geometry:
    """The shape of a file system of `blocks` blocks with `inodes_per_group` inodes in each group."""

    blocks: int
    inodes_per_group: int
    groups: tuple[Group, ...]

    @property
    def inodes(self) -> int:
        """All inodes, the reserved ones too."""
        return self.inodes_per_group * len(self.groups)

    @property
    def descriptor_blocks(self) -> int:
        """Blocks of the group descriptor table."""
        return _descriptor_blocks(len(self.groups))

    def inode_position(self, inode: int) -> int:
        """Byte offset of an inode in the file system."""
        group, index = divmod(inode - 1, self.inodes_per_group)
        return self.groups[group].inode_table * BLOCK + index * INODE_SIZE


def plan(size: int, *, inodes: int) -> Geometry:
    """The geometry for `size` bytes and at least `inodes` inodes; Ext4Error when metadata does not fit."""
    blocks = size // BLOCK
    count = -(-blocks // BLOCKS_PER_GROUP)
    if count == 0:
        raise Ext4Error(f"a file system needs at least one block of {BLOCK} bytes, got {size} bytes")
    per_group = -(-inodes // count)
    # A whole number of table blocks, and of bitmap bytes.
    per_group = -(-per_group // INODES_PER_BLOCK) * INODES_PER_BLOCK
    groups = []
    for index in range(count):
        first = index * BLOCKS_PER_GROUP
        has_super = _has_super(index)
        bitmap = first + (1 + _descriptor_blocks(count) if has_super else 0)
        table = bitmap + 2
        data = table + per_group // INODES_PER_BLOCK
        end = min(blocks, first + BLOCKS_PER_GROUP)
        if data >= end:
            raise Ext4Error(f"block group {index} has {end - first} blocks, its metadata needs {data - first}: resize")
        groups.append(Group(index, first, end, bitmap, bitmap + 1, table, data, has_super))
    return Geometry(blocks, per_group, tuple(groups))


def _descriptor_blocks(groups: int) -> int:
    return -(-groups * DESCRIPTOR_SIZE // BLOCK)


def _has_super(index: int) -> bool:
    """sparse_super: copies in groups 0, 1 and the powers of 3, 5 and 7."""
    if index < 2:
        return True
    for base in (3, 5, 7):
        power = base
        while power < index:
            power *= base
        if power == index:
            return True
    return False


@dataclass
class Allocator:
    """Hands out data blocks in ascending order, so that files are contiguous."""

    geometry: Geometry
    used: set[int] = field(default_factory=set)
    _group: int = 0
    _next: int = 0

    def take(self, count: int) -> list[tuple[int, int]]:
        """`count` blocks as (first, length) runs; Ext4Error when the file system is full."""
        runs: list[tuple[int, int]] = []
        while count:
            if self._group >= len(self.geometry.groups):
                raise Ext4Error(f"file system full: {count} more blocks of {BLOCK} bytes needed; make the image larger")
            group = self.geometry.groups[self._group]
            start = max(self._next, group.data)
            length = min(count, group.end - start, MAX_EXTENT)
            if length <= 0:
                self._group += 1
                continue
            runs.append((start, length))
            self.used.update(range(start, start + length))
            self._next = start + length
            count -= length
        return runs

    def free(self, runs: list[tuple[int, int]]) -> None:
        """Mark blocks as free; they are not handed out again, so what was in them stays."""
        for start, length in runs:
            self.used.difference_update(range(start, start + length))
