"""A separate program that reads one file system with dissect (XFS, btrfs and others that The Sleuth Kit cannot read).

Started by :mod:`.dissect_filesystem`; the only module that imports dissect (AGPL). It opens the device for reading only.
Usage: ``python -m forensic_toolkit.filesystems.dissect_runner DEVICE PIECES``, PIECES being JSON
``[[offset, length], ...]`` in bytes. The first line of stdout is ``{"kind": ...}`` or ``{"error": ...}``. Then each
line of stdin is a request:

``{"walk": true}``
    one JSON list per name, ``[path, inode, mode, uid, gid, size, mtime, atime, ctime, crtime, deleted]`` (times in
    nanoseconds, undecodable bytes of names as surrogates), and at the end ``{"end": count, "problems": [...]}``.
``{"read": inode, "offset": o, "limit": n}``
    ``{"bytes": n, "error": text or null}`` and then n bytes.
"""

from __future__ import annotations

import io
import json
import os
import stat
import struct
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

from forensic_toolkit.filesystems.entries import MAX_DEPTH, MAX_ENTRIES
from forensic_toolkit.filesystems.extents import Extents

_CHUNK = 1 << 20
_FREE = 0xFFFF
_MAX_FOLDER = 64 << 20


class Volume(io.RawIOBase):
    """A seekable file over the parts of a device."""

    def __init__(self, device: str, extents: Extents) -> None:
        self._descriptor = os.open(device, os.O_RDONLY)
        self._extents = extents
        self._at = 0

    def readable(self) -> bool:
        """True: the volume can be read."""
        return True

    def seekable(self) -> bool:
        """True: every offset can be read."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position; returns it in bytes from the start of the volume."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._extents.bytes}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` from the position; returns the number of bytes."""
        data = self._extents.read(self._descriptor, offset=self._at, length=len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class Reader:
    """One opened file system."""

    def __init__(self, volume: BinaryIO) -> None:
        from dissect.target import filesystem

        self._fs: Any = filesystem.open(volume)
        self.kind: str = self._fs.__type__
        self._xfs: Any = self._fs.xfs if self.kind == "xfs" else None
        self._paths: dict[int, str] = {}
        self._count = 0
        self.problems: list[str] = []

    def walk(self) -> Iterator[list[Any]]:
        """All names, folders before their contents."""
        waiting: list[tuple[str, Any, int]] = [("", self._fs.get("/"), 0)]
        seen: set[int] = set()
        while waiting:
            path, folder, depth = waiting.pop()
            try:
                inode = folder.lstat().st_ino
                if inode in seen:
                    continue
                seen.add(inode)
                children = list(folder.scandir())
            except Exception as error:  # a damaged directory may raise anything in dissect; the others are still read
                self.problems.append(f"directory {path or '/'}: {type(error).__name__}: {error}"[:300])
                continue
            for child in children:
                row, entry = self._row(path, child)
                if row is None:
                    continue
                yield row
                self._count += 1
                if self._count > MAX_ENTRIES:
                    self.problems.append(f"more than {MAX_ENTRIES} entries; the rest was skipped")
                    return
                if stat.S_ISDIR(row[2]):
                    if depth >= MAX_DEPTH:
                        self.problems.append(f"folders more than {MAX_DEPTH} deep were skipped")
                    else:
                        waiting.append((row[0], entry, depth + 1))
            yield from self._deleted(path, folder, known={child.name for child in children})

    def _row(self, folder: str, child: Any) -> tuple[list[Any] | None, Any]:
        path = f"{folder}/{child.name.replace('/', chr(92) + 'x2f')}"
        try:
            entry = child.get()
            facts = entry.lstat()
        except Exception as error:  # as above
            self.problems.append(f"{path}: {type(error).__name__}: {error}"[:300])
            return None, None
        self._paths.setdefault(facts.st_ino, entry.path)
        born = getattr(facts, "st_birthtime_ns", 0) or 0
        times = [facts.st_mtime_ns, facts.st_atime_ns, facts.st_ctime_ns, born]
        kind = [path, facts.st_ino, facts.st_mode, facts.st_uid, facts.st_gid, facts.st_size]
        return [*kind, *times, 0], entry

    def _deleted(self, path: str, folder: Any, *, known: set[str]) -> Iterator[list[Any]]:
        """Names left in the free space of an XFS directory block (kernel: xfs_dir2_data_unused, fs/xfs/xfs_da_format.h)."""
        if self._xfs is None or folder.entry.inode.di_format == 1:
            return  # a short directory lies in its inode and is rewritten when a name is removed
        try:
            content = folder.entry.open().read(_MAX_FOLDER)
        except Exception as error:  # as above
            self.problems.append(f"free space of {path or '/'}: {type(error).__name__}: {error}"[:300])
            return
        for inode, name in freed_names(content, block=self._xfs.block_size, has_type=bool(self._xfs._has_ftype)):
            if name not in known:
                known.add(name)
                yield [f"{path}/{name}", inode, 0, 0, 0, 0, 0, 0, 0, 0, 1]

    def read(self, inode: int, *, offset: int, limit: int) -> bytes:
        """Content of a file, or target of a link, by inode."""
        if self._xfs is not None:
            node = self._xfs.get_inode(inode)
            if stat.S_ISLNK(node.inode.di_mode):
                return str(node.link).encode("utf-8", "surrogateescape")[offset : offset + limit]
            stream = node.open()
        else:
            entry = self._fs.get(self._paths[inode])
            if entry.is_symlink():
                return str(entry.readlink()).encode("utf-8", "surrogateescape")[offset : offset + limit]
            stream = entry.open()
        stream.seek(offset)
        parts = []
        while limit and (part := stream.read(min(limit, _CHUNK))):
            parts.append(part)
            limit -= len(part)
        return b"".join(parts)


def freed_names(content: bytes, *, block: int, has_type: bool) -> Iterator[tuple[int, str]]:
    """(low half of the inode number, name) of entries removed from XFS directory data blocks.

    Removal overwrites an entry's first four bytes (free tag and length) and its last two; the name stays.
    """
    heads = {b"XDD3": 64, b"XDB3": 64, b"XD2D": 16, b"XD2B": 16}
    for start in range(0, len(content) - block + 1, block):
        data = content[start : start + block]
        at = heads.get(data[:4], block)
        end = block
        if data[:4] in (b"XDB3", b"XD2B"):
            count = struct.unpack_from(">I", data, block - 8)[0]
            end = block - 8 - 8 * count if 8 * count < block else at
        while at + 16 <= end:
            tag, length = struct.unpack_from(">HH", data, at)
            if tag == _FREE:
                if length < 8 or length % 8 or at + length > end:
                    break
                yield from _within(data[at : at + length], has_type=has_type)
                at += length
            else:
                at += -(-(11 + data[at + 8] + has_type) // 8) * 8


def _within(room: bytes, *, has_type: bool) -> Iterator[tuple[int, str]]:
    at = 0
    while at + 16 <= len(room):
        size = room[at + 8]
        length = -(-(11 + size + has_type) // 8) * 8
        name = room[at + 9 : at + 9 + size]
        inode = struct.unpack_from(">I", room, at + 4)[0]
        # Free space that never held a name is zero; a remainder whose start a neighbour overwrote is not a name.
        if not size or not inode or at + length > len(room) or b"/" in name or b"\0" in name:
            return
        yield inode, name.decode("utf-8", "surrogateescape")
        at += length


def _send(value: Any) -> None:
    sys.stdout.buffer.write(json.dumps(value).encode("ascii") + b"\n")


def _answer(reader: Reader, request: dict[str, Any]) -> None:
    if "walk" in request:
        count = 0
        for row in reader.walk():
            _send(row)
            count += 1
        _send({"end": count, "problems": reader.problems})
        return
    try:
        data, error = reader.read(request["read"], offset=request["offset"], limit=request["limit"]), None
    except Exception as failure:  # the caller names the file in its own message
        data, error = b"", f"{type(failure).__name__}: {failure}"[:300]
    _send({"bytes": len(data), "error": error})
    sys.stdout.buffer.write(data)


def main(argv: list[str]) -> int:
    """Answer requests until stdin ends."""
    try:
        reader = Reader(io.BufferedReader(Volume(argv[1], Extents(json.loads(argv[2]))), _CHUNK >> 3))
    except Exception as error:  # whatever the device holds, the answer is one line with the error
        _send({"error": f"{type(error).__name__}: {error}"[:300]})
        return 1
    _send({"kind": reader.kind})
    sys.stdout.flush()
    for line in sys.stdin:
        _answer(reader, json.loads(line))
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
