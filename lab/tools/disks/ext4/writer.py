"""Writes a tree as an ext4 file system into an image file, at an offset. Same tree, same bytes."""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass, replace
from typing import BinaryIO

from lab.tools.disks.ext4.directory import Entry, pack_directory
from lab.tools.disks.ext4.layout import BLOCK, FIRST_INODE, Allocator, Ext4Error, Geometry, plan
from lab.tools.disks.ext4.records import (
    EXTENTS_FLAG,
    Volume,
    extent_tree,
    pack_descriptor,
    pack_inode,
    pack_superblock,
)
from lab.tools.disks.ext4.tree import Node, Times

ROOT_INODE = 2
_LOST_FOUND_BLOCKS = 4
_INLINE_TARGET = 60  # a shorter link target lies in the inode itself


@dataclass
class Ext4Writer:
    """One file system in `out`, from byte `offset`, `size` bytes long; use `write` once."""

    out: BinaryIO
    offset: int
    size: int
    volume: Volume
    inodes: int
    keep_deleted_names: bool

    def write(self, root: Node) -> None:
        """Number the inodes, place the data, write everything; Ext4Error when it does not fit."""
        self._geometry = plan(self.size, inodes=self.inodes)
        self._allocator = Allocator(self._geometry)
        self._used_inodes = set(range(1, FIRST_INODE))
        self._directories: list[int] = []
        _add_lost_found(root)
        self._number(root)
        self._write_directory(root, parent=root)
        self._write_groups()

    def _number(self, root: Node) -> None:
        """Inode numbers in order of creation: the intrusion's files come after those of the image's day."""
        root.inode = ROOT_INODE
        rest = [node for node in root.walk() if node is not root]
        lost_found = root.children["lost+found"]
        rest.sort(key=lambda node: (node is not lost_found, node.times.created))
        if FIRST_INODE + len(rest) - 1 > self._geometry.inodes:
            raise Ext4Error(f"{len(rest)} files, but only {self._geometry.inodes} inodes: raise the inode count")
        for number, node in enumerate(rest, start=FIRST_INODE):
            node.inode = number

    def _write_directory(self, node: Node, *, parent: Node) -> None:
        children = sorted(node.children.values(), key=lambda child: child.inode)
        entries = [Entry(".", node.inode, node.mode), Entry("..", parent.inode, parent.mode)]
        entries += [Entry(child.name, child.inode, child.mode, deleted=child.is_deleted) for child in children]
        data = pack_directory(entries, keep_names=self.keep_deleted_names)
        if node.name == "lost+found":
            data += _empty_directory_block() * (_LOST_FOUND_BLOCKS - 1)
        node.data = data
        for child in children:
            if child.is_directory and child.is_deleted:
                raise Ext4Error(f"{child.name}: deleted directories are not written")
        links = 2 + sum(child.is_directory for child in children)
        self._place(node, links=links)
        self._directories.append(node.inode)
        for child in children:
            if child.is_directory:
                self._write_directory(child, parent=node)
            else:
                self._place(child, links=1)

    def _place(self, node: Node, *, links: int) -> None:
        inline = node.is_symlink and len(node.data) < _INLINE_TARGET
        blocks = 0 if inline else -(-len(node.data) // BLOCK)
        node.extents = self._allocator.take(blocks)
        position = 0
        for start, length in node.extents:
            self._put(start * BLOCK, node.data[position : position + length * BLOCK])
            position += length * BLOCK
        if node.is_deleted:
            self._write_remains(node)
            return
        self._used_inodes.add(node.inode)
        content, flags = (node.data, 0) if inline else (extent_tree(node.extents), EXTENTS_FLAG)
        self._write_inode(
            node, size=len(node.data), links=links, blocks=blocks, times=node.times, body=(content, flags)
        )

    def _write_remains(self, node: Node) -> None:
        """What the kernel leaves of a deleted file: an inode without size and extents, data in free blocks.

        The last step of a deletion truncates the file, which sets mtime and ctime to that moment.
        """
        gone = node.times.deleted
        if gone is None:
            raise Ext4Error(f"{node.name} is not deleted")
        self._allocator.free(node.extents)
        times = replace(node.times, modified=gone, changed=gone)
        body = (extent_tree([]), EXTENTS_FLAG)
        self._write_inode(node, size=0, links=0, blocks=0, times=times, body=body)

    def _write_inode(
        self, node: Node, *, size: int, links: int, blocks: int, times: Times, body: tuple[bytes, int]
    ) -> None:
        """`body` is what goes into i_block, and the flags that say what that is."""
        content, flags = body
        seed = self.volume.uuid.bytes + node.inode.to_bytes(4, "little")
        generation = int.from_bytes(hashlib.sha256(seed).digest()[:4], "little")
        raw = pack_inode(
            mode=node.mode,
            owner=(node.uid, node.gid),
            size=size,
            links=links,
            blocks=blocks,
            times=times,
            content=content,
            flags=flags,
            generation=generation,
        )
        self._put(self._geometry.inode_position(node.inode), raw)

    def _write_groups(self) -> None:
        geometry, used = self._geometry, self._allocator.used
        descriptors, all_free_blocks, all_free_inodes = b"", 0, 0
        for group in geometry.groups:
            taken = set(range(group.first, group.data)) | {block for block in used if group.first <= block < group.end}
            first_inode = group.index * geometry.inodes_per_group + 1
            inodes = {number for number in self._used_inodes if 0 <= number - first_inode < geometry.inodes_per_group}
            directories = sum(0 <= number - first_inode < geometry.inodes_per_group for number in self._directories)
            block_bits = [block - group.first for block in taken]
            self._put(group.block_bitmap * BLOCK, _bitmap(block_bits, valid=group.end - group.first))
            inode_bits = [number - first_inode for number in inodes]
            self._put(group.inode_bitmap * BLOCK, _bitmap(inode_bits, valid=geometry.inodes_per_group))
            free_blocks = group.end - group.first - len(taken)
            free_inodes = geometry.inodes_per_group - len(inodes)
            descriptors += pack_descriptor(
                group, free_blocks=free_blocks, free_inodes=free_inodes, directories=directories
            )
            all_free_blocks += free_blocks
            all_free_inodes += free_inodes
        self._write_superblocks(geometry, descriptors=descriptors, blocks=all_free_blocks, inodes=all_free_inodes)

    def _write_superblocks(self, geometry: Geometry, *, descriptors: bytes, blocks: int, inodes: int) -> None:
        for group in geometry.groups:
            if group.has_super:
                # The first superblock leaves room for a boot sector; the copies begin their block.
                inset = 1024 if group.index == 0 else 0
                raw = pack_superblock(
                    self.volume, geometry=geometry, group=group.index, free_blocks=blocks, free_inodes=inodes
                )
                self._put(group.first * BLOCK + inset, raw)
                self._put((group.first + 1) * BLOCK, descriptors)

    def _put(self, position: int, data: bytes) -> None:
        self.out.seek(self.offset + position)
        self.out.write(data)


def _bitmap(bits: list[int], *, valid: int) -> bytes:
    """One block of bits; those beyond `valid` are set, for nothing there can be taken."""
    value = sum(1 << bit for bit in bits) | ((1 << (8 * BLOCK)) - (1 << valid))
    return value.to_bytes(BLOCK, "little")


def _add_lost_found(root: Node) -> None:
    made = root.times.created
    times = Times(accessed=made, changed=made, modified=made, created=made)
    root.children.setdefault("lost+found", Node("lost+found", stat.S_IFDIR | 0o700, times))


def _empty_directory_block() -> bytes:
    return (b"\0\0\0\0" + BLOCK.to_bytes(2, "little") + b"\0\0").ljust(BLOCK, b"\0")
