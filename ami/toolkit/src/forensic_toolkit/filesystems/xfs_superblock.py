"""XFS's superblock and its copies, before a reader can open the file system. Source: the kernel's fs/xfs/libxfs/xfs_format.h."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from forensic_toolkit.filesystems.storage import Storage

MAGIC = b"XFSB"
SIZE = 512
_META_UUID = 0x4


@dataclass(frozen=True, slots=True)
class Superblock:
    """An XFS superblock; sizes in bytes where not said otherwise."""

    raw: bytes
    block: int
    blocks: int
    uuid: bytes  # the one that metadata blocks carry
    log_start: int  # in blocks of the file system's numbering; 0 for a log on a device of its own
    log_blocks: int
    group_blocks: int
    groups: int
    inode: int
    group_shift: int
    version: int

    @property
    def size(self) -> int:
        """The size of the file system."""
        return self.blocks * self.block

    @property
    def checksums(self) -> bool:
        """Whether metadata carries checksums and log sequence numbers (version 5)."""
        return self.version == 5

    def place(self, number: int) -> int:
        """The byte offset of a block number that has its allocation group in the upper bits."""
        group, block = number >> self.group_shift, number & (1 << self.group_shift) - 1
        return (group * self.group_blocks + block) * self.block


def superblock(raw: bytes) -> Superblock | None:
    """The superblock in a sector; None when it is none or its numbers contradict each other."""
    if len(raw) < 256 or raw[:4] != MAGIC:
        return None
    block, blocks = struct.unpack_from(">IQ", raw, 4)
    log_start = struct.unpack_from(">Q", raw, 48)[0]
    group_blocks, groups, _, log_blocks, version = struct.unpack_from(">IIIIH", raw, 84)
    inode, shift = struct.unpack_from(">H", raw, 104)[0], raw[124]
    incompatible = struct.unpack_from(">I", raw, 216)[0]
    five = version & 0xF == 5
    identity = raw[248:264] if five and incompatible & _META_UUID else raw[32:48]
    sane = block in {512 << step for step in range(8)} and 256 <= inode <= 2048 and groups and 0 < shift < 32
    if not sane or not group_blocks <= 1 << shift or not (groups - 1) * group_blocks < blocks <= groups * group_blocks:
        return None
    return Superblock(
        raw, block, blocks, identity, log_start, log_blocks, group_blocks, groups, inode, shift, version & 0xF
    )


def backups(volume: Storage) -> Iterator[tuple[int, Superblock]]:
    """(offset, superblock) of copies: each allocation group begins with one. They are searched in steps of a MiB."""
    step, found = 1 << 20, 0
    for offset in range(step, min(volume.size, 1 << 44), step):
        copy = superblock(volume.read(offset, SIZE)) if volume.read(offset, 4) == MAGIC else None
        if copy and offset % (copy.group_blocks * copy.block) == 0:
            found += 1
            yield offset, copy
        if found == 0 and offset >= 1 << 40:
            return
