"""The archive of a live response, read while it is stored: is it whole, and is it what its index says? Pure.

Root on the target writes every byte of it, so the reader keeps no more than one block, the index and a digest of each
member, and stops at its limits. Form: POSIX ustar (IEEE Std 1003.1, pax, "ustar Interchange Format"); docs/memory.md has
the index.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

BLOCK = 512
MEMBERS = 4_096  # (about eighty, and three of each suspicious process)
INDEX_LIMIT = 4 * 1024 * 1024  # bytes of all indexes together (10 KiB)
INDEX = re.compile(r"index(-\d{1,4})?\.tsv")
WHOLE_INDEX = "index.tsv"
SHOWN = 5  # problems that are named
KEPT_OF_ONE, KEPT = 8 * 1024 * 1024, 48 * 1024 * 1024  # bytes of members that a reader wants, of one and of all
_NAME = re.compile(r"[A-Za-z0-9._-]{1,99}")
_FIELDS = 7  # name, begun, ended, exit, bytes, SHA-256, state and why


@dataclass(frozen=True)
class Item:
    """One line of the index: what the target says of a member. ``state``: present, absent, failed, cut."""

    name: str
    size: int
    sha256: str
    state: str
    why: str = ""


@dataclass
class LiveArchive:
    """What is in an archive that passes through :meth:`through`; then :meth:`problems`.

    ``keep`` says of a member's name whether its first bytes are wanted in ``kept``.
    """

    members: dict[str, tuple[int, str]] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    keep: Callable[[str], bool] | None = None
    kept: dict[str, bytearray] = field(default_factory=dict)
    _kept_bytes: int = 0
    _fault: str = ""
    _ended: bool = False
    _index_bytes: int = 0

    def __post_init__(self) -> None:
        self._block = bytearray()
        self._left = self._padding = self._size = 0
        self._name = ""
        self._digest = hashlib.sha256()
        self._text: bytearray | None = None

    def through(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The same bytes; what they hold is noted as they pass."""
        for chunk in chunks:
            self.feed(chunk)
            yield chunk

    def feed(self, chunk: bytes) -> None:
        """Read the next bytes; nothing is read behind a fault or the archive's end."""
        view = memoryview(chunk)
        while len(view) and not self._fault and not self._ended:
            if self._left:
                view = self._content(view)
            elif self._padding:
                skipped = min(self._padding, len(view))
                self._padding -= skipped
                view = view[skipped:]
            else:
                missing = BLOCK - len(self._block)
                self._block += view[:missing]
                view = view[missing:]
                if len(self._block) == BLOCK:
                    self._header(bytes(self._block))
                    self._block.clear()

    def problems(self, *, indexed: bool) -> list[str]:
        """Why the archive is not whole or not what its index says; ``indexed``: the document writes an index."""
        found = [self._fault] if self._fault else []
        if not self._fault and not self._ended:
            found.append("the archive has no end: its last parts did not leave the host")
        if indexed and not self._fault:
            if WHOLE_INDEX not in self.members:
                found.append("the archive has no complete index")
            found += list(self._disagreements())
        return found

    def _content(self, view: memoryview) -> memoryview:
        taken = view[: self._left]
        self._digest.update(taken)
        if self._name in self.kept:
            self._keep(taken)
        if self._text is not None:
            self._index_bytes += len(taken)
            if self._index_bytes > INDEX_LIMIT:
                self._fault = f"its indexes have more than {INDEX_LIMIT} bytes"
                return view
            self._text += taken
        self._left -= len(taken)
        if not self._left:
            self._member_ended()
        return view[len(taken) :]

    def _keep(self, taken: memoryview) -> None:
        room = min(KEPT_OF_ONE - len(self.kept[self._name]), KEPT - self._kept_bytes)
        piece = taken[: max(0, room)]
        self.kept[self._name] += piece
        self._kept_bytes += len(piece)

    def _header(self, block: bytes) -> None:
        if not any(block):
            self._ended = True
            return
        name = block[:100].split(b"\0")[0].decode("ascii", "replace")
        try:
            size, told = int(block[124:136].rstrip(b"\0 ") or b"0", 8), int(block[148:156].rstrip(b"\0 "), 8)
        except ValueError:
            size, told = -1, -1
        right = sum(block) - sum(block[148:156]) + 8 * ord(" ")
        if block[257:262] != b"ustar" or size < 0 or told != right or not _NAME.fullmatch(name):
            self._fault = f"after {len(self.members)} members comes something that is no member"
        elif name in self.members:
            self._fault = f"the member {name} comes twice"
        elif len(self.members) >= MEMBERS:
            self._fault = f"it has more than {MEMBERS} members"
        else:
            self._name, self._size, self._left, self._padding = name, size, size, -size % BLOCK
            self._digest = hashlib.sha256()
            self._text = bytearray() if INDEX.fullmatch(name) else None
            if self.keep and self.keep(name):
                self.kept[name] = bytearray()
            if not size:
                self._member_ended()

    def _member_ended(self) -> None:
        self.members[self._name] = (self._size, self._digest.hexdigest())
        if self._text is not None:
            self._read_index(self._text.decode("utf-8", "replace"))
            self._text = None

    def _read_index(self, text: str) -> None:
        for line in text.splitlines():
            fields = line.split("\t")
            if len(fields) != _FIELDS or not fields[4].isdecimal() or len(fields[4]) > 12:
                self._fault = f"a line of {self._name} is not of the agreed form"
                return
            state, _, why = fields[6].partition(": ")
            self.items[fields[0]] = Item(fields[0], int(fields[4]), fields[5], state, why)
            if len(self.items) > MEMBERS:
                self._fault = f"its index has more than {MEMBERS} lines"
                return

    def _disagreements(self) -> Iterator[str]:
        for item in self.items.values():
            found = self.members.get(item.name)
            if found is None:
                if item.state not in {"absent", "failed"}:
                    yield f"{item.name} is in the index and not in the archive"
            elif found[0] != item.size or (item.sha256 != "-" and found[1] != item.sha256):
                yield f"{item.name} is not what the index says"
        for name in self.members:
            if name not in self.items and not INDEX.fullmatch(name):
                yield f"{name} is in the archive and not in the index"


def in_one_line(problems: list[str]) -> str:
    """The first problems, and how many more there are."""
    more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return "; ".join(problems[:SHOWN]) + more
