"""A volume as it is examined: with its journal replayed, a wiped superblock taken from its copies, its size checked.

Nothing is written to the volume: all changes are in an overlay.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystems import ext4_inodes, ext4_journal, signatures, xfs_replay, xfs_superblock
from forensic_toolkit.filesystems.overlay import Overlay
from forensic_toolkit.filesystems.signatures import BTRFS_AT, BTRFS_COPIES, Content
from forensic_toolkit.filesystems.storage import Storage

_NULL = 2**64 - 1


@dataclass(slots=True)
class Prepared:
    """The bytes to examine, what they hold, what was done, and what is missing. ``current`` says that deleted is deleted."""

    storage: Storage
    content: Content
    notes: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    current: bool = True


def prepared(volume: Storage, *, overlay: Callable[[], Path]) -> Prepared:
    """Prepare a volume; ``overlay`` gives the path of a new file for changed blocks, called only when there are any."""
    found = Prepared(volume, signatures.content_of(volume))
    if found.content.kind in (signatures.NONE, signatures.EMPTY):
        _from_copies(found, overlay)
    match found.content.kind:
        case signatures.EXT:
            _ext(found, overlay)
        case signatures.XFS:
            _xfs(found, overlay)
        case signatures.BTRFS:
            _btrfs(found)
    return found


def _from_copies(found: Prepared, overlay: Callable[[], Path]) -> None:
    """Put the first sound copy of a superblock into the place of one that was overwritten."""
    if found.content.kind == signatures.EMPTY and found.storage.size > 1 << 40:
        return
    for restore in (_ext_copy, _xfs_copy, _btrfs_copy):
        changed, offset = restore(found.storage)
        if changed is not None:
            found.storage = changed.stored(overlay())
            found.content = signatures.content_of(found.storage)
            found.notes.append(
                f"its own superblock is damaged or wiped; it was read by the copy at byte {offset} "
                f"({found.content.kind}): somebody may have tried to hide this file system"
            )
            return


def _ext_copy(volume: Storage) -> tuple[Overlay | None, int]:
    for offset, copy in ext4_inodes.backups(volume):
        changed = Overlay(volume, block=copy.block)
        raw = bytearray(copy.raw)
        struct.pack_into("<H", raw, 90, 0)  # the block group that this copy is in
        # Copies are not kept up to date: whether there is something to replay says the journal itself.
        struct.pack_into("<I", raw, 96, copy.incompatible | (0x4 if copy.has_journal else 0))
        changed.write(ext4_inodes.OFFSET, bytes(raw))
        count = -(-(copy.blocks - copy.first_block) // copy.blocks_per_group)
        size = -(-count * copy.descriptor // copy.block) * copy.block
        own, theirs = (copy.first_block + 1) * copy.block, offset // copy.block * copy.block + copy.block
        descriptors = volume.read(theirs, size)
        # With meta_bg the descriptors are spread and have copies of their own.
        if not copy.incompatible & 0x10 and volume.read(own, size)[8:12] != descriptors[8:12]:
            changed.write(own, descriptors)
        return changed, offset
    return None, 0


def _xfs_copy(volume: Storage) -> tuple[Overlay | None, int]:
    copies = [(offset, copy) for offset, copy in xfs_superblock.backups(volume)]
    for offset, copy in copies:
        root = struct.unpack_from(">Q", copy.raw, 56)[0]
        if root != _NULL or (offset, copy) == copies[-1]:
            changed = Overlay(volume, block=4096)
            raw = bytearray(volume.read(offset, xfs_superblock.SIZE))
            raw[126] = 0  # sb_inprogress: copies are written while the file system is made
            changed.write(0, bytes(raw))
            return changed, offset
    return None, 0


def _btrfs_copy(volume: Storage) -> tuple[Overlay | None, int]:
    for offset in BTRFS_COPIES:
        raw = bytearray(volume.read(offset, 4096))
        if raw[64:72] == b"_BHRfS_M":
            changed = Overlay(volume, block=4096)
            struct.pack_into("<Q", raw, 48, BTRFS_AT)
            changed.write(BTRFS_AT, bytes(raw))
            return changed, offset
    return None, 0


def _ext(found: Prepared, overlay: Callable[[], Path]) -> None:
    head = ext4_inodes.superblock(found.storage.read(ext4_inodes.OFFSET, ext4_inodes.SIZE))
    if head is None:
        found.gaps.append("its superblock contradicts itself")
        return
    _size(found, head.size)
    if head.has_journal and head.needs_recovery:
        try:
            changed, done = ext4_journal.replay(found.storage, head)
        except (EvidenceError, struct.error) as error:
            _not_replayed(found, "journal", str(error))
        else:
            if changed.changed:
                found.storage = changed.stored(overlay())
            _replayed(found, "journal", done)
    if head.clusters:
        _without_clusters(found, head, overlay)


def _without_clusters(found: Prepared, head: ext4_inodes.Superblock, overlay: Callable[[], Path]) -> None:
    """Show a file system with clusters (bigalloc) as one without: only its maps of free room count clusters.

    Readers refuse such a file system, but inodes and extents name blocks as everywhere (kernel: Documentation/filesystems/ext4/bigalloc.rst).
    """
    changed = Overlay(found.storage, block=4096)
    raw = bytearray(found.storage.read(ext4_inodes.OFFSET, ext4_inodes.SIZE))
    raw[28:32], raw[36:40] = raw[24:28], raw[32:36]
    changed.write(ext4_inodes.OFFSET, bytes(raw))
    found.storage = changed.stored(overlay())
    found.notes.append("it allocates clusters (bigalloc): files and names are read, its maps of free room are not")


def _xfs(found: Prepared, overlay: Callable[[], Path]) -> None:
    head = xfs_superblock.superblock(found.storage.read(0, xfs_superblock.SIZE))
    if head is None:
        found.gaps.append("its superblock contradicts itself")
        return
    _size(found, head.size)
    try:
        changed, done = xfs_replay.replay(found.storage, head)
    except (EvidenceError, struct.error) as error:
        _not_replayed(found, "log", str(error))
        return
    if changed.changed:
        found.storage = changed.stored(overlay())
    if done.transactions or done.problems:
        _replayed(found, "log", done)


def _replayed(found: Prepared, what: str, done: ext4_journal.Replay) -> None:
    found.content = signatures.content_of(found.storage)
    if done.transactions:
        found.notes.append(
            f"it was not unmounted: its {what} was replayed on an overlay ({done.transactions} transactions, {done.blocks} "
            "changes), the evidence itself is as it was"
        )
    found.gaps.extend(done.problems)
    found.current = not done.problems


def _not_replayed(found: Prepared, what: str, why: str) -> None:
    found.gaps.append(
        f"it was not unmounted, and its {what} could not be replayed: {why}; the last changes before the snapshot are missing, "
        "and names that look deleted may not be"
    )
    found.current = False


def _btrfs(found: Prepared) -> None:
    head = found.storage.read(BTRFS_AT, 4096)
    total, devices = struct.unpack_from("<Q", head, 112)[0], struct.unpack_from("<Q", head, 136)[0]
    own = struct.unpack_from("<Q", head, 201 + 8)[0]  # dev_item.total_bytes
    _size(found, own if devices > 1 else total)
    if struct.unpack_from("<Q", head, 96)[0]:
        found.gaps.append(
            "it was not unmounted, and its log tree is not replayed: what programs forced to the disk (fsync) in the last "
            "seconds before the snapshot may be missing"
        )
        found.current = False


def _size(found: Prepared, size: int) -> None:
    if size > found.storage.size:
        found.gaps.append(
            f"the file system has {size} bytes, the volume only {found.storage.size}: {size - found.storage.size} bytes at "
            "its end are missing; was the image cut off?"
        )
