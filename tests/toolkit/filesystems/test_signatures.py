"""What a volume holds, by the marks of file systems."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from forensic_toolkit.filesystems import signatures
from forensic_toolkit.filesystems.entries import Identity
from forensic_toolkit.filesystems.signatures import Content, content_of
from forensic_toolkit.filesystems.storage import Stored


def volume(folder: Path, *marks: tuple[int, bytes], size: int = 2 << 20) -> Stored:
    """A volume of zeros with some marks in it."""
    path = folder / "volume"
    content = bytearray(size)
    for at, mark in marks:
        content[at : at + len(mark)] = mark
    path.write_bytes(content)
    return Stored(str(path))


def test_superblocks_identify_file_systems(tmp_path: Path) -> None:
    xfs = bytearray(512)
    xfs[:4], xfs[108:112], xfs[32:48] = b"XFSB", b"data", bytes(range(16))
    struct.pack_into(">QQ", xfs, 128, 64, 4)
    expected = Identity("00010203-0405-0607-0809-0a0b0c0d0e0f", "data", 60)
    assert content_of(volume(tmp_path, (0, bytes(xfs)))) == Content(signatures.XFS, expected)


@pytest.mark.parametrize(
    ("at", "mark", "kind"),
    [
        (0, b"LUKS\xba\xbe", signatures.LUKS),
        (512, b"LABELONE", signatures.LVM),
        (65536 + 64, b"_BHRfS_M", signatures.BTRFS),
        (4086, b"SWAPSPACE2", signatures.SWAP),
        (65526, b"SWAPSPACE2", signatures.SWAP),  # pages of 64 KiB, as some arm64 systems have
        (3, b"NTFS    ", signatures.NTFS),
        (3, b"-FVE-FS-", "BitLocker"),
        (4120, bytes.fromhex("c68573f666ce90a9d96a60cf803df7ef"), "bcachefs"),
        (32768, b"JFS1", "JFS"),
        (131072 + 2048, bytes.fromhex("0cb1ba0000000000"), "ZFS"),
        (1 << 20, b"x", signatures.NONE),
        (0, b"", signatures.EMPTY),
    ],
)
def test_marks_are_looked_for_where_they_are(at: int, mark: bytes, kind: str, tmp_path: Path) -> None:
    assert content_of(volume(tmp_path, (at, mark))).kind == kind
