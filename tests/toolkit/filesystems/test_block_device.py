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
