"""The common form of every file system: entries with their inodes, and content by inode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from forensic_toolkit.filesystems.extents import Extents
from forensic_toolkit.times import from_ns

MAX_DEPTH = 64
MAX_ENTRIES = 3_000_000
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Times:
    """Nanoseconds since 1970; 0 when the file system does not keep that time."""

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
    reused: bool = False  # a deleted name whose inode was given to another file: times and size belong to that one
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
        """The change time (ctime), which programs cannot set."""
        return from_ns(self.times.changed) if self.times.changed else None

    def born(self) -> datetime | None:
        """The creation time, or the change time where the file system keeps none."""
        return from_ns(self.times.born or self.times.changed) if self.times.born or self.times.changed else None

    def read(self, *, limit: int = 16 * _MIB, offset: int = 0) -> bytes:
        """At most ``limit`` bytes of the content; empty when it cannot be read."""
        return self.filesystem.read(self.inode, limit=limit, offset=offset) if self.filesystem else b""

    def link_target(self) -> str:
        """The target of a symbolic link."""
        return self.read(limit=4096).decode("utf-8", "replace") if self.kind == "LNK" else ""

    def facts(self) -> dict[str, Any]:
        """The entry's metadata, for the data of a finding."""
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


def name_of(raw: bytes) -> str:
    """A name as text, with slashes escaped: a slash in a name can only be an attack on code that joins paths."""
    return raw.decode("utf-8", "backslashreplace").replace("/", "\\x2f")


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


@dataclass(frozen=True, slots=True)
class Partition:
    """A volume that may hold a file system: a partition, a logical volume, or the whole disk; offset and length in bytes."""

    number: int
    offset: int
    length: int
    description: str
    pieces: tuple[tuple[int, int], ...] = ()  # (offset, length) on the device, when it is not contiguous

    def extents(self) -> Extents:
        """The parts of the device that hold its bytes."""
        return Extents(self.pieces or [(self.offset, self.length)])

    @property
    def label(self) -> str:
        """For people."""
        return f"partition {self.number} ({self.description or 'no name'}, {self.length} bytes)"


@dataclass(frozen=True, slots=True)
class Identity:
    """A file system's own UUID, label and number of inodes in use (None where it keeps no such count)."""

    uuid: str = ""
    label: str = ""
    used_inodes: int | None = None


class FileSystem(Protocol):
    """An opened file system; ``problems`` collects what could not be read."""

    partition: Partition
    kind: str
    root_inode: int
    block_size: int
    problems: list[str]

    def walk(self) -> Iterator[Entry]:
        """All names, directories before their contents, and the deleted names that the reader finds."""

    def read(self, inode: int, *, limit: int, offset: int = 0) -> bytes:
        """Content by inode; a file that cannot be read gives no bytes and is noted as a problem."""
