"""The bytes of a volume, wherever they lie: on a device, in pieces of several devices, in an overlay.

Everything here only reads. A storage can be described as JSON and opened again in another program (:func:`opened`), so that a
reader in a process of its own sees the same bytes.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Protocol

# Number of a part that is not stored anywhere: it reads as zeros.
ZEROS = -1
# A request to the program behind a :class:`Served` storage: offset and length in bytes. The answer is a length (4 bytes) and the bytes.
SERVED = struct.Struct("<QI")
_MOST_SERVED = 4 << 20


class Storage(Protocol):
    """A readable range of bytes; ``size`` is its length in bytes."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset``; fewer only where the storage ends."""

    def described(self) -> dict[str, Any]:
        """A JSON form from which :func:`opened` makes the same storage."""


class Stored:
    """A device or file, opened for reading only. Raises OSError when it cannot be opened."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY)
        self.size = os.lseek(self._descriptor, 0, os.SEEK_END)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def read(self, offset: int, length: int) -> bytes:
        """As Storage.read; shorter when the device ends early."""
        parts: list[bytes] = []
        while length > 0:
            part = os.pread(self._descriptor, length, offset)
            if not part:
                break
            parts.append(part)
            offset, length = offset + len(part), length - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def described(self) -> dict[str, Any]:
        """As Storage.described."""
        return {"kind": "file", "path": self.path}


class Joined:
    """Pieces of other storages in order, each as (number of the part, offset, length); part ZEROS is not stored anywhere."""

    def __init__(self, parts: Sequence[Storage], pieces: Sequence[tuple[int, int, int]]) -> None:
        self.parts = tuple(parts)
        self.pieces = tuple(pieces)
        self._starts = [0, *accumulate(length for _, _, length in pieces)]
        self.size = self._starts[-1]

    def read(self, offset: int, length: int) -> bytes:
        """As Storage.read."""
        end = min(offset + length, self.size)
        index = bisect_right(self._starts, offset) - 1
        found: list[bytes] = []
        while offset < end:
            part, start, size = self.pieces[index]
            inside = offset - self._starts[index]
            count = min(size - inside, end - offset)
            piece = bytes(count) if part == ZEROS else self.parts[part].read(start + inside, count)
            found.append(piece)
            if len(piece) < count:
                break  # the device ends before the volume does
            offset, index = offset + count, index + 1
        return found[0] if len(found) == 1 else b"".join(found)

    def described(self) -> dict[str, Any]:
        """As Storage.described."""
        return {"kind": "joined", "parts": [part.described() for part in self.parts], "pieces": self.pieces}


class Striped:
    """A volume whose chunks of ``chunk`` bytes take turns on its members, by the levels and layouts of Linux md.

    ``level`` is 0, 1, 4, 5, 6 or 10; a member that is not there is None, and only a mirrored one is done without. Source: the
    kernel's drivers/md/raid0.c, raid5.c (raid5_compute_sector) and raid10.c (__raid10_find_phys).
    """

    def __init__(self, members: Sequence[Storage | None], *, chunk: int, level: int, layout: int, size: int) -> None:
        self.members, self.chunk, self.level, self.layout, self.size = tuple(members), chunk, level, layout, size
        self._place = {0: self._turns, 1: self._mirror, 10: self._copies}.get(level, self._parity)

    def read(self, offset: int, length: int) -> bytes:
        """As Storage.read."""
        end, found = min(offset + length, self.size), []
        while offset < end:
            number, inside = divmod(offset, self.chunk)
            count = min(self.chunk - inside, end - offset)
            member, row = self._place(number)
            if member is None:
                break
            piece = member.read(row * self.chunk + inside, count)
            found.append(piece)
            if len(piece) < count:
                break
            offset += count
        return found[0] if len(found) == 1 else b"".join(found)

    def _mirror(self, number: int) -> tuple[Storage | None, int]:
        return next((member for member in self.members if member is not None), None), number

    def _turns(self, number: int) -> tuple[Storage | None, int]:
        row, member = divmod(number, len(self.members))
        return self.members[member], row

    def _copies(self, number: int) -> tuple[Storage | None, int]:
        near, offset = self.layout & 0xFF, bool(self.layout & 0x10000)
        row, member = divmod(number * near, len(self.members))
        row *= (self.layout >> 8 & 0xFF) if offset else 1
        for _ in range(near):
            if self.members[member] is not None:
                return self.members[member], row
            member, row = (0, row + 1) if member + 1 == len(self.members) else (member + 1, row)
        return None, 0

    def _parity(self, number: int) -> tuple[Storage | None, int]:
        count, spare = len(self.members), 2 if self.level == 6 else 1
        row, place = divmod(number, count - spare)
        layout = 5 if self.level == 4 else self.layout
        if layout == 5:  # parity on the last ones
            return self.members[place], row
        if layout == 4:  # parity on the first ones
            return self.members[place + spare], row
        first = row % count if layout in (1, 3) else count - 1 - row % count
        if layout in (2, 3):  # symmetric: data begins behind the parity
            return self.members[(first + spare + place) % count], row
        if spare == 2 and first == count - 1:
            return self.members[place + 1], row
        return self.members[place + spare if place >= first else place], row

    def described(self) -> dict[str, Any]:
        """As Storage.described."""
        members = [member.described() if member else None for member in self.members]
        numbers = {"chunk": self.chunk, "level": self.level, "layout": self.layout, "size": self.size}
        return {"kind": "striped", "members": members, **numbers}


class Served:
    """Bytes that another program gives over a Unix socket (:mod:`.luks_runner`). Raises OSError when that program has ended."""

    def __init__(self, path: str, size: int) -> None:
        self.path, self.size = path, size
        self._socket: socket.socket | None = None
        self._turn = threading.Lock()

    def read(self, offset: int, length: int) -> bytes:
        """As Storage.read."""
        end, found = min(offset + length, self.size), []
        with self._turn:
            while offset < end:
                piece = self._piece(offset, min(end - offset, _MOST_SERVED))
                if not piece:
                    break
                found.append(piece)
                offset += len(piece)
        return found[0] if len(found) == 1 else b"".join(found)

    def _piece(self, offset: int, length: int) -> bytes:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.connect(self.path)
        self._socket.sendall(SERVED.pack(offset, length))
        return self._exactly(int.from_bytes(self._exactly(4), "little"))

    def _exactly(self, count: int) -> bytes:
        found = bytearray()
        while self._socket is not None and len(found) < count:
            part = self._socket.recv(count - len(found))
            if not part:
                raise OSError(f"the program behind {self.path} has ended")
            found += part
        return bytes(found)

    def described(self) -> dict[str, Any]:
        """As Storage.described."""
        return {"kind": "served", "path": self.path, "size": self.size}


def part_of(whole: Storage, offset: int, length: int) -> Joined:
    """A contiguous part of a storage."""
    return Joined([whole], [(0, offset, length)])


def opened(description: dict[str, Any]) -> Storage:
    """The storage that ``described`` gave. Raises OSError when a file cannot be opened, KeyError for an unknown kind."""
    return _KINDS[description["kind"]](description)


def _joined(description: dict[str, Any]) -> Storage:
    parts = [opened(part) for part in description["parts"]]
    return Joined(parts, [(part, offset, length) for part, offset, length in description["pieces"]])


def _stored(description: dict[str, Any]) -> Storage:
    return Stored(description["path"])


def _striped(description: dict[str, Any]) -> Storage:
    members = [opened(member) if member else None for member in description["members"]]
    numbers = {name: description[name] for name in ("chunk", "level", "layout")}
    return Striped(members, **numbers, size=description["size"])


def _served(description: dict[str, Any]) -> Storage:
    return Served(description["path"], description["size"])


_KINDS = {"file": _stored, "served": _served, "joined": _joined, "striped": _striped}
