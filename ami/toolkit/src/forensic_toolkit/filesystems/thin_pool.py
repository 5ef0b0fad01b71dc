"""The mapping of a thin volume: which block of the pool holds which block of the volume.

Source: the kernel's drivers/md/dm-thin-metadata.c and persistent-data/dm-btree-internal.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystems.storage import ZEROS, Storage

_BLOCK = 4096
_MAGIC = 27022010
_INTERNAL = 1
_MAX_DEPTH = 12
_TIME_BITS = 24
SECTOR = 512


def mapping(metadata: Storage, *, device: int, length: int) -> list[tuple[int, int, int]]:
    """The pieces of a thin volume as (0, offset in the pool, length) in bytes; what was never written comes as zeros.

    Raises EvidenceError when the pool's metadata is damaged or does not know the volume.
    """
    head = metadata.read(0, _BLOCK)
    if len(head) < _BLOCK or struct.unpack_from("<Q", head, 32)[0] != _MAGIC:
        raise EvidenceError("its thin pool has no valid metadata")
    root = struct.unpack_from("<Q", head, 320)[0]
    size = struct.unpack_from("<I", head, 336)[0] * SECTOR
    trees = dict(_leaves(metadata, root, depth=0))
    if size <= 0 or device not in trees:
        raise EvidenceError(f"its thin pool does not know a volume with the number {device}")
    pieces: list[tuple[int, int, int]] = []
    at = 0
    for block, value in _leaves(metadata, trees[device], depth=0):
        start, place = block * size, (value >> _TIME_BITS) * size
        if start >= length:
            break
        if start < at:
            raise EvidenceError("its thin pool's metadata is damaged: blocks are not in order")
        if start > at:
            pieces.append((ZEROS, 0, start - at))
        count = min(size, length - start)
        if pieces and pieces[-1][0] == 0 and pieces[-1][1] + pieces[-1][2] == place:
            pieces[-1] = (0, pieces[-1][1], pieces[-1][2] + count)
        else:
            pieces.append((0, place, count))
        at = start + count
    return [*pieces, (ZEROS, 0, length - at)] if at < length else pieces


def _leaves(metadata: Storage, block: int, *, depth: int) -> Iterator[tuple[int, int]]:
    """(key, value) of a tree in order of the keys."""
    node = metadata.read(block * _BLOCK, _BLOCK)
    if len(node) < _BLOCK or depth > _MAX_DEPTH:
        raise EvidenceError("its thin pool's metadata is damaged")
    _sum, flags, own, entries, most, size = struct.unpack_from("<IIQIII", node)
    if own != block or entries > most or 32 + most * (8 + size) > _BLOCK or size != 8:
        raise EvidenceError(f"its thin pool's metadata is damaged at block {block}")
    keys = struct.unpack_from(f"<{entries}Q", node, 32)
    values = struct.unpack_from(f"<{entries}Q", node, 32 + 8 * most)
    for key, value in zip(keys, values, strict=True):
        if flags & _INTERNAL:
            yield from _leaves(metadata, value, depth=depth + 1)
        else:
            yield key, value
