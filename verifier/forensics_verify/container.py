"""A bundle's files, from a folder or from a tar archive that is read in place and never unpacked.

Every byte of an archive is accounted for: headers must be the ones that the format prescribes for the name and size,
padding must be zero, nothing may follow the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

CHUNK = 1024 * 1024
_BLOCK, _NAME, _PREFIX = 512, 100, 155


class ContainerError(ValueError):
    """The bundle cannot be read as a bundle; ``part`` names where it is damaged."""

    def __init__(self, part: str, what: str) -> None:
        super().__init__(f"{part}: {what}")
        self.part, self.what = part, what


class Container(Protocol):
    """Named files of known size."""

    def names(self) -> list[str]:
        """Every file's name."""

    def size(self, name: str) -> int:
        """A file's size in bytes."""

    def stream(self, name: str) -> Iterator[bytes]:
        """A file's bytes in pieces."""


def read(container: Container, name: str, *, limit: int) -> bytes:
    """A small file whole. Raises :class:`ContainerError` when it is larger than ``limit`` bytes."""
    if container.size(name) > limit:
        raise ContainerError(name, f"{container.size(name)} bytes; at most {limit} are expected")
    return b"".join(container.stream(name))


def open_bundle(path: Path) -> Container:
    """The bundle at ``path``: a folder or an archive. Raises :class:`ContainerError`."""
    if path.is_dir():
        return Folder(path)
    if path.is_file():
        return Archive(path)
    raise ContainerError(str(path), "no such file or folder")


class Folder:
    """An unpacked bundle."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names = []
        for item in sorted(root.rglob("*")):
            name = item.relative_to(root).as_posix()
            if item.is_symlink() or not (item.is_file() or item.is_dir()):
                raise ContainerError(name, "is neither a file nor a folder; a bundle holds nothing else")
            if item.is_file():
                self._names.append(name)

    def names(self) -> list[str]:
        """Every file's name."""
        return list(self._names)

    def size(self, name: str) -> int:
        """A file's size in bytes."""
        return (self._root / name).stat().st_size

    def stream(self, name: str) -> Iterator[bytes]:
        """A file's bytes in pieces."""
        with (self._root / name).open("rb") as file:
            while piece := file.read(CHUNK):
                yield piece


class Archive:
    """A tar archive; the table of contents is read and checked when it is opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[str, tuple[int, int]] = {}
        total = path.stat().st_size
        with path.open("rb") as file:
            end = self._contents(file, total)
            _only_zeros(file, end, total, "the archive's end")
            if total - end < 2 * _BLOCK:
                raise ContainerError("the archive's end", f"is cut off at byte {total}")

    def _contents(self, file: BinaryIO, total: int) -> int:
        """Read all headers; returns where the last file ends."""
        position = 0
        while position + _BLOCK <= total:
            file.seek(position)
            if not any(file.read(_BLOCK)):
                return position
            position = self._member(file, position, total)
        return position

    def _member(self, file: BinaryIO, position: int, total: int) -> int:
        file.seek(position)
        block = file.read(_BLOCK)
        name, size = _name(block), _size(block)
        if not name or header(name, size) != block:
            part = name or f"the archive at byte {position}"
            raise ContainerError(part, "its header in the archive is not the one that the bundle format prescribes")
        if name in self._places:
            raise ContainerError(name, "occurs twice in the archive")
        start = position + _BLOCK
        if start + size > total:
            raise ContainerError(name, f"is cut off: the archive ends at byte {total}")
        self._places[name] = (start, size)
        end = start + -(-size // _BLOCK) * _BLOCK
        _only_zeros(file, start + size, min(end, total), name)
        return end

    def names(self) -> list[str]:
        """Every file's name."""
        return list(self._places)

    def size(self, name: str) -> int:
        """A file's size in bytes."""
        return self._places[name][1]

    def stream(self, name: str) -> Iterator[bytes]:
        """A file's bytes in pieces."""
        start, left = self._places[name]
        with self._path.open("rb") as file:
            file.seek(start)
            while left and (piece := file.read(min(CHUNK, left))):
                left -= len(piece)
                yield piece


def header(name: str, size: int) -> bytes:
    """The one header (POSIX ustar) that a bundle's file may have: mode 0444, no owner, time zero.

    A size from 8 GiB on is written in base 256, as GNU tar does.
    """
    folder, base = "", name
    while len(base) > _NAME and "/" in base and len(folder) < _PREFIX:
        first, base = base.split("/", 1)
        folder = f"{folder}/{first}" if folder else first
    block = bytearray(_BLOCK)
    octal = size < 8**11
    fields = {
        0: base.encode("ascii", "replace"),
        100: b"0000444\0" + b"0000000\0" * 2,
        124: b"%011o\0" % size if octal else b"\x80" + size.to_bytes(11, "big"),
        136: b"00000000000\0" + b" " * 8 + b"0",
        257: b"ustar\x0000",
        345: folder.encode("ascii", "replace"),
    }
    for place, value in fields.items():
        block[place : place + len(value)] = value
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _name(block: bytes) -> str:
    base, folder = (block[a:b].split(b"\0", 1)[0].decode("latin-1") for a, b in ((0, 100), (345, 500)))
    return f"{folder}/{base}" if folder else base


def _size(block: bytes) -> int:
    field = block[124:136]
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.rstrip(b"\0")
    return int(digits, 8) if digits and not digits.strip(b"01234567") else 0


def _only_zeros(file: BinaryIO, start: int, end: int, part: str) -> None:
    file.seek(start)
    while start < end:
        piece = file.read(min(CHUNK, end - start))
        if not piece or any(piece):
            raise ContainerError(part, f"bytes that belong to nothing, from byte {start} of the archive")
        start += len(piece)
