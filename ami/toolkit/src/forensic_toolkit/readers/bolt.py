"""bbolt databases (containerd, the ECS agent): buckets and values of the latest transaction, read without the program.

Source: the format as go.etcd.io/bbolt lays it out (page.go, node.go, bucket.go): two meta pages of which the newer valid one
counts, branch pages, leaf pages, and buckets that are inline in their parent or have a root page of their own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

MAGIC = 0xED0CDAED
_PAGE = struct.Struct("<QHHI")  # id, flags, count, pages that overflow
_META = struct.Struct(
    "<IIIIQQQQQQ"
)  # magic, version, page size, flags, root, sequence, freelist, high mark, transaction, checksum
_BRANCH = struct.Struct("<IIQ")  # position, key's size, page
_LEAF = struct.Struct("<IIII")  # flags, position, key's size, value's size
_BUCKET = struct.Struct("<QQ")  # root page (0: inline), sequence
_IS_BRANCH, _IS_LEAF, _IS_BUCKET = 1, 2, 1
MAX_DEPTH, MAX_ITEMS = 32, 500_000
Bucket = dict[bytes, "bytes | Bucket"]


class BoltError(ValueError):
    """The file is no bbolt database, or is damaged; the message says where."""


def read(data: bytes) -> Bucket:
    """The root bucket. Raises :class:`BoltError`."""
    size, root = _newest(data)
    reader = _Reader(data, size)
    return reader.bucket(root)


def text(bucket: Bucket, *path: str) -> str:
    """The text of a value below a bucket; empty when it is not there."""
    found = value(bucket, *path)
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else ""


def below(bucket: Bucket, *path: str) -> Bucket:
    """The bucket at a path; an empty one when it is not there."""
    found = value(bucket, *path)
    return found if isinstance(found, dict) else {}


def value(bucket: Bucket, *path: str) -> bytes | Bucket | None:
    """What lies at a path, or None."""
    found: bytes | Bucket | None = bucket
    for name in path:
        found = found.get(name.encode()) if isinstance(found, dict) else None
    return found


def _newest(data: bytes) -> tuple[int, int]:
    """(page size, root page) of the valid meta page with the higher transaction."""
    found = []
    sizes = {_META.unpack_from(data, _PAGE.size)[2]} if len(data) >= _PAGE.size + _META.size else set()
    for start in (0, *(sizes | {4096, 16384, 65536})):
        if len(data) >= start + _PAGE.size + _META.size:
            meta = _META.unpack_from(data, start + _PAGE.size)
            whole = data[start + _PAGE.size : start + _PAGE.size + _META.size - 8]
            if meta[0] == MAGIC and 512 <= meta[2] <= 1 << 20 and _fnv(whole) == meta[9]:
                found.append((meta[8], meta[2], meta[4]))
    if not found:
        raise BoltError("it has no valid meta page of a bbolt database")
    _, size, root = max(found)
    return size, root


def _fnv(data: bytes) -> int:
    """FNV-1a, 64 bits."""
    state = 0xCBF29CE484222325
    for byte in data:
        state = ((state ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return state


class _Reader:
    """Walks pages; whatever points outside, in a circle or too deep is an error."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data = data
        self._size = size
        self._items = 0

    def bucket(self, root: int, *, inline: bytes = b"", depth: int = 0) -> Bucket:
        """The content of a bucket, with the buckets below it."""
        found: Bucket = {}
        try:
            for flags, key, content in self._leaves(root, inline, depth=depth):
                if flags & _IS_BUCKET:
                    page, _ = _BUCKET.unpack_from(content)
                    found[key] = self.bucket(page, inline=b"" if page else content[_BUCKET.size :], depth=depth + 1)
                else:
                    found[key] = content
        except struct.error as error:
            raise BoltError(f"a page of it is cut off: {error}") from error
        return found

    def _leaves(self, number: int, inline: bytes, *, depth: int) -> Iterator[tuple[int, bytes, bytes]]:
        if depth > MAX_DEPTH:
            raise BoltError(f"its pages nest deeper than {MAX_DEPTH}")
        page = inline or self._page(number)
        _, flags, count, _ = _PAGE.unpack_from(page)
        for index in range(count):
            self._items += 1
            if self._items > MAX_ITEMS:
                raise BoltError(f"it holds more than {MAX_ITEMS} items, or its pages form a circle")
            at = _PAGE.size + 16 * index
            if flags & _IS_BRANCH:
                _, _, child = _BRANCH.unpack_from(page, at)
                yield from self._leaves(child, b"", depth=depth + 1)
            elif flags & _IS_LEAF:
                kind, position, key, size = _LEAF.unpack_from(page, at)
                start = at + position
                if start + key + size > len(page):
                    raise BoltError(f"an item of page {number} ends outside of it")
                yield kind, page[start : start + key], page[start + key : start + key + size]
            else:
                raise BoltError(f"page {number} is neither a branch nor a leaf")

    def _page(self, number: int) -> bytes:
        start = number * self._size
        if start + _PAGE.size > len(self._data):
            raise BoltError(f"page {number} lies outside of the file")
        more = _PAGE.unpack_from(self._data, start)[3]
        return self._data[start : start + self._size * (more + 1)]
