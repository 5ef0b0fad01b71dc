"""What a volume holds, by its first sectors."""

from __future__ import annotations

import struct

import pytest

from forensic_toolkit.filesystems import volumes
from forensic_toolkit.filesystems.entries import Identity
from forensic_toolkit.filesystems.volumes import guess_content


def test_superblocks_identify_file_systems() -> None:
    xfs = bytearray(4096)
    xfs[:4], xfs[108:112], xfs[32:48] = b"XFSB", b"data", bytes(range(16))
    struct.pack_into(">QQ", xfs, 128, 64, 4)
    assert volumes.identity(bytes(xfs)) == Identity("00010203-0405-0607-0809-0a0b0c0d0e0f", "data", 60)
    assert volumes.identity(bytes(4096)) == Identity()


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"XFSB" + bytes(508), "XFS"),
        (b"LUKS\xba\xbe", "encrypted"),
        (bytes(512), "empty"),
        (b"x" * 512, "no known"),
    ],
)
def test_unreadable_file_systems_are_named(head: bytes, words: str) -> None:
    assert words in guess_content(head)
