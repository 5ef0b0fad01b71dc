"""The evidence volume as a device."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystems import block_device

VOLUME = "vol-0123456789abcdef0"


def test_block_device_by_volume_id(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"evidence")
    (tmp_path / "nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0").symlink_to(image)
    device = block_device.locate(VOLUME, by_id=tmp_path)
    assert block_device.measure(device) == block_device.Measured(8, hashlib.sha256(b"evidence").hexdigest())
    image.write_bytes(b"")
    with pytest.raises(EvidenceError, match="empty"):
        block_device.measure(device)


def test_other_volumes_of_the_instance_but_not_its_partitions(tmp_path: Path) -> None:
    names = ("vol0aaaaaaaa", "vol0bbbbbbbb", "vol0bbbbbbbb-part1")
    for name in names:
        (tmp_path / f"device-{name}").touch()
        (tmp_path / f"nvme-Amazon_Elastic_Block_Store_{name}").symlink_to(tmp_path / f"device-{name}")
    device = block_device.locate("vol-0aaaaaaaa", by_id=tmp_path)
    assert block_device.others(device, by_id=tmp_path) == [tmp_path / "device-vol0bbbbbbbb"]
