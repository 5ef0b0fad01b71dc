"""File systems and partition tables through The Sleuth Kit (pytsk3, imported only when used)."""

from __future__ import annotations

import importlib
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystems import partition_names
from forensic_toolkit.filesystems.entries import MAX_DEPTH, MAX_ENTRIES, Entry, Partition, Times, name_of
from forensic_toolkit.filesystems.storage import Storage, Stored

_CHUNK = 1024 * 1024
_TYPES = {
    "REG": stat.S_IFREG,
    "DIR": stat.S_IFDIR,
    "LNK": stat.S_IFLNK,
    "CHR": stat.S_IFCHR,
    "BLK": stat.S_IFBLK,
}
_TYPES |= {"FIFO": stat.S_IFIFO, "SOCK": stat.S_IFSOCK}
_FILE_SYSTEMS = ("EXT4", "EXT3", "EXT2", "NTFS", "FAT32", "FAT16", "FAT12", "EXFAT", "ISO9660", "HFS", "SWAP")
VIRTUAL = ("$OrphanFiles", "$FAT1", "$FAT2", "$MBR")


class UnknownFileSystemError(EvidenceError):
    """The Sleuth Kit cannot read this file system; another reader may."""


class SleuthKit:
    """The library and one device, opened read-only. Raises EvidenceError when it cannot be opened."""

    def __init__(self, device: Path) -> None:
        try:
            self._tsk: Any = importlib.import_module("pytsk3")
        except ImportError as error:
            raise EvidenceError("pytsk3 is not installed in the toolkit's environment; rebuild the AMI") from error
        self._device = device
        try:
            self._image = self._tsk.Img_Info(str(device))
        except OSError as error:
            raise EvidenceError(f"{device} cannot be opened: {first_line(error)}") from error
        self.bytes: int = self._image.get_size()

    def partitions(self, storage: Storage | None = None) -> list[Partition]:
        """Allocated partitions of the device or of ``storage``; one without a partition table counts as one."""
        device = "" if storage else str(self._device)
        size = storage.size if storage else self.bytes
        try:
            volume = self._tsk.Volume_Info(_image(self._tsk, storage) if storage else self._image)
        except OSError:
            return [Partition(0, 0, size, "whole disk, no partition table", device)]
        found = []
        names = partition_names.of_table(storage or Stored(str(self._device)))
        for part in volume:
            if int(part.flags) == int(self._tsk.TSK_VS_PART_FLAG_ALLOC):
                sector = volume.info.block_size
                text = part.desc.decode("utf-8", "replace")
                at = part.start * sector
                known = names.get(at, ())
                found.append(Partition(part.addr, at, part.len * sector, text, device, names=known))
        return found

    def filesystem(self, partition: Partition) -> SleuthKitFileSystem:
        """Open the file system. Raises UnknownFileSystemError when The Sleuth Kit cannot read it."""
        try:
            if partition.storage is not None or partition.device != str(self._device):
                image = _image(self._tsk, partition.contents())
                opened = self._tsk.FS_Info(image, offset=0)
            else:
                image = self._image
                opened = self._tsk.FS_Info(image, offset=partition.offset)
        except OSError as error:
            raise UnknownFileSystemError(first_line(error)) from error
        return SleuthKitFileSystem(opened, tsk=self._tsk, partition=partition, image=image)


def _image(tsk: Any, storage: Storage) -> Any:
    """An image that The Sleuth Kit reads through ``storage``."""

    class Image(tsk.Img_Info):
        def __init__(self) -> None:
            super().__init__(url="", type=tsk.TSK_IMG_TYPE_EXTERNAL)

        def close(self) -> None:
            pass

        def read(self, offset: int, size: int) -> bytes:
            return storage.read(offset, size)

        def get_size(self) -> int:
            return storage.size

    return Image()


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its type."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


