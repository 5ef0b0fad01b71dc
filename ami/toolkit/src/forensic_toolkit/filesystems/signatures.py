"""What a volume holds, by the places where file systems and containers keep their marks; never by its first sectors alone.

Places and magic numbers are those of libblkid (util-linux, libblkid/src/superblocks) and of the kernel's own headers.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from forensic_toolkit.filesystems.entries import Identity
from forensic_toolkit.filesystems.storage import Storage

EXT, XFS, BTRFS, LUKS, BITLOCKER, LVM, RAID, SWAP, FAT, NTFS, NONE, EMPTY = (
    "ext", "XFS", "btrfs", "LUKS", "BitLocker", "LVM", "RAID", "swap", "FAT", "NTFS", "nothing known", "empty",
)  # fmt: skip
BTRFS_AT = 65536
# LUKS2 keeps a second header behind the first, which may be of any of these sizes (specification 1.1, 2.1).
LUKS_FIRST, LUKS_COPY = b"LUKS\xba\xbe", b"SKUL\xba\xbe"
LUKS_COPIES = tuple(0x4000 << power for power in range(9))
BTRFS_COPIES = (64 << 20, 256 << 30)
ENCRYPTED = (LUKS, BITLOCKER)
# A BitLocker volume names its metadata by one of these in the boot sector (libbde, "BitLocker Drive Encryption (BDE) format"): To Go looks like
# FAT otherwise. The second one is of a volume that is encrypted while it is written to.
_BITLOCKER_IDS = (bytes.fromhex("3bd66749292ed84a8399f6a339e3d001"), bytes.fromhex("3b4da89280dd0e4d9e4eb1e3284eaed8"))
_BCACHE = bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81")
_BCACHEFS = bytes.fromhex("c68573f666ce90a9d96a60cf803df7ef")
# Marks of what no reader here knows: (offset, bytes, name). They are named in the gap.
_OTHERS = (
    (4096 + 24, _BCACHE, "bcache"),
    (4096 + 24, _BCACHEFS, "bcachefs"),
    (32768, b"JFS1", "JFS"),
    (65536 + 52, b"ReIsEr", "ReiserFS"),
    (1024, bytes.fromhex("1020f5f2"), "F2FS"),
    (1024, bytes.fromhex("e2e1f5e0"), "EROFS"),
    (0, b"hsqs", "squashfs"),
    (1024 + 6, b"\x34\x34", "NILFS2"),
    (65536, bytes.fromhex("01161970"), "GFS2"),
    (8192, b"OCFSV2", "OCFS2"),
    (16384, b"OCFSV2", "OCFS2"),
    (0, b"LVM2 001", "LVM"),
    (24, b"VMFS", "VMFS"),
)
_ZFS_UBERBLOCKS = range(128 << 10, 256 << 10, 1024)
_ZFS_MAGIC = (bytes.fromhex("0cb1ba0000000000"), bytes.fromhex("0000000000bab10c"))
_PAGES = (4096, 8192, 16384, 65536)
# All of a volume up to this size is looked at before it is called empty; of larger ones samples.
_WHOLE = 64 << 20
_SAMPLES = 4096


@dataclass(frozen=True, slots=True)
class Content:
    """What a volume holds: one of the kinds above, or the name of something that is not read."""

    kind: str
    identity: Identity = field(default_factory=Identity)


def content_of(volume: Storage) -> Content:
    """Look at all places where a known mark may be."""
    head = volume.read(0, 4096)
    if head[:6] == LUKS_FIRST:
        return Content(LUKS, Identity(_text(head[168:208])))
    if any(head[start : start + 8] == b"LABELONE" for start in range(0, 2048, 512)):
        return Content(LVM)
    if is_bitlocker(volume):
        return Content(BITLOCKER)
    if head[:4] == b"XFSB":
        # sb_icount and sb_ifree count allocated inodes; three of them (bitmaps, quota) may have no name.
        used = struct.unpack_from(">Q", head, 128)[0] - struct.unpack_from(">Q", head, 136)[0]
        return Content(XFS, Identity(_uuid(head[32:48]), _text(head[108:120]), used))
    if head[1080:1082] == b"\x53\xef":
        block = head[1024:2048]
        used = int.from_bytes(block[0:4], "little") - int.from_bytes(block[16:20], "little")
        return Content(EXT, Identity(_uuid(block[104:120]), _text(block[120:136]), used))
    if volume.read(BTRFS_AT + 64, 8) == b"_BHRfS_M":
        block = volume.read(BTRFS_AT, 4096)
        return Content(BTRFS, Identity(_uuid(block[32:48]), _text(block[299:555])))
    if any(volume.read(page - 10, 10) in (b"SWAPSPACE2", b"SWAP-SPACE") for page in _PAGES):
        return Content(SWAP)
    return _boot_sector(head) or _another(volume)


def is_bitlocker(volume: Storage) -> bool:
    """Whether a boot sector is that of BitLocker, or of BitLocker To Go."""
    head = volume.read(0, 512)
    return head[3:11] == b"-FVE-FS-" or (head[510:512] == b"\x55\xaa" and any(mark in head for mark in _BITLOCKER_IDS))


def _boot_sector(head: bytes) -> Content | None:
    if head[3:11] == b"NTFS    ":
        return Content(NTFS, Identity(head[72:80][::-1].hex()))
    if head[3:11] == b"EXFAT   ":
        return Content(FAT, Identity(_serial(head[100:104])))
    if head[510:512] == b"\x55\xaa" and head[82:87] == b"FAT32":
        return Content(FAT, Identity(_serial(head[67:71]), _text(head[71:82]).strip()))
    if head[510:512] == b"\x55\xaa" and head[54:57] == b"FAT":
        return Content(FAT, Identity(_serial(head[39:43]), _text(head[43:54]).strip()))
    return None


def _another(volume: Storage) -> Content:
    for offset, mark, name in _OTHERS:
        if volume.read(offset, len(mark)) == mark:
            return Content(name)
    if copy := next((at for at in LUKS_COPIES if volume.read(at, 6) == LUKS_COPY), None):
        return Content(LUKS, Identity(_text(volume.read(copy + 168, 40))))
    label = volume.read(_ZFS_UBERBLOCKS.start, len(_ZFS_UBERBLOCKS) * 1024)
    if any(label[at : at + 8] in _ZFS_MAGIC for at in range(0, len(label), 1024)):
        return Content("ZFS")
    if volume.read(32769, 5) == b"CD001":
        return Content("ISO 9660")
    return Content(EMPTY if _is_empty(volume) else NONE)


def _is_empty(volume: Storage) -> bool:
    """Whether there is nothing but zeros: everywhere in a small volume, at 4,096 even distances in a large one."""
    if volume.size <= _WHOLE:
        return not any(any(volume.read(at, 1 << 20)) for at in range(0, volume.size, 1 << 20))
    step = volume.size // _SAMPLES // 4096 * 4096
    return not any(
        any(volume.read(at, 16384)) for at in (*range(0, _WHOLE, 1 << 20), *range(0, volume.size, max(step, 4096)))
    )


def high_entropy(volume: Storage) -> bool:
    """Whether the first MiB looks random, or what lies at three places further on: encrypted or compressed data without a header.

    The start may differ: a header of LUKS1 that was wiped leaves zeros and key material.
    """
    quarter = volume.size // 4 >> 20 << 20
    return _is_random(volume, 0) or (quarter > 0 and all(_is_random(volume, part * quarter) for part in (1, 2, 3)))


def _is_random(volume: Storage, offset: int) -> bool:
    data = volume.read(offset, 1 << 20)
    counts = [0] * 256
    for byte in data:
        counts[byte] += 1
    even = len(data) / 256
    return len(data) == 1 << 20 and all(0.9 * even < count < 1.1 * even for count in counts)


def _uuid(raw: bytes) -> str:
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _serial(raw: bytes) -> str:
    """A FAT volume's number as fstab writes it."""
    number = raw[::-1].hex()
    return f"{number[:4]}-{number[4:]}"


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")
