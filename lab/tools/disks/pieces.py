"""A file that lies in pieces of another one: what writes a file system need not know about logical volumes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Buffer  # Python 3.12


class Pieces(io.RawIOBase):
    """Writable and seekable; `pieces` are (offset, length) of `out` in order."""

    def __init__(self, out: BinaryIO, pieces: Sequence[tuple[int, int]]) -> None:
        self._out, self._pieces, self._at = out, tuple(pieces), 0

    @property
    def size(self) -> int:
        """Length of all pieces."""
        return sum(length for _, length in self._pieces)

    def writable(self) -> bool:
        """True: this is a file to write."""
        return True

    def seekable(self) -> bool:
        """True: the file can be positioned, though only to the start."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """From the start only, which is all that a writer of file systems needs."""
        if whence != io.SEEK_SET:
            raise OSError("seeking is possible from the start only")
        self._at = offset
        return offset

    def write(self, data: Buffer) -> int:
        """All of it, wherever it belongs."""
        view, done, start = memoryview(data).cast("B"), 0, 0
        for offset, length in self._pieces:
            inside = self._at + done - start
            if done < len(view) and 0 <= inside < length:
                count = min(length - inside, len(view) - done)
                self._out.seek(offset + inside)
                self._out.write(view[done : done + count])
                done += count
            start += length
        if done < len(view):
            raise OSError(f"{len(view) - done} bytes do not fit into {self.size}")
        self._at += done
        return done
