"""Logical volumes as LVM2's own metadata describes them."""

from __future__ import annotations

import io

import pytest

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystems import lvm
from lab.tools.disks.lvm import EXTENT, write_lvm

SIZE = 12 * EXTENT


def physical_volume(change: tuple[bytes, bytes] | None = None) -> lvm.Read:
    """A reader of a physical volume as the lab writes it, with some bytes of its metadata replaced."""
    out = io.BytesIO(bytes(SIZE))
    write_lvm(out, offset=0, size=SIZE, seed="test", made=1_700_000_000)
    image = out.getvalue()
    if change:
        old, new = change
        assert image.count(old) == 1
        image = image.replace(old, new.ljust(len(old)))
    return lambda offset, length: image[offset : offset + length]


def test_segments_come_in_the_volumes_order() -> None:
    (volume,) = lvm.volumes(physical_volume())
    assert isinstance(volume, lvm.LogicalVolume)
    assert (volume.group, volume.name) == ("vg0", "root")
    assert volume.pieces == ((4 * EXTENT, 8 * EXTENT), (EXTENT, 3 * EXTENT))


def test_stripes_alternate() -> None:
    read = physical_volume(
        (
            b'extent_count = 8\ntype = "striped"\nstripe_count = 1\nstripes = [\n"pv0", 3\n]',
            b'extent_count=1 type="striped"stripe_size=1024 stripes=["pv0",3,"pv0",7]',
        )
    )
    (volume,) = lvm.volumes(read)
    assert isinstance(volume, lvm.LogicalVolume)
    assert volume.pieces[:2] == ((4 * EXTENT, EXTENT // 2), (8 * EXTENT, EXTENT // 2))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ((b'extent_count = 8\ntype = "striped"', b'extent_count = 8\ntype = "thin"'), "type thin"),
        ((b'stripes = [\n"pv0", 3', b'stripes = [\n"pv9", 3'), "other volumes"),
    ],
)
def test_a_volume_that_cannot_be_put_together_says_why(change: tuple[bytes, bytes], reason: str) -> None:
    (volume,) = lvm.volumes(physical_volume(change))
    assert isinstance(volume, lvm.Unsupported)
    assert reason in volume.why


@pytest.mark.parametrize(
    "change",
    [
        (b"segment_count = 2", b"segment_count = 3"),
        (b"logical_volumes {", b"logical_volumes ="),
        (b'"Text Format Volume Group"', b'"' + b"{" * 9),
        (b" LVM2 x[5A%r0N*>", b" LVM2 y"),
        (b"extent_size = 2048", b"extent_size = x"),
    ],
)
def test_damaged_metadata_is_named(change: tuple[bytes, bytes]) -> None:
    with pytest.raises(EvidenceError, match="LVM"):
        lvm.volumes(physical_volume(change))
