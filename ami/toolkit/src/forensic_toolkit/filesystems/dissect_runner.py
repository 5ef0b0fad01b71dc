"""A separate program that reads one file system with dissect (XFS, btrfs and others that The Sleuth Kit cannot read).

Started by :mod:`.dissect_filesystem`; the only module that imports dissect (AGPL). It opens the device for reading only.
Usage: ``python -m forensic_toolkit.filesystems.dissect_runner FILE``, a JSON list of what
:meth:`forensic_toolkit.filesystems.storage.Storage.described` gives, one for each device of the file system. The first line of stdout is ``{"kind": ...}`` or ``{"error": ...}``. Then each
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
from pathlib import Path
from typing import Any, BinaryIO

from forensic_toolkit.filesystems.entries import MAX_DEPTH, MAX_ENTRIES
from forensic_toolkit.filesystems.storage import Storage, opened

_CHUNK = 1 << 20
_FREE = 0xFFFF
# btrfs: the number of the subvolume that holds all others, and the bits that an inode number may have here.
_TOP, _SUBVOLUME = 5, 40
_MAX_FOLDER = 64 << 20


class Volume(io.RawIOBase):
    """A seekable file over a storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._at = 0

    def readable(self) -> bool:
        """True: the volume can be read."""
        return True

    def seekable(self) -> bool:
        """True: every offset can be read."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position; returns it in bytes from the start of the volume."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._storage.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` from the position; returns the number of bytes."""
        data = self._storage.read(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class Reader:
    """One opened file system."""

    def __init__(self, volumes: list[BinaryIO]) -> None:
        from dissect.target import filesystem

        self._fs: Any = next(filesystem.open_multi_volume(volumes)) if len(volumes) > 1 else filesystem.open(volumes[0])
        self.kind: str = self._fs.__type__
        self._btrfs: Any = self._fs.btrfs if self.kind == "btrfs" else None
        if self._btrfs is not None:
            # All of it, not the subvolume that is mounted when none is named.
            self._fs = self._fs.open_subvolume(subvolid=_TOP)
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
                inode = self._number(folder, folder.lstat().st_ino)
                if inode in seen:
                    continue
                seen.add(inode)
                children = list(self._children(folder))
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

    def _children(self, folder: Any) -> Iterator[Any]:
        """What a folder holds. dissect takes a block of an XFS directory for one of the file system, which may be smaller."""
        if self._xfs is None or folder.entry.inode.di_format == 1:
            yield from folder.scandir()
            return
        content = folder.entry.open().read(_MAX_FOLDER)
        block = self._folder_block()
        for inode, name in names_in(content, block=block, has_type=bool(self._xfs._has_ftype)):
            if name not in (".", ".."):
                yield _Child(folder, name, self._xfs.get_inode(inode, name))

    def _folder_block(self) -> int:
        return int(self._xfs.block_size << self._xfs.sb.sb_dirblklog)

    def _number(self, entry: Any, inode: int) -> int:
        """The inode number; each subvolume of btrfs counts its own, so the subvolume's number is put in front."""
        if self._btrfs is None:
            return inode
        subvolume = entry.entry.subvolume.objectid
        return inode if subvolume == _TOP else subvolume << _SUBVOLUME | inode

    def subvolumes(self) -> list[dict[str, Any]]:
        """As :class:`forensic_toolkit.filesystems.entries.Subvolume`; none but on btrfs."""
        if self._btrfs is None:
            return []
        found = list(self._btrfs.subvolumes())
        numbers = {bytes(one.tree.root_item.uuid): one.objectid for one in found if any(one.tree.root_item.uuid)}
        default = self._btrfs.default_subvolume.objectid
        return [
            {
                "number": one.objectid,
                "path": one.path,
                "origin": numbers.get(bytes(one.tree.root_item.parent_uuid), 0),
                "read_only": bool(one.tree.root_item.flags & 1),
                "default": one.objectid == default,
            }
            for one in found
        ]

    def _row(self, folder: str, child: Any) -> tuple[list[Any] | None, Any]:
        path = f"{folder}/{child.name.replace('/', chr(92) + 'x2f')}"
        try:
            entry = child.get()
            facts = entry.lstat()
        except Exception as error:  # as above
            self.problems.append(f"{path}: {type(error).__name__}: {error}"[:300])
            return None, None
        inode = self._number(entry, facts.st_ino)
        if self._xfs is None and self._btrfs is None:  # those are read by inode
            self._paths.setdefault(inode, entry.path)
        born = getattr(facts, "st_birthtime_ns", 0) or 0
        times = [facts.st_mtime_ns, facts.st_atime_ns, facts.st_ctime_ns, born]
        kind = [path, inode, facts.st_mode, facts.st_uid, facts.st_gid, facts.st_size]
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
        for inode, name in freed_names(content, block=self._folder_block(), has_type=bool(self._xfs._has_ftype)):
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
        elif self._btrfs is not None:
            subvolume = inode >> _SUBVOLUME or _TOP
            node = self._btrfs.open_subvolume(subvolume).inode(inode & (1 << _SUBVOLUME) - 1)
            if node.is_symlink():
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


class _Child:
    """A name in a folder, as dissect's own scandir gives it."""

    def __init__(self, folder: Any, name: str, node: Any) -> None:
        self.name = name
        self._entry = type(folder)(folder.fs, f"{folder.path.rstrip('/')}/{name}", node)

    def get(self) -> Any:
        """The entry behind the name."""
        return self._entry


def names_in(content: bytes, *, block: int, has_type: bool) -> Iterator[tuple[int, str]]:
    """(inode number, name) of the entries in the data blocks of an XFS directory; ``block`` is the directory's own block size."""
    for start in range(0, len(content) - block + 1, block):
        data = content[start : start + block]
        at, end = _room(data)
        while at + 16 <= end:
            tag, length = struct.unpack_from(">HH", data, at)
            if tag == _FREE:
                if length < 8 or length % 8:
                    raise ValueError(f"damaged at byte {start + at}")
                at += length
                continue
            inode, size = struct.unpack_from(">QB", data, at)
            yield inode, data[at + 9 : at + 9 + size].decode("utf-8", "surrogateescape")
            at += _length(size, has_type=has_type)


def _room(data: bytes) -> tuple[int, int]:
    """Where the entries of a directory block begin and end (xfs_dir3_data_hdr, xfs_dir2_block_tail)."""
    heads = {b"XDD3": 64, b"XDB3": 64, b"XD2D": 16, b"XD2B": 16}
    end = len(data)
    at = heads.get(data[:4], end)
    if data[:4] in (b"XDB3", b"XD2B"):
        count = struct.unpack_from(">I", data, end - 8)[0]
        end = end - 8 - 8 * count if 8 * count < end else at
    return at, end


def _length(size: int, *, has_type: bool) -> int:
    return -(-(11 + size + has_type) // 8) * 8


def freed_names(content: bytes, *, block: int, has_type: bool) -> Iterator[tuple[int, str]]:
    """(low half of the inode number, name) of entries removed from XFS directory data blocks.

    Removal overwrites an entry's first four bytes (free tag and length) and its last two; the name stays.
    """
    for start in range(0, len(content) - block + 1, block):
        data = content[start : start + block]
        at, end = _room(data)
        while at + 16 <= end:
            tag, length = struct.unpack_from(">HH", data, at)
            if tag == _FREE:
                if length < 8 or length % 8 or at + length > end:
                    break
                yield from _within(data[at : at + length], has_type=has_type)
                at += length
            else:
                at += _length(data[at + 8], has_type=has_type)


def _within(room: bytes, *, has_type: bool) -> Iterator[tuple[int, str]]:
    at = 0
    while at + 16 <= len(room):
        size = room[at + 8]
        length = _length(size, has_type=has_type)
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
        with Path(argv[1]).open(encoding="ascii") as file:
            storages = [opened(description) for description in json.load(file)]
        reader = Reader([io.BufferedReader(Volume(storage), _CHUNK >> 3) for storage in storages])
        subvolumes = reader.subvolumes()
    except Exception as error:  # whatever the device holds, the answer is one line with the error
        _send({"error": f"{type(error).__name__}: {error}"[:300]})
        return 1
    _send({"kind": reader.kind, "subvolumes": subvolumes})
    sys.stdout.flush()
    for line in sys.stdin:
        _answer(reader, json.loads(line))
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
