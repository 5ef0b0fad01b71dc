"""Reading a volume that does not lie in one piece on one device."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forensic_toolkit.filesystems.overlay import Overlay
from forensic_toolkit.filesystems.storage import ZEROS, Joined, Stored, Striped, opened, part_of


@pytest.fixture
def device(tmp_path: Path) -> Stored:
    path = tmp_path / "device"
    path.write_bytes(bytes(range(100)))
    return Stored(str(path))


def test_reading_over_the_edges_of_pieces(device: Stored) -> None:
    outer = Joined([device], [(0, 50, 10), (ZEROS, 0, 2), (0, 20, 10)])
    inner = part_of(outer, 5, 12)
    assert inner.read(3, 100) == bytes([58, 59, 0, 0, 20, 21, 22, 23, 24])
    assert inner.read(12, 5) == b""
    assert part_of(device, 98, 10).read(0, 10) == bytes([98, 99])


def test_another_program_opens_the_same_bytes(device: Stored) -> None:
    first, second = part_of(device, 0, 40), part_of(device, 60, 40)
    whole = Striped([first, second, None], chunk=10, level=10, layout=0x102, size=60)
    copy = opened(json.loads(json.dumps(whole.described())))
    assert copy.read(0, 10) == whole.read(0, 10) == bytes(range(10))
    assert copy.size == whole.size


def test_an_overlay_changes_what_is_read_and_nothing_else(device: Stored, tmp_path: Path) -> None:
    overlay = Overlay(device, block=16)
    overlay.write(30, b"abcdef")
    overlay.write(96, b"xxxxxxxx")  # beyond the end
    view = overlay.stored(tmp_path / "changes")
    expected = bytes(range(30)) + b"abcdef" + bytes(range(36, 96)) + b"xxxx"
    assert view.read(0, 200) == overlay.read(0, 200)[:100] == expected
    assert device.read(0, 100) == bytes(range(100))
