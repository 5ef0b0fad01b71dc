"""The shipped disk images: whole, small, and what the scenarios make today."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from lab.evidence import disk
from lab.evidence.unpacking import ShippedFileError
from lab.tools.disks.build import build
from lab.tools.disks.ship import SCENARIOS


def test_shipped_folder_is_small_enough_for_git() -> None:
    sizes = {path.name: path.stat().st_size for path in disk.SHIPPED.iterdir()}
    assert sorted(sizes) == sorted(f"{name}.{kind}" for name in SCENARIOS for kind in ("raw.zst", "facts.json"))
    assert sum(sizes.values()) < 6_000_000


@pytest.mark.parametrize("name", SCENARIOS)
def test_shipped_is_what_the_scenario_makes(name: str, tmp_path: Path) -> None:
    made = build(SCENARIOS[name], tmp_path / f"{name}.raw")
    again = "a scenario or the builder has changed: run `python -m lab.tools.disks.ship` and commit what it writes"
    assert json.loads(made.facts_file.read_text()) == disk.facts(name), again
    unpacked = disk.unpack(name, tmp_path / "cache")
    assert hashlib.sha256(unpacked.image.read_bytes()).hexdigest() == made.sha256
    assert json.loads(unpacked.facts.read_text()) == disk.facts(name)


def test_unpacked_image_is_sparse(tmp_path: Path) -> None:
    image = disk.unpack("web-server", tmp_path).image
    assert image.stat().st_blocks * 512 < image.stat().st_size / 4


def test_damaged_shipment_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = tmp_path / "shipped"
    shutil.copytree(disk.SHIPPED, shipped)
    shutil.copy(shipped / "web-server.raw.zst", shipped / "tiny.raw.zst")
    monkeypatch.setattr(disk, "SHIPPED", shipped)
    with pytest.raises(ShippedFileError, match=r"tiny\.raw\.zst unpacks to SHA-256 .*restore it"):
        disk.unpack("tiny", tmp_path / "out")
    (shipped / "tiny.raw.zst").unlink()
    with pytest.raises(ShippedFileError, match=r"cannot unpack .*tiny\.raw\.zst"):
        disk.unpack("tiny", tmp_path / "out")
    with pytest.raises(ShippedFileError, match=r"cannot read .*none\.facts\.json"):
        disk.unpack("none", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
