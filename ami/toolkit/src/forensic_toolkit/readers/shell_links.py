"""Shell links (.lnk): what a shortcut starts, with which arguments, and what it recorded of its target.

Source: [MS-SHLLINK] 2.1-2.5. The items of a target's list of ids ([MS-SHLLINK] 2.2) are read where nothing else names the target, by the form
that libfwsi documents ("Windows Shell Item format"): a file's item has a short name and an extension block 0xbeef0004 with the long one.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from forensic_toolkit.times import from_filetime

HEADER = struct.pack("<I", 0x4C) + bytes.fromhex("0114020000000000c000000000000046")
CLASS_ID = HEADER[4:]
_FIXED = struct.Struct("<I16sIIQQQI")  # up to the size of the target; the header has 76 bytes
_HEADER_SIZE = 76
_ID_LIST, _INFO, _UNICODE, _NO_INFO = 0x1, 0x2, 0x80, 0x100
_TEXTS = ((0x4, "description"), (0x8, "relative"), (0x10, "working"), (0x20, "arguments"), (0x40, "icon"))
_ENVIRONMENT, _TRACKER = 0xA0000001, 0xA0000003
_LONG_NAME = struct.pack("<I", 0xBEEF0004)
# Where the long name begins in the extension block, by the block's version.
_NAME_AT = ((9, 46), (8, 42), (7, 38), (3, 20))
_FOLDERS, _FILES, _DRIVES = range(0x31, 0x3C, 4), (0x30, 0x32, 0x34, 0x36, 0xB1), (0x23, 0x25, 0x29, 0x2A, 0x2E, 0x2F)
MOST_TEXT = 65_535


@dataclass(frozen=True, slots=True)
class Link:
    """One shortcut. The times are those that its target had when the shortcut was last written; ``length`` is that of its structure."""

    target: str
    arguments: str = ""
    working: str = ""
    description: str = ""
    icon: str = ""
    environment: str = ""  # the target by variables, which Windows takes when the other one is not there
    machine: str = ""  # the NetBIOS name of the machine that the target was last seen on
    created: datetime | None = None
    accessed: datetime | None = None
    written: datetime | None = None
    size: int = 0
    length: int = 0

    @property
    def name(self) -> str:
        """The last part of the target."""
        return re.split(r"[\\/]", self.target or self.environment)[-1]

    @property
    def command(self) -> str:
        """Target and arguments."""
        return f"{self.target or self.environment} {self.arguments}".strip()


def parsed(raw: bytes) -> Link | None:
    """The link that begins at the first byte; None for anything else. A link that is cut off gives what is left of it."""
    if raw[:20] != HEADER or len(raw) < _HEADER_SIZE:
        return None
    _, _, flags, _, created, accessed, written, size = _FIXED.unpack_from(raw)
    at, by_list, by_info = _HEADER_SIZE, "", ""
    if flags & _ID_LIST:
        length = _number(raw, at, 2)
        by_list = _path_of_items(raw[at + 2 : at + 2 + length])
        at += 2 + length
    if flags & _INFO and not flags & _NO_INFO:
        length = _number(raw, at, 4)
        by_info = _location(raw[at : at + length])
        at += max(4, length)
    texts: dict[str, str] = {}
    for flag, name in _TEXTS:
        if flags & flag and at < len(raw):
            texts[name], at = _counted(raw, at, unicode=bool(flags & _UNICODE))
    environment, machine, at = _extra(raw, at)
    return Link(
        target=by_info or by_list or environment or texts.pop("relative", ""),
        arguments=texts.get("arguments", ""),
        working=texts.get("working", ""),
        description=texts.get("description", ""),
        icon=texts.get("icon", ""),
        environment=environment,
        machine=machine,
        created=from_filetime(created),
        accessed=from_filetime(accessed),
        written=from_filetime(written),
        size=size,
        length=min(at, len(raw)),
    )


def _number(raw: bytes, at: int, width: int) -> int:
    return int.from_bytes(raw[at : at + width], "little")


def _counted(raw: bytes, at: int, *, unicode: bool) -> tuple[str, int]:
    """A counted string without a zero at its end, and where it ends (2.4)."""
    width = 2 if unicode else 1
    end = at + 2 + width * _number(raw, at, 2)
    return raw[at + 2 : end].decode("utf-16-le" if unicode else "cp1252", "replace"), end


def _ansi(raw: bytes, at: int) -> str:
    return raw[at:].split(b"\0", 1)[0].decode("cp1252", "replace") if 0 < at < len(raw) else ""


def wide(raw: bytes, at: int = 0) -> str:
    """UTF-16 up to a zero."""
    text = raw[at : at + 2 * MOST_TEXT]
    return text[: len(text) // 2 * 2].decode("utf-16-le", "replace").split("\0", 1)[0]


def _location(raw: bytes) -> str:
    """The path of a LinkInfo (2.3): local, or a share and what is below it."""
    if len(raw) < 28:
        return ""
    head, flags, _, local, network, suffix = struct.unpack_from("<6I", raw, 4)
    tail = _ansi(raw, suffix)
    if head >= 0x24 and len(raw) >= 36:
        tail = wide(raw, _number(raw, 32, 4)) or tail
    if flags & 1:
        base = wide(raw, _number(raw, 28, 4)) if head >= 0x24 and _number(raw, 28, 4) else ""
        return (base or _ansi(raw, local)) + tail
    if flags & 2 and network:
        share = _share(raw[network:])
        return f"{share}\\{tail}" if share and tail else share or tail
    return ""


def _share(raw: bytes) -> str:
    if len(raw) < 20:
        return ""
    name = _number(raw, 8, 4)
    return (wide(raw, _number(raw, 20, 4)) if name > 0x14 and len(raw) > 24 else "") or _ansi(raw, name)


def _path_of_items(raw: bytes) -> str:
    parts: list[str] = []
    for item in _items(raw):
        kind = item[2] if len(item) > 2 else 0
        if kind in _DRIVES:
            parts.append(_ansi(item, 3).rstrip("\\"))
        elif kind in _FOLDERS or kind in _FILES:
            parts.append(_long_name(item) or _short_name(item))
        elif kind & 0x70 == 0x40 and len(item) > 5:  # a share or a server
            parts.append(_ansi(item, 5))
    return "\\".join(filter(None, parts))


def _items(raw: bytes) -> Iterator[bytes]:
    at = 0
    while (size := _number(raw, at, 2)) >= 2:
        yield raw[at : at + size]
        at += size


def _short_name(item: bytes) -> str:
    return wide(item, 14) if item[2] in (0x34, 0x35, 0x36) else _ansi(item, 14)


def _long_name(item: bytes) -> str:
    mark = item.find(_LONG_NAME)
    if mark < 4:
        return ""
    version = _number(item, mark - 2, 2)
    place = next((place for least, place in _NAME_AT if version >= least), 0)
    return wide(item, mark - 4 + place) if place else ""


def _extra(raw: bytes, at: int) -> tuple[str, str, int]:
    """The target by variables, the machine, and where the structure ends (2.5)."""
    environment = machine = ""
    while (size := _number(raw, at, 4)) >= 8 and at < len(raw):
        block = raw[at : at + size]
        kind = _number(block, 4, 4)
        if kind == _ENVIRONMENT:
            environment = wide(block, 268) or _ansi(block, 8)
        elif kind == _TRACKER:
            machine = _ansi(block[:32], 16)
        at += size
    return environment, machine, min(at + 4, len(raw))
