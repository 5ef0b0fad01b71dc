"""Logical volumes as LVM2's own metadata describes them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystems import lvm
from forensic_toolkit.filesystems.lvm_metadata import PhysicalVolume
from forensic_toolkit.filesystems.storage import Stored
from lab.tools.disks.lvm import EXTENT, write_lvm

SIZE = 12 * EXTENT


def physical_volume(folder: Path, change: tuple[bytes, bytes] | None = None) -> PhysicalVolume:
    """A physical volume as the lab writes it, with some bytes of its metadata replaced, and a number in each extent."""
    out = io.BytesIO(bytes(SIZE))
    write_lvm(out, offset=0, size=SIZE, seed="test", made=1_700_000_000)
    image = bytearray(out.getvalue())
    for extent in range(1, 12):
        image[extent * EXTENT] = extent
        image[extent * EXTENT + EXTENT // 2] = 100 + extent
    if change:
        old, new = change
        assert image.count(old) == 1
        image = image.replace(old, new.ljust(len(old)))
    path = folder / "disk"
    path.write_bytes(image)
    return PhysicalVolume(Stored(str(path)))


def test_segments_come_in_the_volumes_order(tmp_path: Path) -> None:
    (volume,) = lvm.volumes([physical_volume(tmp_path)])
    assert isinstance(volume, lvm.LogicalVolume)
    assert (volume.group, volume.name) == ("vg0", "root")
    numbers = [volume.storage.read(extent * EXTENT, 1)[0] for extent in range(11)]
    assert numbers == [4, 5, 6, 7, 8, 9, 10, 11, 1, 2, 3]


def test_stripes_alternate(tmp_path: Path) -> None:
    change = (
        b'extent_count = 8\ntype = "striped"\nstripe_count = 1\nstripes = [\n"pv0", 3\n]',
        b'extent_count=8 type="striped"stripe_size=1024 stripes=["pv0",3,"pv0",7]',
    )
    (volume,) = lvm.volumes([physical_volume(tmp_path, change)])
    assert isinstance(volume, lvm.LogicalVolume)
    halves = [volume.storage.read(half * EXTENT // 2, 1)[0] for half in range(4)]
    assert halves == [4, 8, 104, 108]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ((b'extent_count = 8\ntype = "striped"', b'extent_count = 8\ntype = "cache"'), "type cache"),
        ((b'stripes = [\n"pv0", 3', b'stripes = [\n"pv9", 3'), "other volumes"),
        ((b"segment_count = 2", b"segment_count = 3"), "damaged metadata"),
    ],
)
def test_a_volume_that_cannot_be_put_together_says_why(
    change: tuple[bytes, bytes], reason: str, tmp_path: Path
) -> None:
    (volume,) = lvm.volumes([physical_volume(tmp_path, change)])
    assert isinstance(volume, lvm.Unsupported)
    assert reason in volume.why


@pytest.mark.parametrize(
    "change",
    [
        (b'"Text Format Volume Group"', b'"' + b"{" * 9),
        (b" LVM2 x[5A%r0N*>", b" LVM2 y"),
        (b"physical_volumes {", b"physical_volumes ="),
    ],
)
def test_damaged_metadata_is_named(change: tuple[bytes, bytes], tmp_path: Path) -> None:
    (volume,) = lvm.volumes([physical_volume(tmp_path, change)])
    assert isinstance(volume, lvm.Unsupported)
    assert "LVM" in volume.why


def test_a_label_without_a_header_is_named(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(512) + b"LABELONE" + bytes(4096))
    with pytest.raises(EvidenceError, match="not LVM2"):
        PhysicalVolume(Stored(str(path)))