class SleuthKitFileSystem:
    """One opened file system; ``problems`` collects what could not be read."""

    def __init__(self, opened: Any, *, tsk: Any, partition: Partition, image: Any) -> None:
        self._opened = opened
        self._image = image  # kept because The Sleuth Kit reads from it while the file system is open
        self._tsk = tsk
        self.partition = partition
        self.root_inode = int(opened.info.root_inum)
        self.block_size = int(opened.info.block_size)
        self.kind = self._kind()
        self.current = True
        self.problems: list[str] = []
        self._entries = 0
        self._kinds = {int(getattr(tsk, f"TSK_FS_META_TYPE_{kind}")): kind for kind in _TYPES}
        self._kinds |= {int(getattr(tsk, f"TSK_FS_META_TYPE_{kind}")): "DIR" for kind in ("VIRT_DIR",)}

    def _kind(self) -> str:
        """The type as The Sleuth Kit names it, such as ``EXT4``."""
        value = int(self._opened.info.ftype)
        for name in _FILE_SYSTEMS:
            if value == int(getattr(self._tsk, f"TSK_FS_TYPE_{name}", -1)):
                return name
        return f"type {value}"

    def walk(self) -> Iterator[Entry]:
        """All names, directories before their contents, including deleted names and orphaned inodes."""
        yield from self._walk(self.root_inode, "", seen=set(), depth=0)

    def _walk(self, inode: int, path: str, *, seen: set[int], depth: int) -> Iterator[Entry]:
        if inode in seen or depth > MAX_DEPTH or self._entries > MAX_ENTRIES:
            if self._entries > MAX_ENTRIES:
                self.problems.append(f"more than {MAX_ENTRIES} entries; the rest was skipped")
            elif depth > MAX_DEPTH:
                self.problems.append(f"folders more than {MAX_DEPTH} deep were skipped")
            return
        seen.add(inode)
        try:
            listing = list(self._opened.open_dir(inode=inode))
        except OSError as error:
            self.problems.append(f"directory {path or '/'} (inode {inode}): {first_line(error)}")
            return
        for item in listing:
            entry = self._entry(item, path)
            if entry is None:
                continue
            self._entries += 1
            if entry.name not in VIRTUAL:
                yield entry
            if entry.kind == "DIR" and (not entry.deleted or entry.name in VIRTUAL):
                yield from self._walk(entry.inode, entry.path, seen=seen, depth=depth + 1)

    def _entry(self, item: Any, folder: str) -> Entry | None:
        name = item.info.name
        if name is None or name.name in (b".", b".."):
            return None
        text = name_of(name.name)
        meta = item.info.meta
        unallocated = bool(int(name.flags) & int(self._tsk.TSK_FS_NAME_FLAG_UNALLOC))
        path = f"{folder}/{text}"
        if meta is None:
            return Entry(path, int(name.meta_addr), "?", 0, 0, 0, 0, Times(), deleted=True, filesystem=self)
        in_use = bool(int(meta.flags) & int(self._tsk.TSK_FS_META_FLAG_ALLOC))
        kind = self._kinds.get(int(meta.type), "?")
        return Entry(
            path=path,
            inode=int(meta.addr),
            kind=kind,
            mode=int(meta.mode) | _TYPES.get(kind, 0),
            uid=int(meta.uid),
            gid=int(meta.gid),
            size=int(meta.size),
            times=Times(
                modified=_ns(meta.mtime, meta.mtime_nano),
                accessed=_ns(meta.atime, meta.atime_nano),
                changed=_ns(meta.ctime, meta.ctime_nano),
                born=_ns(meta.crtime, meta.crtime_nano),
            ),
            deleted=(unallocated or not in_use) and text not in VIRTUAL,
            reused=unallocated and in_use,
            filesystem=self,
        )

    def read(self, inode: int, *, limit: int, offset: int = 0) -> bytes:
        """Content by inode. A file that cannot be read gives no bytes and is noted as a problem."""
        try:
            file = self._opened.open_meta(inode=inode)
            if link := _short_link(file.info.meta):
                return link[offset : offset + limit]
            size = min(limit, max(0, int(file.info.meta.size) - offset))
            pieces = []
            while size > 0:
                piece = file.read_random(offset, min(size, _CHUNK))
                if not piece:
                    break
                pieces.append(piece)
                offset, size = offset + len(piece), size - len(piece)
            return b"".join(pieces)
        except OSError as error:
            self.problems.append(f"inode {inode}: {first_line(error)}")
            return b""


def _short_link(meta: Any) -> bytes:
    """The target of a link that lies in its inode: its content is read as zeros, as no block holds it (ext2fs_dinode_copy)."""
    link = meta.link
    return bytes(link) if link and len(link) == int(meta.size) else b""


def _ns(seconds: int, nanoseconds: int) -> int:
    return int(seconds) * 1_000_000_000 + int(nanoseconds) if seconds else 0
