"""The program that reads with dissect."""

from __future__ import annotations

import struct

from forensic_toolkit.filesystems.dissect_runner import freed_names


def _directory_entry(inode: int, name: bytes) -> bytes:
    raw = struct.pack(">QB", inode, len(name)) + name + b"\x01"
    return raw.ljust(-(-(len(raw) + 2) // 8) * 8 - 2, b"\0") + b"\0\0"


def test_names_removed_from_xfs_directories() -> None:
    first, gone, last = (_directory_entry(*item) for item in ((64, b"stays"), (65, b"stage.tar.gz"), (66, b"too")))
    # The kernel overwrites the first four bytes of a removed entry with the free tag and the length.
    freed = struct.pack(">HH", 0xFFFF, len(gone)) + gone[4:]
    entries = first + freed + last
    rest = 512 - 64 - len(entries)
    block = b"XDD3" + bytes(60) + entries + struct.pack(">HH", 0xFFFF, rest) + bytes(rest - 4)
    assert list(freed_names(block, block=512, has_type=True)) == [(65, "stage.tar.gz")]
    assert list(freed_names(b"\xff" * 512, block=512, has_type=True)) == []
    # A length of zero must not loop forever.
    assert list(freed_names(b"XDD3" + bytes(60) + b"\xff\xff\0\0" + bytes(444), block=512, has_type=True)) == []
