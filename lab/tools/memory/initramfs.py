"""A cpio archive in the "newc" form, which the kernel unpacks as its first file system.

Source: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path

_ALIGN = 4


@dataclass
class Initramfs:
    """Collects entries in order; a directory must be added before what is in it."""

    mtime: int
    _parts: list[bytes] = field(default_factory=list)
    _inode: int = 0

    def directory(self, name: str, *, mode: int = 0o755) -> None:
        """Add a directory."""
        self._add(name, mode=stat.S_IFDIR | mode, data=b"")

    def file(self, name: str, data: bytes | Path, *, mode: int = 0o644, mtime: int | None = None) -> None:
        """Add a regular file from bytes or from a file here; `mtime` in seconds, else the archive's."""
        content = data.read_bytes() if isinstance(data, Path) else data
        self._add(name, mode=stat.S_IFREG | mode, data=content, mtime=mtime)

    def symlink(self, name: str, target: str) -> None:
        """Add a symbolic link."""
        self._add(name, mode=stat.S_IFLNK | 0o777, data=target.encode())

    def device(self, name: str, *, major: int, minor: int) -> None:
        """Add a character device; the kernel opens /dev/console before devtmpfs is mounted."""
        self._add(name, mode=stat.S_IFCHR | 0o600, data=b"", rdev=(major, minor))

    def pack(self) -> bytes:
        """The whole archive with its trailer."""
        return b"".join([*self._parts, self._entry("TRAILER!!!", mode=0, data=b"", rdev=(0, 0), mtime=0)])

    def _add(
        self, name: str, *, mode: int, data: bytes, rdev: tuple[int, int] = (0, 0), mtime: int | None = None
    ) -> None:
        self._inode += 1
        when = self.mtime if mtime is None else mtime
        self._parts.append(self._entry(name.lstrip("/"), mode=mode, data=data, rdev=rdev, mtime=when))

    def _entry(self, name: str, *, mode: int, data: bytes, rdev: tuple[int, int], mtime: int) -> bytes:
        raw = name.encode() + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (self._inode, mode, 0, 0, links, mtime, len(data), 0, 0, *rdev, len(raw), 0)
        header = b"070701" + b"".join(b"%08x" % value for value in fields)
        return _padded(header + raw) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % _ALIGN)
