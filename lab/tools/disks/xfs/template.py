"""Fill a template of mkfs.xfs with a tree: contents, modes, owners and true times, checksums corrected.

The template holds every name with an empty content of the right length; the owner field of each inode carries a mark
that says whose inode it is. `python -m lab.tools.disks.xfs.make_template` makes it. Source of the format: XFS Algorithms
and Data Structures, and the kernel's fs/xfs/libxfs/xfs_format.h.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import zstandard

from lab.tools.disks.ext4.tree import Node

TEMPLATES = Path(__file__).resolve().parent / "templates"
# An owner no system has; the mark of the n-th node is this plus n.
MARK = 0x40000000
_INODE_MAGIC = b"IN"
_CORE = 0xB0  # bytes of an inode's core, version 3; what follows is content or the map of it
_INLINE, _EXTENTS = 1, 2
_BIGTIME = 0x8
_BIGTIME_EPOCH = 1 << 31  # seconds; fs/xfs/libxfs/xfs_format.h, XFS_BIGTIME_EPOCH_OFFSET
_NS = 1_000_000_000


class XfsTemplateError(ValueError):
    """The template does not fit the tree; the message says what to run."""


def nodes_of(root: Node) -> list[Node]:
    """What the file system holds, in the order of the marks. Deleted files leave nothing behind here."""
    return [node for node in root.walk() if not node.is_deleted]


def shape(root: Node) -> str:
    """A digest over names, kinds and lengths: what a template must agree with."""
    digest = hashlib.sha256()
    for node in nodes_of(root):
        length = 0 if node.is_directory else len(node.data)
        target = node.data.decode() if node.is_symlink else ""
        digest.update(f"{node.name}\0{node.mode >> 12}\0{length}\0{target}\n".encode())
    return digest.hexdigest()


def write(root: Node, *, name: str, out: BinaryIO) -> None:
    """Write the file system from the start of `out`. Raises XfsTemplateError when the template is of another tree."""
    packed = TEMPLATES / f"{name}.xfs.zst"
    again = f"run `python -m lab.tools.disks.xfs.make_template {name}` (it needs mkfs.xfs) and commit what it writes"
    if not packed.exists():
        raise XfsTemplateError(f"there is no XFS template for scenario {name}: {again}")
    expected = packed.with_suffix(".shape").read_text("utf-8").strip()
    if expected != shape(root):
        raise XfsTemplateError(f"the XFS template of scenario {name} is older than the scenario: {again}")
    image = bytearray(zstandard.ZstdDecompressor().decompress(packed.read_bytes(), max_output_size=1 << 30))
    try:
        fill(nodes_of(root), image)
    except XfsTemplateError as error:
        raise XfsTemplateError(f"the XFS template of {name}: {error}; {again}") from error
    write_sparse(out, bytes(image))


def fill(nodes: Sequence[Node], image: bytearray) -> None:
    """Put contents, modes, owners and times of marked files into an image. Raises XfsTemplateError when it lacks one."""
    found = dict(_inodes(image))
    missing = [node.name for number, node in enumerate(nodes) if number not in found]
    if missing:
        raise XfsTemplateError(f"it lacks {len(missing)} files, {missing[0]} first")
    for number, node in enumerate(nodes):
        _fill(image, at=found[number], node=node)


def _inodes(image: bytearray) -> Iterator[tuple[int, int]]:
    """(number of the node, position) of every marked inode."""
    size = struct.unpack_from(">H", image, 104)[0]
    at = image.find(_INODE_MAGIC)
    while at >= 0:
        if at % size == 0:
            owner = struct.unpack_from(">I", image, at + 8)[0]
            if owner & MARK:
                yield owner - MARK, at
        at = image.find(_INODE_MAGIC, at + 1)


def _fill(image: bytearray, *, at: int, node: Node) -> None:
    size = struct.unpack_from(">H", image, 104)[0]
    times = node.times
    struct.pack_into(">H", image, at + 2, node.mode)
    struct.pack_into(">II", image, at + 8, node.uid, node.gid)
    big = bool(struct.unpack_from(">Q", image, at + 120)[0] & _BIGTIME)
    for offset, value in ((32, times.accessed), (40, times.modified), (48, times.changed), (144, times.created)):
        image[at + offset : at + offset + 8] = _time(value, big=big)
    node.inode = struct.unpack_from(">Q", image, at + 152)[0]
    if not node.is_directory and not node.is_symlink:
        _put_content(image, at=at, data=node.data)
    struct.pack_into("<I", image, at + 100, 0)
    struct.pack_into("<I", image, at + 100, crc32c(bytes(image[at : at + size])))


def _put_content(image: bytearray, *, at: int, data: bytes) -> None:
    block = struct.unpack_from(">I", image, 4)[0]
    blocks_per_group, group_bits = struct.unpack_from(">I", image, 84)[0], image[124]
    count = struct.unpack_from(">I", image, at + 76)[0]
    if data and image[at + 5] != _EXTENTS:
        raise XfsTemplateError(f"inode at {at} has content but no list of extents")
    for index in range(count if data else 0):
        high, low = struct.unpack_from(">QQ", image, at + _CORE + 16 * index)
        both = high << 64 | low
        logical, start, length = both >> 73 & (1 << 54) - 1, both >> 21 & (1 << 52) - 1, both & (1 << 21) - 1
        physical = (start >> group_bits) * blocks_per_group + (start & (1 << group_bits) - 1)
        piece = data[logical * block : (logical + length) * block]
        image[physical * block : physical * block + len(piece)] = piece


def _time(nanoseconds: int, *, big: bool) -> bytes:
    seconds, rest = divmod(nanoseconds, _NS)
    if big:
        return struct.pack(">Q", (seconds + _BIGTIME_EPOCH) * _NS + rest)
    return struct.pack(">iI", seconds, rest)


def write_sparse(out: BinaryIO, image: bytes) -> None:
    """Write what is not zero; the rest stays a hole."""
    for at in range(0, len(image), mmap.PAGESIZE):
        page = image[at : at + mmap.PAGESIZE]
        if any(page):
            out.seek(at)
            out.write(page)


def _table() -> tuple[int, ...]:
    values = []
    for number in range(256):
        value = number
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        values.append(value)
    return tuple(values)


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """Castagnoli's CRC, which XFS uses (RFC 3720, appendix B.4)."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF
