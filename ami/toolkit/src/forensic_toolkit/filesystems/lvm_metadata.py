"""LVM2's label and metadata: a text in nested sections. Source: LVM2's lib/format_text/layout.h."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystems.storage import Storage

SECTOR = 512
MAX_METADATA = 16 << 20
_LABEL = struct.Struct("<8sQII8s")
_AREA_HEADER = struct.Struct("<I16sIQQ")
_RAW_LOCATION = struct.Struct("<QQII")
_AREA_MAGIC = b" LVM2 x[5A%r0N*>"
_TOKEN = re.compile(r"\s+|#[^\n]*|\"((?:[^\"\\]|\\.)*)\"|(-?\d+(?:\.\d+)?)|([A-Za-z0-9_.+\-/]+)|([{}\[\]=,])")
_MAX_NESTING = 8

Read = Callable[[int, int], bytes]  # (offset, length) of the physical volume


def is_physical_volume(head: bytes) -> bool:
    """Whether the first four sectors carry LVM's label."""
    return any(head[start : start + 8] == b"LABELONE" for start in range(0, 4 * SECTOR, SECTOR))


@dataclass(slots=True)
class PhysicalVolume:
    """One physical volume. Raises EvidenceError when its label is damaged; ``holds_metadata`` is known after ``groups``."""

    storage: Storage
    identity: str = ""
    holds_metadata: bool | None = None
    _area: int = 0

    def __post_init__(self) -> None:
        self.identity, self._area = _physical_volume(self.storage.read)

    def groups(self) -> dict[str, dict[str, Any]]:
        """The volume groups by name, as its metadata describes them; none when it holds none. Raises EvidenceError."""
        self.holds_metadata = bool(self._area)
        if not self._area:
            return {}
        try:
            found = _parse(_metadata(self.storage.read, self._area))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
            why = f"LVM physical volume {self.identity}: damaged metadata ({type(error).__name__})"
            raise EvidenceError(why) from error
        groups = {
            name: content
            for name, content in found.items()
            if isinstance(content, dict) and isinstance(content.get("physical_volumes"), dict)
        }
        if not groups:
            raise EvidenceError(f"LVM physical volume {self.identity}: damaged metadata (no volume group)")
        return groups


def _physical_volume(read: Read) -> tuple[str, int]:
    """The volume's UUID and the offset of its metadata area, 0 when it has none."""
    head = read(0, 4 * SECTOR)
    start = next((at for at in range(0, len(head), SECTOR) if head[at : at + 8] == b"LABELONE"), None)
    if start is None or len(head) < 4 * SECTOR:
        raise EvidenceError("no LVM label in the first four sectors")
    _magic, _sector, _sum, inner, kind = _LABEL.unpack_from(head, start)
    if kind != b"LVM2 001":
        raise EvidenceError(f"LVM label of type {kind!r}, which is not LVM2")
    # Sector-sized header: identity, size, then the data areas and the metadata areas, each list ended by zeros.
    header = read(start + inner, SECTOR)
    identity = header[:32].decode("ascii", "replace")
    pairs = [struct.unpack_from("<QQ", header, at) for at in range(40, len(header) - 15, 16)]
    ends = [index for index, pair in enumerate(pairs) if pair == (0, 0)]
    if not ends or ends[0] + 1 >= len(pairs) or pairs[ends[0] + 1] == (0, 0):
        return identity, 0
    return identity, pairs[ends[0] + 1][0]


def _metadata(read: Read, area: int) -> str:
    header = read(area, SECTOR)
    if len(header) < SECTOR:
        raise EvidenceError("LVM metadata area lies outside the volume")
    _sum, magic, _version, _start, size = _AREA_HEADER.unpack_from(header)
    offset, length, _checksum, _flags = _RAW_LOCATION.unpack_from(header, _AREA_HEADER.size)
    if magic != _AREA_MAGIC or not 0 < length <= min(size, MAX_METADATA):
        raise EvidenceError("LVM metadata area holds no metadata")
    # The area is a ring buffer after its header: text that does not fit continues at the first sector after the header.
    first = read(area + offset, min(length, size - offset))
    text = first + (read(area + SECTOR, length - len(first)) if len(first) < length else b"")
    return text.decode("utf-8", "replace").rstrip("\0")


def _tokens(text: str) -> Iterator[str | int | float | tuple[str]]:
    """Words and punctuation; quoted strings come as one-tuples, so that none is taken for punctuation."""
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"LVM metadata: unexpected {text[position : position + 20]!r}")
        position = match.end()
        quoted, number, word, sign = match.groups()
        if quoted is not None:
            yield (re.sub(r"\\(.)", r"\1", quoted),)
        elif number is not None:
            yield float(number) if "." in number else int(number)
        elif word or sign:
            yield word or sign


def _parse(text: str) -> dict[str, Any]:
    return _section(_tokens(text), depth=0)


def _section(tokens: Iterator[Any], *, depth: int) -> dict[str, Any]:
    if depth > _MAX_NESTING:
        raise ValueError("LVM metadata: nested too deeply")
    found: dict[str, Any] = {}
    for name in tokens:
        if name == "}":
            break
        sign = next(tokens)
        if sign == "{":
            found[str(name)] = _section(tokens, depth=depth + 1)
        elif sign == "=":
            value = next(tokens)
            found[str(name)] = _items(tokens) if value == "[" else value[0] if isinstance(value, tuple) else value
        else:
            raise ValueError(f"LVM metadata: '=' or '{{' expected after {name!r}")
    return found


def _items(tokens: Iterator[Any]) -> list[Any]:
    items = []
    for token in tokens:
        if token == "]":
            break
        if token != ",":
            items.append(token[0] if isinstance(token, tuple) else token)
    return items
