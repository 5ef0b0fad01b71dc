"""Everything on a device that may hold a file system: partitions, logical volumes, the whole disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystems import lvm
from forensic_toolkit.filesystems.dissect_filesystem import DissectFileSystem
from forensic_toolkit.filesystems.entries import FileSystem, Identity, Partition
from forensic_toolkit.filesystems.sleuthkit import SleuthKit, UnknownFileSystemError
from forensic_toolkit.results import Results

# Both superblocks lie in the first four KiB; LVM's label in the first two.
_HEAD = 4096
_NO_FILES = ("swap", "empty", "BIOS boot")


class Disk:
    """A device, opened for reading only. Raises EvidenceError when it cannot be opened."""

    def __init__(self, device: Path) -> None:
        self._device = device
        self._kit = SleuthKit(device)

    def file_systems(self, results: Results) -> Iterator[tuple[FileSystem, Identity]]:
        """Every file system that can be opened; one that cannot is recorded as a gap in ``results``."""
        for partition in self._kit.partitions():
            for volume in self._volumes(partition, results=results):
                head = self._head(volume)
                try:
                    yield self._open(volume, head=head), identity(head)
                except EvidenceError as error:
                    # Swap, BIOS boot and empty partitions hold no files.
                    if guess_content(head) not in _NO_FILES:
                        results.gap(volume.label, str(error))

    def _volumes(self, partition: Partition, *, results: Results) -> Iterator[Partition]:
        """The partition itself, or the logical volumes it contains."""
        if not lvm.is_physical_volume(self._head(partition)):
            yield partition
            return
        inside = partition.extents()

        def read(offset: int, length: int) -> bytes:
            return self._read(partition, offset=offset, length=length)

        try:
            found = lvm.volumes(read)
        except EvidenceError as error:
            results.gap(partition.label, str(error))
            return
        for number, volume in enumerate(found, start=1):
            name = f"{volume.group}/{volume.name}"
            if isinstance(volume, lvm.Unsupported):
                results.gap(f"logical volume {name}", volume.why)
                continue
            pieces = inside.inside(volume.pieces)
            yield Partition(partition.number * 100 + number, 0, pieces.bytes, f"LVM {name}", pieces.pieces)

    def _open(self, volume: Partition, *, head: bytes) -> FileSystem:
        try:
            return self._kit.filesystem(volume)
        except UnknownFileSystemError as error:
            content = guess_content(head)
            if content.startswith(("LUKS", *_NO_FILES)):
                raise EvidenceError(content) from error
            try:
                return DissectFileSystem(self._device, volume)
            except EvidenceError as second:
                raise EvidenceError(f"{content} (The Sleuth Kit: {error}; dissect: {second})") from second

    def _head(self, volume: Partition) -> bytes:
        return self._read(volume, offset=0, length=_HEAD)

    def _read(self, volume: Partition, *, offset: int, length: int) -> bytes:
        descriptor = os.open(self._device, os.O_RDONLY)
        try:
            return volume.extents().read(descriptor, offset=offset, length=length)
        finally:
            os.close(descriptor)


def guess_content(head: bytes) -> str:
    """What a volume holds by its first sectors, for a file system that cannot be read."""
    if head.startswith(b"LUKS"):
        return "LUKS, encrypted: without its key nothing in it can be examined"
    if head[-10:] in (b"SWAPSPACE2", b"SWAP-SPACE"):
        return "swap"
    if head[3:11] == b"-FVE-FS-":
        return "BitLocker, encrypted: without its key nothing in it can be examined"
    return "XFS" if head.startswith(b"XFSB") else "empty" if not any(head) else "no known file system"


def identity(head: bytes) -> Identity:
    """UUID, label and number of inodes in use, from an ext or XFS superblock."""
    if head.startswith(b"XFSB"):
        # sb_icount and sb_ifree count allocated inodes; three of them (bitmaps, quota) may have no name.
        used = int.from_bytes(head[128:136], "big") - int.from_bytes(head[136:144], "big")
        return Identity(_uuid(head[32:48]), _text(head[108:120]), used)
    superblock = head[1024:2048]
    if superblock[56:58] == b"\x53\xef":
        used = int.from_bytes(superblock[0:4], "little") - int.from_bytes(superblock[16:20], "little")
        return Identity(_uuid(superblock[104:120]), _text(superblock[120:136]), used)
    return Identity()


def _uuid(raw: bytes) -> str:
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")
