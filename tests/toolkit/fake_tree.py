"""A tree of files without a disk: entries with given contents."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime

from forensic_toolkit.filesystems.entries import Entry, Partition, Times
from forensic_toolkit.filesystems.tree import Tree

INSTALLED = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 10, 12, 0, 0, 123_457, tzinfo=UTC)


def ns(moment: datetime) -> int:
    """Nanoseconds since 1970, exact to the microsecond."""
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000


@dataclass
class Contents:
    """Takes the place of an opened file system."""

    by_inode: dict[int, bytes] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    current: bool = True
    partition: Partition = field(default_factory=lambda: Partition(1, 0, 0, "root"))

    def read(self, inode: int, *, limit: int, offset: int = 0) -> bytes:
        """As FileSystem.read."""
        return self.by_inode.get(inode, b"")[offset : offset + limit]


class Builder:
    """Adds files to a system that was installed on the first of January."""

    def __init__(self) -> None:
        self._contents = Contents()
        self._entries: list[Entry] = []
        for number in range(30):
            self.add(f"/usr/bin/tool{number}", b"\x7fELF", mode=0o755, born=INSTALLED)
        self.add("/usr/bin/bash", b"\x7fELF shell", mode=0o755, born=INSTALLED)
        self.add("/etc/passwd", b"root:x:0:0:root:/root:/bin/bash\n", born=INSTALLED)

    def add(
        self,
        path: str,
        content: bytes = b"",
        *,
        mode: int = 0o644,
        born: datetime = LATER,
        modified: datetime | None = None,
        accessed: datetime | None = None,
        link: str | None = None,
        deleted: bool = False,
    ) -> Builder:
        """Add an entry; a later one replaces an earlier one of the same path."""
        inode = 100 + len(self._contents.by_inode)
        body = link.encode() if link else content
        self._contents.by_inode[inode] = body
        kind, bits = ("LNK", stat.S_IFLNK) if link else ("REG", stat.S_IFREG)
        times = Times(ns(modified or born), ns(accessed or born), ns(born), ns(born))
        self._entries = [entry for entry in self._entries if entry.path != path]
        self._entries.append(
            Entry(path, inode, kind, mode | bits, 0, 0, len(body), times, deleted, filesystem=self._contents)  # type: ignore[arg-type]
        )
        return self

    def tree(self) -> Tree:
        """The tree."""
        return Tree(self._entries)
