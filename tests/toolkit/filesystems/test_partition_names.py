"""PARTUUID and PARTLABEL of tables that sfdisk and fdisk (util-linux 2.38) wrote: the first 64 KiB of three disks.

``label: gpt`` with partitions at sectors 2048 (root) and 22528 (var log); the same as ``label: dos``, ``label-id: 0x1a2b3c4d``; and
``label: gpt`` with sectors of 4 KiB and one partition at sector 256 (data).
"""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from forensic_toolkit.filesystems import partition_names

DATA = Path(__file__).parents[1] / "data" / "disks"
GUID = "8a7b6c5d-4e3f-4a1b-9c8d-7e6f5a4b3c2d"


class Head:
    """The first bytes of a disk as a storage."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = 64 << 20

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


def head(name: str) -> bytes:
    return lzma.decompress((DATA / f"{name}-table.xz").read_bytes())


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (
            "gpt",
            {
                2048 * 512: ("partuuid:0fc63daf-8483-4772-8e79-3d69d8477de4", "number:1", "partlabel:root"),
                22528 * 512: (f"partuuid:{GUID}", "number:2", "partlabel:var log"),
            },
        ),
        ("mbr", {2048 * 512: ("partuuid:1a2b3c4d-01", "number:1"), 22528 * 512: ("partuuid:1a2b3c4d-02", "number:2")}),
        ("gpt4k", {256 * 4096: (f"partuuid:{GUID}", "number:1", "partlabel:data")}),
    ],
)
def test_names_are_those_that_linux_gives(name: str, wanted: dict[int, tuple[str, ...]]) -> None:
    assert partition_names.of_table(Head(head(name))) == wanted  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 100, 512, 600, 1024, 1100])
def test_a_table_that_is_cut_off_or_wrong_gives_no_names(size: int) -> None:
    for name in ("gpt", "mbr"):
        partition_names.of_table(Head(head(name)[:size]))  # type: ignore[arg-type]
    damaged = bytearray(head("gpt"))
    damaged[512 + 72 : 512 + 92] = b"\xff" * 20
    assert partition_names.of_table(Head(bytes(damaged))) == {}  # type: ignore[arg-type]
