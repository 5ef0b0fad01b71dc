"""The stores in which older RPMs keep their package headers: Berkeley DB (hash, B-tree) and ndb. Read only, by their pages.

Sources: the page layouts in Berkeley DB's ``dbinc/db_page.h`` as its reference guide documents them (generic metadata, hash and B-tree
pages, overflow chains); rpm's ``lib/backend/ndb/rpmpkg.c`` for ndb (header, slots, blobs in blocks of 16 bytes). All numbers of a file
may have been chosen by whoever held the host: every offset is checked, and a chain of pages ends after as many steps as there are pages.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

HASH, BTREE = 0x061561, 0x053162
_PAGE_HEAD = 26
_HASH_PAGES, _BTREE_LEAF, _OVERFLOW, _LAST_KIND = (2, 13), 5, 7, 15
_ON_PAGE, _ELSEWHERE = 1, 3  # H_KEYDATA and B_KEYDATA; H_OFFPAGE and B_OVERFLOW
_NDB, _NDB_SLOT, _NDB_BLOB = b"RpmP", b"Slot", b"BlbS"
_NDB_PAGE, _NDB_BLOCK, _SLOT_BYTES, _NDB_HEAD = 4096, 16, 16, 32


class BerkeleyDatabase:
    """A hash or B-tree of Berkeley DB. Raises ValueError for what is none.

    :param data: the whole file
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.order = next((o for o in "<>" if _magic(data, o) in (HASH, BTREE)), "")
        if not self.order:
            raise ValueError("it is no Berkeley DB hash or B-tree")
        (self._size,) = struct.unpack_from(f"{self.order}I", data, 20)
        if self._size < 512 or self._size & (self._size - 1) or self._size > 65536:
            raise ValueError(f"its page size is {self._size}")
        self.damaged = 0
        # A page belongs to one chain: chains that share pages, or go in circles, are made to keep a reader busy.
        self._steps = 2 * (len(data) // self._size)

    def pairs(self) -> Iterator[tuple[bytes, bytes]]:
        """(key, data) of every page that has some, whatever the buckets or branches say; ``damaged`` counts what cannot be read."""
        (last,) = struct.unpack_from(f"{self.order}I", self._data, 32)
        self.damaged += max(0, last + 1 - len(self._data) // self._size)
        for number in range(1, len(self._data) // self._size):
            start = number * self._size
            kind = self._data[start + 25]
            if kind in _HASH_PAGES or kind == _BTREE_LEAF:
                yield from self._pairs_of(start, tree=kind == _BTREE_LEAF)
            elif kind > _LAST_KIND:
                self.damaged += 1

    def _pairs_of(self, start: int, *, tree: bool) -> Iterator[tuple[bytes, bytes]]:
        page = self._data[start : start + self._size]
        (entries,) = struct.unpack_from(f"{self.order}H", page, 20)
        if _PAGE_HEAD + 2 * entries > self._size:
            self.damaged += 1
            return
        offsets = struct.unpack_from(f"{self.order}{entries}H", page, _PAGE_HEAD)
        for at in range(0, entries - 1, 2):
            try:
                # An item of a hash page ends where the one before it begins.
                ends = (offsets[at - 1] if at else self._size, offsets[at])
                key, data = (self._item(page, o, e, tree=tree) for o, e in zip(offsets[at : at + 2], ends, strict=True))
            except (struct.error, IndexError, ValueError):
                self.damaged += 1
            else:
                yield key, data

    def _item(self, page: bytes, offset: int, end: int, *, tree: bool) -> bytes:
        kind = page[offset + 2] if tree else page[offset]
        if kind & 0x7F == _ELSEWHERE:
            first, size = struct.unpack_from(f"{self.order}II", page, offset + 4)
            return self._chain(first, size)
        if kind & 0x7F != _ON_PAGE:
            raise ValueError(f"items of kind {kind} are not known")
        if tree:
            (size,) = struct.unpack_from(f"{self.order}H", page, offset)
            offset, end = offset + 3, offset + 3 + size
        else:
            offset += 1
        if end > len(page) or offset > end:
            raise ValueError("an item leaves its page")
        return page[offset:end]

    def _chain(self, number: int, size: int) -> bytes:
        """What overflow pages hold; each holds as many bytes as its free-space offset says."""
        pieces, left = [], size
        while self._steps > 0:
            self._steps -= 1
            start = number * self._size
            following, used, kind = (
                struct.unpack_from(f"{self.order}I", self._data, start + 16)[0],
                struct.unpack_from(f"{self.order}H", self._data, start + 22)[0],
                self._data[start + 25],
            )
            if kind != _OVERFLOW or used > self._size - _PAGE_HEAD:
                break
            pieces.append(self._data[start + _PAGE_HEAD : start + _PAGE_HEAD + used])
            left -= used
            number = following
            if left <= 0 or not number:
                break
        if left:
            raise ValueError(f"an overflow chain lacks {left} of {size} bytes")
        return b"".join(pieces)


def _magic(data: bytes, order: str) -> int:
    return int(struct.unpack_from(f"{order}I", data, 12)[0]) if len(data) >= 512 else 0


def headers(data: bytes) -> Iterator[bytes]:
    """The package headers in a ``Packages`` (Berkeley DB) or ``Packages.db`` (ndb). Raises ValueError: it is neither, or it is damaged."""
    if data[:4] == _NDB:
        yield from _ndb(data)
        return
    database = BerkeleyDatabase(data)
    found = 0
    for key, value in database.pairs():
        if key != bytes(4):  # which holds the highest number that was given away
            found += 1
            yield value
    if database.damaged:
        raise ValueError(f"{database.damaged} pages or entries are damaged or missing")
    if not found:
        raise ValueError("it holds no package")


def _ndb(data: bytes) -> Iterator[bytes]:
    (pages,) = struct.unpack_from("<I", data, 12)
    damaged = 0
    for at in range(_NDB_HEAD, min(pages * _NDB_PAGE, len(data) - _SLOT_BYTES + 1), _SLOT_BYTES):
        mark, number, block, _ = struct.unpack_from("<4sIII", data, at)
        if mark != _NDB_SLOT or not block:
            continue
        start = block * _NDB_BLOCK
        if start + 16 > len(data):
            damaged += 1
            continue
        blob, owner, _, size = struct.unpack_from("<4sIII", data, start)
        if blob != _NDB_BLOB or owner != number or start + 16 + size > len(data):
            damaged += 1
            continue
        yield data[start + 16 : start + 16 + size]
    if damaged:
        raise ValueError(f"{damaged} slots point at no package")


class LostPackages:
    """What the indexes of a lost ``Packages`` still say: which packages had a file of this name, and which had this folder.

    ``Basenames`` and ``Dirnames`` map a text to pairs of package number and place in the package. Which name was in which folder stood in
    ``Packages``: a file counts as owned when one package had both. Raises ValueError for files that are no Berkeley DB.
    """

    def __init__(self, basenames: bytes, folders: bytes) -> None:
        self._names, self._folders = _index(basenames), _index(folders)

    def owns(self, path: str) -> bool:
        """Whether a package had a file of this name and this folder."""
        folder, _, name = path.rpartition("/")
        return not self._names.get(name, frozenset()).isdisjoint(self._folders.get(f"{folder}/", frozenset()))

    @property
    def packages(self) -> int:
        """How many packages have a folder."""
        return len(frozenset[int]().union(*self._folders.values()))


def _index(data: bytes) -> dict[str, frozenset[int]]:
    database = BerkeleyDatabase(data)
    numbers = struct.Struct(f"{database.order}I4x")
    return {
        key.decode("utf-8", "backslashreplace"): frozenset(
            number for (number,) in numbers.iter_unpack(value[: len(value) // 8 * 8])
        )
        for key, value in database.pairs()
    }
