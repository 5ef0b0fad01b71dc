"""Unpacks a shipped file once: zstd to a file with holes where the content is zero, checked against its digest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard

SHIPPED = Path(__file__).resolve().parent / "shipped"
# The images were compressed with a window of 2**27 bytes, above what a decompressor grants by default.
WINDOW_LOG = 27
_CHUNK = 1 << 20
_HOLE = 4096


class ShippedFileError(RuntimeError):
    """A shipped file is missing or is not what its facts say; the message names it and what to do."""


def unpack_file(source: Path, *, target: Path, size: int, sha256: str) -> Path:
    """Unpack ``source`` (compressed when it ends in .zst) to ``target`` and return that.

    A target that already has ``size`` bytes and this digest is left alone. ShippedFileError when the source is
    damaged or missing, OSError when the target cannot be written; no half-written file stays at ``target``.
    """
    if target.is_file() and target.stat().st_size == size and _digest(target) == sha256:
        return target
    unfinished = target.with_name(f"{target.name}.{os.getpid()}.part")  # two labs may share the cache
    try:
        with source.open("rb") as stream, unfinished.open("wb") as out:
            digest = _write_sparse(_plain(stream, compressed=source.suffix == ".zst"), out=out)
        if digest != sha256:
            raise ShippedFileError(
                f"{source} unpacks to SHA-256 {digest}, its facts say {sha256}: "
                "the file is damaged or of another build; restore it from the repository"
            )
        unfinished.replace(target)
    except (FileNotFoundError, zstandard.ZstdError) as error:
        raise ShippedFileError(f"cannot unpack {source}: {error}; restore it from the repository") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return target


def _plain(stream: BinaryIO, *, compressed: bool) -> Iterator[bytes]:
    if compressed:
        yield from zstandard.ZstdDecompressor(max_window_size=1 << WINDOW_LOG).read_to_iter(stream, write_size=_CHUNK)
    else:
        while block := stream.read(_CHUNK):
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
