"""Evidence images that are stored compressed, unpacked once: zstd to a file with holes where the image is
zero.
"""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

MAGIC = b"\x28\xb5\x2f\xfd"
_BLOCK = 1024 * 1024
_WINDOW = 1 << 31
_lock = threading.Lock()


class UnpackError(Exception):
    """The image cannot be unpacked; the message says which, and why."""


def ready(image: Path, *, cache: Path) -> Path:
    """The raw image: the file itself, or its unpacked form in `cache`. Raises UnpackError."""
    try:
        with image.open("rb") as stream:
            compressed = stream.read(len(MAGIC)) == MAGIC
        about = image.stat()
    except OSError as error:
        raise UnpackError(f"{image}: {error.strerror}") from error
    if not compressed:
        return image.resolve()
    key = hashlib.sha256(f"{image.resolve()}\n{about.st_size}\n{about.st_mtime_ns}".encode()).hexdigest()[:16]
    target = cache / f"{image.name.removesuffix('.zst')}-{key}"
    with _lock:  # two commands on two instances with the same image: the second waits for the first
        if not target.exists():
            cache.mkdir(parents=True, exist_ok=True)
            _unpack(image, target=target)
    return target


def _unpack(image: Path, *, target: Path) -> None:
    try:
        import zstandard
    except ModuleNotFoundError as error:
        raise UnpackError(f"{image} is zstd-compressed and the package zstandard is not installed") from error
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with image.open("rb") as source, fresh.open("wb") as sink:
            reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(source)
            size = 0
            while block := reader.read(_BLOCK):
                if block.count(0) == len(block):
                    sink.seek(len(block), os.SEEK_CUR)
                else:
                    sink.write(block)
                size += len(block)
            sink.truncate(size)
        fresh.chmod(0o444)
        fresh.replace(target)
    except (OSError, zstandard.ZstdError) as error:
        fresh.unlink(missing_ok=True)
        raise UnpackError(f"{image} cannot be unpacked to {target}: {error}") from error
