"""The evidence volume as a block device: found by its EBS volume id, opened read-only, hashed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

from forensic_toolkit.errors import EvidenceError

BY_ID = Path("/dev/disk/by-id")
_BLKROGET = 0x125E
_CHUNK = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Measured:
    """Size in bytes and SHA-256 of everything on the device."""

    bytes: int
    sha256: str


def locate(volume: str, *, by_id: Path = BY_ID) -> Path:
    """The device of an EBS volume. Raises EvidenceError when it is not attached."""
    link = by_id / f"nvme-Amazon_Elastic_Block_Store_{volume.replace('-', '', 1)}"
    if not link.exists():
        raise EvidenceError(f"volume {volume} is not attached to this instance: {link} does not exist")
    return link.resolve()


def others(device: Path, *, by_id: Path = BY_ID) -> list[Path]:
    """The other EBS volumes of this instance, without the one that it runs from: they may hold parts of the same arrays."""
    found = {link.resolve() for link in by_id.glob("nvme-Amazon_Elastic_Block_Store_vol*") if "-part" not in link.name}
    mounted = [line.split(" ", 1)[0] for line in Path("/proc/mounts").read_text("utf-8", "replace").splitlines()]
    return sorted(
        other for other in found if other != device and not any(name.startswith(str(other)) for name in mounted)
    )


def is_read_only(device: Path) -> bool | None:
    """Whether the kernel refuses writes to the device; None when it is not a block device."""
    if not stat.S_ISBLK(device.stat().st_mode):
        return None
    descriptor = os.open(device, os.O_RDONLY)
    try:
        answer = fcntl.ioctl(descriptor, _BLKROGET, struct.pack("i", 0))
    finally:
        os.close(descriptor)
    return bool(struct.unpack("i", answer)[0])


def measure(device: Path) -> Measured:
    """Read the whole device once. Raises EvidenceError on read errors and for an empty device."""
    digest, size = hashlib.sha256(), 0
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    try:
        with device.open("rb", buffering=0) as file:
            # Evidence is read once from start to end and need not push everything else out of the page cache.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            while count := file.readinto(buffer):
                digest.update(view[:count])
                size += count
    except OSError as error:
        raise EvidenceError(f"{device} cannot be read at byte {size}: {error.strerror}") from error
    if size == 0:
        raise EvidenceError(f"{device} is empty")
    return Measured(bytes=size, sha256=digest.hexdigest())
