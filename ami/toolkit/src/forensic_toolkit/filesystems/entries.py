"""The common form of every file system: entries with their inodes, and content by inode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from forensic_toolkit.filesystems.storage import Storage, Stored, part_of
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
    # Where ``seen`` is kept: entries of a table share one list of marks (filesystems.entry_table).
    marks: bytearray = field(default_factory=lambda: bytearray(1), repr=False, compare=False)
    number: int = field(default=0, repr=False, compare=False)

    @property
    def seen(self) -> bool:
        """A reader had its content, or a rule decided on it otherwise: what the artifact's state in the results is made of."""
        return bool(self.marks[self.number])

    @seen.setter
    def seen(self, value: bool) -> None:
        self.marks[self.number] = value

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def folder(self) -> str:
        """The path without the name; empty for the root."""
        return self.path.rsplit("/", 1)[0]

    @property
    def is_gone(self) -> bool:
        """A deleted name that cannot be alive in a journal that was not replayed."""
        return self.deleted and (self.filesystem is None or self.filesystem.current)

    @property
    def fate(self) -> str:
        """Words behind the path of a deleted name; empty for one that exists."""
        return (
            "" if not self.deleted else " (deleted)" if self.is_gone else " (deleted, unless the journal restores it)"
        )

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
        data = self.filesystem.read(self.inode, limit=limit, offset=offset) if self.filesystem else b""
        self.seen = self.seen or bool(data)
        return data

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
    """A volume that may hold a file system: a partition, an array, a logical volume, or the whole disk; offset and length in bytes."""

    number: int
    offset: int
    length: int
    description: str
    device: str = ""
    # The bytes, when they are not simply a part of the device, and those of the other devices of the same file system.
    storage: Storage | None = field(default=None, repr=False, compare=False)
    more: tuple[Storage, ...] = field(default=(), repr=False, compare=False)
    names: tuple[str, ...] = field(default=(), compare=False)  # by the partition table, as fstab may name it

    def contents(self) -> Storage:
        """Its bytes. Raises OSError when the device cannot be opened."""
        return self.storage or part_of(Stored(self.device), self.offset, self.length)

    def over(self, storage: Storage, *, more: tuple[Storage, ...] = ()) -> Partition:
        """The same volume with other bytes: those of an overlay."""
        return replace(self, storage=storage, more=more)

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


@dataclass(frozen=True, slots=True)
class Subvolume:
    """A subvolume of btrfs: its path within the file system (without a slash in front), and the number of what it is a snapshot of.

    ``origin`` is 0 when it is no snapshot; ``default`` marks the one that is mounted when none is named.
    """

    number: int
    path: str
    origin: int
    read_only: bool
    default: bool


class FileSystem(Protocol):
    """An opened file system; ``problems`` collects what could not be read.

    ``current`` is False when changes are missing (a journal that was not replayed): what looks deleted may not be.
    """

    partition: Partition
    current: bool
    kind: str
    root_inode: int
    block_size: int
    problems: list[str]

    def walk(self) -> Iterator[Entry]:
        """All names, directories before their contents, and the deleted names that the reader finds."""

    def read(self, inode: int, *, limit: int, offset: int = 0) -> bytes:
        """Content by inode; a file that cannot be read gives no bytes and is noted as a problem."""
