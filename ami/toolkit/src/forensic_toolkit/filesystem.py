"""File systems of a disk image through The Sleuth Kit (pytsk3, imported only when used)."""

from __future__ import annotations

import importlib
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.times import from_ns

MAX_DEPTH = 64
MAX_ENTRIES = 3_000_000
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


@dataclass(frozen=True, slots=True)
class Times:
    """Nanoseconds since 1970; 0 when the file system has no such time."""

    modified: int = 0
    accessed: int = 0
    changed: int = 0
    born: int = 0


@dataclass(slots=True)
class Entry:
    """One name in a directory with the inode behind it."""

    path: str
    inode: int
    kind: str  # REG, DIR, LNK, CHR, BLK, FIFO, SOCK or ?
    mode: int
    uid: int
    gid: int
    size: int
    times: Times
    deleted: bool
    reused: bool = False  # a deleted name whose inode belongs to another file now: times and size are not its own
    filesystem: FileSystem | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def folder(self) -> str:
        """The path without the name; empty for the root."""
        return self.path.rsplit("/", 1)[0]

    @property
    def is_file(self) -> bool:
        """A regular file that exists."""
        return self.kind == "REG" and not self.deleted

    @property
    def is_executable(self) -> bool:
        """A regular file with an execute bit."""
        return self.is_file and bool(self.mode & 0o111)

    def modified(self) -> datetime | None:
        """mtime."""
        return from_ns(self.times.modified) if self.times.modified else None

    def changed(self) -> datetime | None:
        """ctime: cannot be set by hand."""
        return from_ns(self.times.changed) if self.times.changed else None

    def born(self) -> datetime | None:
        """crtime, or ctime where the file system keeps none."""
        return from_ns(self.times.born or self.times.changed) if self.times.born or self.times.changed else None

    def read(self, *, limit: int = 16 * _CHUNK, offset: int = 0) -> bytes:
        """Up to ``limit`` bytes of the content; what cannot be read is empty."""
        return self.filesystem.read(self.inode, limit=limit, offset=offset) if self.filesystem else b""

    def link_target(self) -> str:
        """Where a symbolic link points."""
        return self.read(limit=4096).decode("utf-8", "replace") if self.kind == "LNK" else ""

    def facts(self) -> dict[str, Any]:
        """For a finding's data."""
        return {
            "path": self.path,
            "inode": self.inode,
            "mode": f"{self.mode & 0o7777:04o}",
            "uid": self.uid,
            "gid": self.gid,
            "size": self.size,
            "modified": _text(self.modified()),
            "changed": _text(self.changed()),
            "born": _text(from_ns(self.times.born)) if self.times.born else None,
            "deleted": self.deleted,
        }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


@dataclass(frozen=True, slots=True)
class Partition:
    """A stretch of the disk; offset and length in bytes."""

    number: int
    offset: int
    length: int
    description: str


class Disk:
    """An image or block device, opened read-only. Raises EvidenceError when pytsk3 cannot open it."""

    def __init__(self, device: Path) -> None:
        try:
            self._tsk: Any = importlib.import_module("pytsk3")
        except ImportError as error:
            raise EvidenceError("pytsk3 is not installed in the toolkit's environment; rebuild the AMI") from error
        try:
            self._image = self._tsk.Img_Info(str(device))
        except OSError as error:
            raise EvidenceError(f"{device} cannot be opened: {_first_line(error)}") from error
        self.bytes: int = self._image.get_size()

    def partitions(self) -> list[Partition]:
        """Allocated partitions; a disk without a partition table is one."""
        try:
            volume = self._tsk.Volume_Info(self._image)
        except OSError:
            return [Partition(0, 0, self.bytes, "whole disk, no partition table")]
        found = []
        for part in volume:
            if int(part.flags) == int(self._tsk.TSK_VS_PART_FLAG_ALLOC):
                size = volume.info.block_size
                text = part.desc.decode("utf-8", "replace")
                found.append(Partition(part.addr, part.start * size, part.len * size, text))
        return found

    def filesystem(self, partition: Partition) -> FileSystem:
        """Open the file system. Raises EvidenceError when The Sleuth Kit does not know it."""
        try:
            opened = self._tsk.FS_Info(self._image, offset=partition.offset)
        except OSError as error:
            head = self._image.read(partition.offset, 512)
            raise EvidenceError(f"{guess_content(head)} ({_first_line(error)})") from error
        return FileSystem(opened, tsk=self._tsk, partition=partition)


def guess_content(head: bytes) -> str:
    """What the first sector says about a file system that cannot be read."""
    known = {b"XFSB": "XFS, which The Sleuth Kit does not read", b"LUKS": "LUKS, encrypted"}
    for magic, name in known.items():
        if head.startswith(magic):
            return name
    if b"LVM2" in head or b"LABELONE" in head:
        return "LVM physical volume, not assembled"
    return "empty" if not any(head) else "no known file system"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


class FileSystem:
    """One opened file system; ``problems`` collects what could not be read."""

    def __init__(self, opened: Any, *, tsk: Any, partition: Partition) -> None:
        self._opened = opened
        self._tsk = tsk
        self.partition = partition
        self.root_inode = int(opened.info.root_inum)
        self.block_size = int(opened.info.block_size)
        self.problems: list[str] = []
        self._entries = 0
        self._kinds = {int(getattr(tsk, f"TSK_FS_META_TYPE_{kind}")): kind for kind in _TYPES}
        self._kinds |= {int(getattr(tsk, f"TSK_FS_META_TYPE_{kind}")): "DIR" for kind in ("VIRT", "VIRT_DIR")}

    @cached_property
    def kind(self) -> str:
        """``EXT4`` and so on, in The Sleuth Kit's words."""
        value = int(self._opened.info.ftype)
        for name in _FILE_SYSTEMS:
            if value == int(getattr(self._tsk, f"TSK_FS_TYPE_{name}", -1)):
                return name
        return f"type {value}"

    def walk(self) -> Iterator[Entry]:
        """Every name, deleted ones and orphaned inodes included, directories before their contents."""
        yield from self._walk(self.root_inode, "", seen=set(), depth=0)

    def _walk(self, inode: int, path: str, *, seen: set[int], depth: int) -> Iterator[Entry]:
        if inode in seen or depth > MAX_DEPTH or self._entries > MAX_ENTRIES:
            if self._entries > MAX_ENTRIES:
                self.problems.append(f"more than {MAX_ENTRIES} entries; the rest was left out")
            return
        seen.add(inode)
        try:
            listing = list(self._opened.open_dir(inode=inode))
        except OSError as error:
            self.problems.append(f"directory {path or '/'} (inode {inode}): {_first_line(error)}")
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
        text = name.name.decode("utf-8", "backslashreplace")
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
        """Content by inode. A file that cannot be read is noted as a problem and gives nothing."""
        try:
            file = self._opened.open_meta(inode=inode)
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
            self.problems.append(f"inode {inode}: {_first_line(error)}")
            return b""


def _ns(seconds: int, nanoseconds: int) -> int:
    return int(seconds) * 1_000_000_000 + int(nanoseconds) if seconds else 0
