"""Names of deleted files in an ext4 journal."""

from __future__ import annotations

import struct

from forensic_toolkit.filesystems import deleted_names


def entry(inode: int, name: bytes, *, kind: int, length: int) -> bytes:
    """An ext4 directory entry."""
    return struct.pack("<IHBB", inode, length, len(name), kind) + name.ljust(length - 8, b"\0")


def test_deleted_names_in_copies_of_directory_blocks() -> None:
    own, parent = entry(11, b".", kind=2, length=12), entry(2, b"..", kind=2, length=12)
    gone = entry(99, b"gone.tgz", kind=1, length=1024 - 24 - 12)
    here = struct.pack("<IHBB", 98, 1024 - 24, 4, 1) + b"here" + gone
    block = own + parent + here
    assert len(block) == 1024
    names = list(deleted_names.in_blocks(bytes(1024) + block + b"\xff" * 1024, block=1024))
    assert [(name.folder_inode, name.name, name.inode) for name in names] == [
        (11, "here", 98),
        (11, "gone.tgz", 99),
    ]
    # A block that only begins like a directory block gives no names.
    assert list(deleted_names.in_blocks(block[:30] + b"\xff" * 994, block=1024)) == []
