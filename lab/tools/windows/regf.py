"""A registry hive (regf 1.5): keys with times and string, number or binary values.

Layout after the published descriptions of the format: base block, one hive bin, cells for keys (nk), values (vk), lists (lf).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

_PAGE = 4096
_NONE = 0xFFFFFFFF
_STRING, _BINARY, _NUMBER = 1, 3, 4
_ROOT, _KEY = 0x2C, 0x20
_ASCII = 1
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
Value = str | int | bytes


@dataclass(frozen=True)
class Key:
    """A key: its values, its keys below, when it was written."""

    values: Mapping[str, Value] = field(default_factory=dict)
    keys: Mapping[str, Key] = field(default_factory=dict)
    written: datetime = datetime(2026, 11, 18, 8, 0, tzinfo=UTC)


def filetime(moment: datetime) -> int:
    """Hundreds of nanoseconds since 1601."""
    return int((moment - _EPOCH).total_seconds()) * 10_000_000 + moment.microsecond * 10


def tree(paths: Mapping[str, Key]) -> Key:
    """A root key from keys by path (``A\\\\B``); folders in between are made."""
    below: dict[str, dict[str, Key]] = {}
    own = {path: key for path, key in paths.items() if "\\" not in path}
    for path, key in paths.items():
        if "\\" in path:
            first, rest = path.split("\\", 1)
            below.setdefault(first, {})[rest] = key
    names = dict.fromkeys([*own, *below])
    keys = {
        name: Key(own[name].values if name in own else {}, tree(below.get(name, {})).keys, _written(own, name))
        for name in names
    }
    return Key(keys=keys)


def _written(own: Mapping[str, Key], name: str) -> datetime:
    return own[name].written if name in own else Key().written


def hive(root: Key, *, name: str) -> bytes:
    """The file."""
    cells = _Cells()
    top = cells.key("ROOT", root, parent=_NONE, flags=_ROOT)
    size = -(-(32 + len(cells.data)) // _PAGE) * _PAGE
    room = size - 32 - len(cells.data)
    body = bytes(cells.data) + (struct.pack("<i", room) + bytes(room - 4) if room >= 8 else b"")
    moment = filetime(root.written)
    bin_header = struct.pack("<4sIIIIQI", b"hbin", 0, size, 0, 0, moment, 0)
    head = struct.pack("<4sIIQIIIIIII", b"regf", 1, 1, moment, 1, 5, 0, 1, top, size, 1)
    head += name.encode("utf-16-le")[:64].ljust(64, b"\0")
    head = head.ljust(508, b"\0")
    check = 0
    for (word,) in struct.iter_unpack("<I", head):
        check ^= word
    return (head + struct.pack("<I", check)).ljust(_PAGE, b"\0") + bin_header + body.ljust(size - 32, b"\0")


class _Cells:
    def __init__(self) -> None:
        self.data = bytearray()

    def add(self, content: bytes) -> int:
        """Put a cell, filled up to eight bytes; its offset counts from the bin."""
        place = 32 + len(self.data)
        size = -(-(len(content) + 4) // 8) * 8
        self.data += struct.pack("<i", -size) + content.ljust(size - 4, b"\0")
        return place

    def key(self, name: str, key: Key, *, parent: int, flags: int = _KEY) -> int:
        """A key with all that is below it."""
        place = self.add(bytes(76 + len(name)))
        values = [self.value(label, value) for label, value in key.values.items()]
        value_list = self.add(struct.pack(f"<{len(values)}I", *values)) if values else _NONE
        # The lists of keys are sorted by name.
        names = sorted(key.keys, key=str.upper)
        found = [(self.key(label, key.keys[label], parent=place), label) for label in names]
        entries = b"".join(struct.pack("<I4s", at, label.encode()[:4].ljust(4, b"\0")) for at, label in found)
        keys = self.add(b"lf" + struct.pack("<H", len(found)) + entries) if found else _NONE
        node = struct.pack(
            "<2sHQIIIIIIIIIIIIIIIHH",
            b"nk", flags, filetime(key.written), 0, parent & 0xFFFFFFFF, len(found), 0, keys, _NONE, len(values), value_list,
            _NONE, _NONE, 0, 0, 0, 0, 0, len(name), 0,
        )  # fmt: skip
        start = place - 32 + 4
        self.data[start : start + len(node) + len(name)] = node + name.encode("ascii")
        return place

    def value(self, name: str, value: Value) -> int:
        """A value; four bytes fit into its own cell."""
        if isinstance(value, int):
            kind, size, place = _NUMBER, 4 | 0x80000000, value
        else:
            kind = _STRING if isinstance(value, str) else _BINARY
            content = (value + "\0").encode("utf-16-le") if isinstance(value, str) else value
            size, place = len(content), self.add(content)
        head = struct.pack("<2sHIIIHH", b"vk", len(name), size, place, kind, _ASCII, 0)
        return self.add(head + name.encode("ascii"))
