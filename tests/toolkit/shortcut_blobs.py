"""Shortcuts, compound files and jump lists as Windows writes them: by [MS-SHLLINK], [MS-CFB] and libyal dtformats' "Jump lists format"."""

from __future__ import annotations

import struct
from datetime import datetime

_ID, _INFO, _NAME, _WORKING, _ARGUMENTS, _ICON, _UNICODE, _VARIABLES = 1, 2, 4, 0x10, 0x20, 0x40, 0x80, 0x200
_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def filetime(moment: datetime | None) -> int:
    """Units of 100 ns since 1601; 0 for None."""
    if moment is None:
        return 0
    return (int(moment.timestamp()) * 1_000_000 + moment.microsecond) * 10 + 116_444_736_000_000_000


def link(
    target: str = "",
    arguments: str = "",
    *,
    icon: str = "",
    share: str = "",
    items: str = "",
    variables: str = "",
    created: datetime | None = None,
    written: datetime | None = None,
    machine: str = "web01",
) -> bytes:
    """A shortcut to ``target`` by LinkInfo (below ``share``, if given), by a list of ids (``items``) or by ``variables``."""
    flags = _UNICODE | (_INFO if target else 0) | (_ID if items else 0) | (_VARIABLES if variables else 0)
    flags |= (_ARGUMENTS if arguments else 0) | (_ICON if icon else 0) | _NAME | _WORKING
    times = filetime(created), filetime(written), filetime(written)
    head = struct.pack("<I", 0x4C) + bytes.fromhex("0114020000000000c000000000000046")
    parts = [head + struct.pack("<IIQQQIIIHHII", flags, 0x20, *times, 4096, 0, 1, 0, 0, 0, 0)]
    if items:
        listed = b"".join(map(_item, items.split("\\"))) + b"\0\0"
        parts.append(struct.pack("<H", len(listed)) + listed)
    if target:
        parts.append(_remote(share, target) if share else _local(target))
    for text in ("a shortcut", "C:\\", arguments, icon):
        if text:
            parts.append(struct.pack("<H", len(text)) + text.encode("utf-16-le"))
    if variables:
        block = variables.encode("ascii").ljust(260, b"\0") + variables.encode("utf-16-le").ljust(520, b"\0")
        parts.append(struct.pack("<II", 788, 0xA0000001) + block)
    parts.append(struct.pack("<IIII", 96, 0xA0000003, 88, 0) + machine.encode().ljust(16, b"\0") + bytes(64))
    return b"".join(parts) + bytes(4)


def _local(path: str) -> bytes:
    volume = struct.pack("<IIII", 17, 3, 0x1234ABCD, 16) + b"\0"
    base = path.encode("cp1252", "replace") + b"\0"
    wide = path.encode("utf-16-le") + b"\0\0"
    at = 36 + len(volume)
    tail = at + len(base)
    total = tail + 1 + len(wide) + 2
    numbers = (total, 36, 1, 36, at, 0, tail, tail + 1, tail + 1 + len(wide))
    return struct.pack("<9I", *numbers) + volume + base + b"\0" + wide + b"\0\0"


def _remote(share: str, path: str) -> bytes:
    name = share.encode("cp1252") + b"\0"
    network = struct.pack("<IIIII", 20 + len(name), 2, 20, 0, 0x20000) + name
    tail = path.encode("cp1252") + b"\0"
    total = 28 + len(network) + len(tail)
    return struct.pack("<7I", total, 28, 2, 0, 0, 28, 28 + len(network)) + network + tail


def _item(name: str) -> bytes:
    if name.endswith(":"):
        body = b"\x2f" + f"{name}\\".encode().ljust(22, b"\0")
        return struct.pack("<H", len(body) + 2) + body
    kind = b"\x32" if "." in name else b"\x31"
    short = name[:8].encode("cp1252") + b"\0"
    short += b"\0" * (len(short) % 2)
    long = name.encode("utf-16-le") + b"\0\0"
    extension = struct.pack("<HHI", 46 + len(long) + 2, 9, 0xBEEF0004) + bytes(38) + long + struct.pack("<H", 14)
    body = kind + b"\0" + struct.pack("<IIH", 10, 0, 0x20) + short + extension
    return struct.pack("<H", len(body) + 2) + body


