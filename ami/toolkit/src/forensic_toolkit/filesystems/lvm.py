"""LVM2: the logical volumes of a physical volume, as extents of the device.

Supported is what can be read without the device mapper: linear and striped volumes whose physical volumes are all present.
All other volumes are reported by name. Source: LVM2's lib/format_text/layout.h and lvm(8).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from forensic_toolkit.errors import EvidenceError

SECTOR = 512
MAX_METADATA = 16 << 20
MAX_PIECES = 100_000
_LABEL = struct.Struct("<8sQII8s")
_AREA_HEADER = struct.Struct("<I16sIQQ")
_RAW_LOCATION = struct.Struct("<QQII")
_AREA_MAGIC = b" LVM2 x[5A%r0N*>"
_TOKEN = re.compile(r"\s+|#[^\n]*|\"((?:[^\"\\]|\\.)*)\"|(-?\d+(?:\.\d+)?)|([A-Za-z0-9_.+\-/]+)|([{}\[\]=,])")
_MAX_NESTING = 8

Read = Callable[[int, int], bytes]  # (offset, length) of the physical volume


@dataclass(frozen=True, slots=True)
class LogicalVolume:
    """A visible logical volume: parts of its physical volume in order, as (offset, length) in bytes."""

    group: str
    name: str
    pieces: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A logical volume that cannot be assembled, and why."""

    group: str
    name: str
    why: str


def is_physical_volume(head: bytes) -> bool:
    """Whether the first four sectors carry LVM's label."""
    return any(head[start : start + 8] == b"LABELONE" for start in range(0, 4 * SECTOR, SECTOR))


def volumes(read: Read) -> list[LogicalVolume | Unsupported]:
    """The logical volumes of one physical volume. Raises EvidenceError when its metadata cannot be read."""
    identity, location = _physical_volume(read)
    try:
        return list(_volumes(_parse(_metadata(read, location)), identity))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise EvidenceError(f"LVM physical volume {identity}: damaged metadata ({type(error).__name__})") from error


def _physical_volume(read: Read) -> tuple[str, int]:
    """The volume's UUID and the offset of its metadata area."""
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
        raise EvidenceError(f"LVM physical volume {identity} holds no metadata; another volume of its group does")
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


def _volumes(metadata: dict[str, Any], identity: str) -> Iterator[LogicalVolume | Unsupported]:
    for group, content in metadata.items():
        if not (isinstance(content, dict) and "physical_volumes" in content):
            continue
        extent = int(content["extent_size"]) * SECTOR
        here = {
            name: int(volume["pe_start"]) * SECTOR
            for name, volume in content["physical_volumes"].items()
            if str(volume["id"]).replace("-", "") == identity
        }
        for name, volume in content.get("logical_volumes", {}).items():
            if "VISIBLE" in volume["status"]:
                try:
                    pieces = tuple(_pieces(volume, extent=extent, here=here))
                except EvidenceError as error:
                    yield Unsupported(group, name, str(error))
                else:
                    yield LogicalVolume(group, name, pieces)


def _pieces(volume: dict[str, Any], *, extent: int, here: dict[str, int]) -> Iterator[tuple[int, int]]:
    count = 0
    for number in range(1, int(volume["segment_count"]) + 1):
        segment = volume[f"segment{number}"]
        if segment["type"] not in ("striped", "linear"):
            raise EvidenceError(f"a volume of type {segment['type']}, which needs the device mapper")
        flat = segment["stripes"]
        stripes = list(zip(flat[::2], flat[1::2], strict=True))
        missing = sorted({str(name) for name, _ in stripes} - set(here))
        if missing:
            raise EvidenceError(
                f"parts of it are on other volumes ({', '.join(missing)}); attach and examine those too"
            )
        length = int(segment["extent_count"]) * extent
        starts = [here[name] + int(first) * extent for name, first in stripes]
        # One stripe is contiguous; several alternate in units of the stripe size.
        step = int(segment.get("stripe_size", 0)) * SECTOR if len(starts) > 1 else length
        if step <= 0 or length // step > MAX_PIECES:
            raise EvidenceError(f"stripes of {step} bytes over {length} bytes are not supported")
        for turn in range(-(-length // step)):
            count += 1
            at = starts[turn % len(starts)] + turn // len(starts) * step
            yield at, min(step, length - turn * step)
    if not count:
        raise EvidenceError("a volume without extents")
