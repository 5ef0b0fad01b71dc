"""The tree of files that a file system is written from."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Times:
    """Nanoseconds since 1970 (UTC); `deleted` only for a file that is gone."""

    accessed: int
    changed: int
    modified: int
    created: int
    deleted: int | None = None


@dataclass
class Node:
    """A directory, regular file or symbolic link; `inode` and `blocks` are set by the writer."""

    name: str
    mode: int
    times: Times
    uid: int = 0
    gid: int = 0
    data: bytes = b""
    children: dict[str, Node] = field(default_factory=dict)
    inode: int = 0
    extents: list[tuple[int, int]] = field(default_factory=list)

    @property
    def is_directory(self) -> bool:
        """True for a directory."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_symlink(self) -> bool:
        """True for a symbolic link; its target is in `data`."""
        return stat.S_ISLNK(self.mode)

    @property
    def is_deleted(self) -> bool:
        """True when only its remains are to be written."""
        return self.times.deleted is not None

    def walk(self) -> Iterator[Node]:
        """This node and everything below it; parents first, names in the order they were added."""
        yield self
        for child in self.children.values():
            yield from child.walk()