def compound(streams: dict[str, bytes]) -> bytes:
    """A compound file of version 3 with these streams; small ones in the small stream."""
    sectors: list[bytes] = []
    table: list[int] = []

    def put(content: bytes) -> int:
        first = len(sectors)
        pieces = [content[at : at + 512].ljust(512, b"\0") for at in range(0, len(content), 512)]
        sectors.extend(pieces)
        table.extend([*range(first + 1, first + len(pieces)), _END] if pieces else [])
        return first if pieces else _END

    small, small_table = b"", []
    entries = []
    for name, content in streams.items():
        if len(content) >= 4096:
            entries.append(_entry(name, 2, put(content), len(content)))
            continue
        first, count = len(small_table), -(-len(content) // 64)
        small_table += [*range(first + 1, first + count), _END] if count else []
        small += content.ljust(count * 64, b"\0")
        entries.append(_entry(name, 2, first if count else _END, len(content)))
    root = _entry("Root Entry", 5, put(small), len(small))
    directory = put(b"".join([root, *entries]))
    packed = struct.pack(f"<{len(small_table)}I", *small_table)
    small_first = put(packed.ljust(-(-len(packed) // 512) * 512, b"\xff"))
    count = -(-(len(table) + len(table) // 127 + 1) // 128)
    fat_at = len(sectors)
    table += [_FAT] * count
    fat = struct.pack(f"<{len(table)}I", *table).ljust(count * 512, b"\xff")
    numbers = [*range(fat_at, fat_at + count), *[_FREE] * (109 - count)]
    head = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16) + struct.pack("<HHHHHHII", 62, 3, 0xFFFE, 9, 6, 0, 0, 0)
    head += struct.pack("<IIIIIIII", count, directory, 0, 4096, small_first, 1, _END, 0)
    return head + struct.pack("<109I", *numbers) + b"".join(sectors) + fat


def _entry(name: str, kind: int, first: int, size: int) -> bytes:
    raw = name.encode("utf-16-le") + b"\0\0"
    head = raw.ljust(64, b"\0") + struct.pack("<HBB", len(raw), kind, 1) + struct.pack("<III", _FREE, _FREE, _FREE)
    return head + bytes(36) + struct.pack("<IQ", first, size)


def destinations(entries: list[tuple[str, datetime, int, bytes]], *, version: int = 4) -> bytes:
    """An automatic jump list of (path, time, count, shortcut), in the form of Windows 7 (1) or 10 and 11 (4)."""
    streams, listed = {}, b""
    for number, (path, moment, count, shortcut) in enumerate(entries, start=10):
        streams[f"{number:x}"] = shortcut
        head = bytes(72) + b"web01".ljust(16, b"\0") + struct.pack("<III", number, 0, 0)
        head += struct.pack("<Qi", filetime(moment), -1)
        head += struct.pack("<iI8x", -1, count) if version > 1 else b""
        listed += head + struct.pack("<H", len(path)) + path.encode("utf-16-le") + (bytes(4) if version > 1 else b"")
    top = struct.pack("<IIIIQQ", version, len(entries), 0, 0, len(entries), 1)
    return compound({**streams, "DestList": top + listed})


def custom(shortcuts: list[bytes]) -> bytes:
    """A custom jump list with one category."""
    body = b"".join(shortcut[4:20] + shortcut for shortcut in shortcuts)
    return struct.pack("<IIII", 2, 1, 0, 2) + struct.pack("<I", len(shortcuts)) + body + struct.pack("<I", 0xBABFFBAB)
