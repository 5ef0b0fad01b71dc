"""Copy-on-write over a volume: changes are kept beside it, the volume itself is only read."""

from __future__ import annotations

from pathlib import Path

from forensic_toolkit.filesystems.storage import Joined, Storage, Stored


class Overlay:
    """Changes to a volume in blocks of ``block`` bytes. A block that was never written reads as the volume has it."""

    def __init__(self, base: Storage, *, block: int) -> None:
        self.base = base
        self.block = block
        self.changed: dict[int, bytearray] = {}

    def read(self, offset: int, length: int) -> bytes:
        """Bytes with all changes; fewer at the end of the volume."""
        if not any(number in self.changed for number in self._numbers(offset, length)):
            return self.base.read(offset, length)
        parts = []
        for number in self._numbers(offset, length):
            start = number * self.block
            content = self.changed.get(number) or self.base.read(start, self.block)
            parts.append(bytes(content[max(0, offset - start) : offset + length - start]))
        return b"".join(parts)

    def write(self, offset: int, data: bytes) -> None:
        """Change bytes; those beyond the end of the volume are dropped."""
        for number in self._numbers(offset, len(data)):
            start = number * self.block
            content = self.changed.get(number)
            if content is None:
                content = bytearray(self.base.read(start, self.block))
                if not content:
                    return
                self.changed[number] = content
            first, last = max(offset, start), min(offset + len(data), start + len(content))
            if first < last:
                content[first - start : last - start] = data[first - offset : last - offset]

    def _numbers(self, offset: int, length: int) -> range:
        return range(offset // self.block, -(-(offset + length) // self.block))

    def stored(self, path: Path) -> Joined:
        """The volume with all changes; the changed blocks are written to ``path``, in the order of the volume."""
        pieces: list[tuple[int, int, int]] = []
        at = saved = 0
        with path.open("wb") as file:
            for number in sorted(self.changed):
                start, content = number * self.block, self.changed[number]
                if start > at:
                    pieces.append((0, at, start - at))
                if pieces and pieces[-1][0] == 1 and start == at:
                    pieces[-1] = (1, pieces[-1][1], pieces[-1][2] + len(content))
                else:
                    pieces.append((1, saved, len(content)))
                file.write(content)
                saved, at = saved + len(content), start + len(content)
        if at < self.base.size:
            pieces.append((0, at, self.base.size - at))
        return Joined([self.base, Stored(str(path))], pieces)
