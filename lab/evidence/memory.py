"""The shipped memory image: real Linux memory with a hidden implant, and what a symbol table is made of.

How it was made: lab/tools/memory/make_memory.py. What is in it: lab/evidence/shipped/memory/facts.json.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

SHIPPED = Path(__file__).resolve().parent / "shipped" / "memory"
FACTS = SHIPPED / "facts.json"
# The image was packed with a window of 2**27 bytes, above what a decompressor grants by itself.
_WINDOW = 1 << 27
_CHUNK = 1 << 20
_HOLE = 4096


class MemoryImageError(RuntimeError):
    """A shipped or unpacked file is not what facts.json says; the message names it and what to do."""


@dataclass(frozen=True)
class MemoryFiles:
    """Unpacked files: LiME image, the kernel's BTF, kallsyms, /proc/version, /proc/iomem, and the facts."""

    memory: Path
    btf: Path
    kallsyms: Path
    version: Path
    iomem: Path
    facts: Path


def facts() -> dict[str, Any]:
    """facts.json: files with digests, and the planted facts. MemoryImageError if it is unreadable."""
    try:
        return dict(json.loads(FACTS.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise MemoryImageError(f"cannot read {FACTS}: {error}; restore it from the repository") from error


def unpack(dest: Path) -> MemoryFiles:
    """Put everything into the folder `dest` and return the paths; 105 MiB, sparse. Takes about a second.

    Every file is checked against facts.json; one that is there already and right is left alone.
    MemoryImageError when a shipped file is damaged, OSError when `dest` cannot be written.
    """
    listed = facts()["files"]
    dest.mkdir(parents=True, exist_ok=True)
    wanted = {
        "memory.lime": "memory",
        "btf": "btf",
        "kallsyms": "kallsyms",
        "version": "version",
        "iomem": "iomem",
    }
    paths = {field: _unpack_one(name, entry=listed[name], dest=dest) for name, field in wanted.items()}
    copy = dest / "facts.json"
    copy.write_bytes(FACTS.read_bytes())
    return MemoryFiles(**paths, facts=copy)


def _unpack_one(name: str, *, entry: dict[str, Any], dest: Path) -> Path:
    target = dest / name
    if target.is_file() and target.stat().st_size == entry["bytes"] and _digest(target) == entry["sha256"]:
        return target
    source = SHIPPED / (entry["packed"] or name)
    unfinished = target.with_name(f"{name}.{os.getpid()}.part")  # two labs may share the cache
    try:
        with source.open("rb") as packed, unfinished.open("wb") as out:
            digest = _write_sparse(_plain(packed, is_packed=bool(entry["packed"])), out=out)
        if digest != entry["sha256"]:
            raise MemoryImageError(
                f"{source} unpacks to SHA-256 {digest}, facts.json says {entry['sha256']}: "
                "the file is damaged or of another build; restore it from the repository"
            )
        unfinished.replace(target)
    except (FileNotFoundError, zstandard.ZstdError) as error:
        raise MemoryImageError(f"cannot unpack {source}: {error}; restore it from the repository") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return target


def _plain(packed: BinaryIO, *, is_packed: bool) -> Iterator[bytes]:
    if is_packed:
        yield from zstandard.ZstdDecompressor(max_window_size=_WINDOW).read_to_iter(packed, write_size=_CHUNK)
    else:
        while block := packed.read(_CHUNK):
            yield block


def _write_sparse(blocks: Iterator[bytes], *, out: BinaryIO) -> str:
    """Write with holes for pages of zeros; returns the SHA-256 of all bytes."""
    digest, length = hashlib.sha256(), 0
    for block in blocks:
        digest.update(block)
        if block.count(0) == len(block):
            out.seek(len(block), 1)
        else:
            _write_pages(block, out=out)
        length += len(block)
    out.truncate(length)
    return digest.hexdigest()


def _write_pages(block: bytes, *, out: BinaryIO) -> None:
    """Runs of non-zero pages in one write each."""
    zero = bytes(_HOLE)
    start: int | None = None
    for position in range(0, len(block), _HOLE):
        if block[position : position + _HOLE] == zero:
            if start is not None:
                out.write(block[start:position])
                start = None
            out.seek(_HOLE, 1)
        elif start is None:
            start = position
    if start is not None:
        out.write(block[start:])


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
