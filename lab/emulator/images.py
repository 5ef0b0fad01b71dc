"""Volumes and snapshots as raw image files.

A volume is a file that somebody registered, or the copy of a snapshot; a snapshot is the copy of a volume's
file at the moment of the call. Copies keep holes, so an image of many GiB costs what is written in it.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import threading
from pathlib import Path

BLOCK_BYTES = 512 * 1024
_CHUNK = 64 * 1024 * 1024


class ImageError(ValueError):
    """An image cannot be registered or copied; the message says which, and why."""


_volumes: dict[str, Path] = {}
_snapshots: dict[str, Path] = {}
_lock = threading.RLock()
_directory: Path | None = None


def open_store(directory: Path | None) -> None:
    """Keep copies under `directory`/images from now on, and forget every image known so far."""
    global _directory
    with _lock:
        _volumes.clear()
        _snapshots.clear()
        _directory = None if directory is None else directory / "images"
        if _directory is not None:
            _directory.mkdir(parents=True, exist_ok=True)


def go_on_in(directory: Path) -> None:
    """In a fork: the same images under names of its own, so that what one process deletes or makes is not what another one reads."""
    global _directory
    with _lock:
        _directory = directory / "images"
        _directory.mkdir(parents=True, exist_ok=True)
        for known in (_volumes, _snapshots):
            for name, path in known.items():
                target = _directory.resolve() / f"{name}.raw"
                try:
                    target.hardlink_to(path)
                except OSError as error:  # another file system: nothing is deleted there either
                    if error.errno not in (errno.EXDEV, errno.EPERM):
                        raise
                else:
                    known[name] = target


def register_volume(volume_id: str, *, path: Path) -> None:
    """Let a volume be this file, used as it is and never written by the lab. Raises ImageError."""
    if not volume_id.startswith("vol-"):
        raise ImageError(f"{volume_id!r} is not a volume id (vol-…)")
    if not path.is_file():
        raise ImageError(f"no image file {path} for {volume_id}; give the absolute path of a raw image")
    with _lock:
        _volumes[volume_id] = path.resolve()


def volume_path(volume_id: str) -> Path | None:
    """The file that is this volume, or None when the lab has no image for it."""
    with _lock:
        return _volumes.get(volume_id)


def snapshot_path(snapshot_id: str) -> Path | None:
    """The file that is this snapshot, or None when its volume had no image."""
    with _lock:
        return _snapshots.get(snapshot_id)


def capture_snapshot(volume_id: str, *, snapshot_id: str) -> None:
    """Copy the volume's bytes of this moment; nothing happens when the volume has no image."""
    with _lock:
        source = _volumes.get(volume_id)
        if source is None:
            return
        target = _file(f"{snapshot_id}.raw")
        copy_sparse(source, target=target)
        target.chmod(0o444)
        _snapshots[snapshot_id] = target


def copy_snapshot(source_id: str, *, snapshot_id: str) -> None:
    """Let a second snapshot hold the same bytes (a hard link); nothing happens without an image."""
    with _lock:
        source = _snapshots.get(source_id)
        if source is None:
            return
        target = _file(f"{snapshot_id}.raw")
        target.unlink(missing_ok=True)
        target.hardlink_to(source)
        _snapshots[snapshot_id] = target


def restore_volume(snapshot_id: str, *, volume_id: str) -> None:
    """Make a volume's file from a snapshot: a copy of its own, since an instance may write to it."""
    with _lock:
        source = _snapshots.get(snapshot_id)
        if source is None:
            return
        target = _file(f"{volume_id}.raw")
        copy_sparse(source, target=target)
        _volumes[volume_id] = target


def forget_volume(volume_id: str) -> None:
    """Drop a deleted volume; its file goes only if the lab made it."""
    with _lock:
        path = _volumes.pop(volume_id, None)
        if path is not None and _directory is not None and path.parent == _directory.resolve():
            path.unlink(missing_ok=True)


def forget_snapshot(snapshot_id: str) -> None:
    """Drop a deleted snapshot and its file; copies of it keep their bytes."""
    with _lock:
        path = _snapshots.pop(snapshot_id, None)
        if path is not None:
            path.unlink(missing_ok=True)


def _file(name: str) -> Path:
    if _directory is None:
        raise ImageError(f"no state folder to keep {name} in; start the lab with --state DIR")
    return _directory.resolve() / name


def copy_sparse(source: Path, *, target: Path) -> None:
    """Copy a file with its holes, in the kernel where it can. Raises ImageError."""
    try:
        with source.open("rb") as reader, target.open("wb") as writer:
            size = os.fstat(reader.fileno()).st_size
            writer.truncate(size)
            for start, end in data_ranges(reader.fileno(), size=size):
                _copy_range(reader.fileno(), writer.fileno(), start=start, end=end)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise ImageError(f"cannot copy image {source} to {target}: {error}") from error


def data_ranges(descriptor: int, *, size: int) -> list[tuple[int, int]]:
    """The (start, end) byte ranges of a file that are not holes, ascending."""
    ranges = []
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break  # nothing but a hole up to the end
            raise
        position = os.lseek(descriptor, start, os.SEEK_HOLE)
        ranges.append((start, position))
    return ranges


def _copy_range(reader: int, writer: int, *, start: int, end: int) -> None:
    position = start
    while position < end:
        count = min(end - position, _CHUNK)
        try:
            done = os.copy_file_range(reader, writer, count, position, position)
        except OSError as error:
            # older kernels cannot do it across file systems
            if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            done = os.pwrite(writer, os.pread(reader, count, position), position)
        if done == 0:
            raise OSError(errno.EIO, f"file ended at {position} while it was copied; {end} bytes were expected")
        position += done


def block_indexes(path: Path) -> list[int]:
    """Numbers of the 512 KiB blocks that hold data, ascending: what AWS lists of a snapshot."""
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        found: set[int] = set()
        for start, end in data_ranges(stream.fileno(), size=size):
            found.update(range(start // BLOCK_BYTES, -(-end // BLOCK_BYTES)))
    return sorted(found)


def read_block(path: Path, *, index: int) -> bytes:
    """One 512 KiB block, filled up with zeros past the end of the file."""
    with path.open("rb") as stream:
        stream.seek(index * BLOCK_BYTES)
        return stream.read(BLOCK_BYTES).ljust(BLOCK_BYTES, b"\0")


def checksum(data: bytes) -> str:
    """SHA-256 in base64, as EBS gives it."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()
