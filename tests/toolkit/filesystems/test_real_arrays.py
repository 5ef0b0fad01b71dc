"""Arrays and logical volumes made by mdadm and LVM2 on a kernel of Debian (data/disks/make_arrays.sh), put together again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.toolkit.examined import NO_TOOLS, TOOLS, run
from tests.toolkit.filesystems.test_real_images import digest, unpacked

pytestmark = pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
ARRAYS = {"raid1": 2, "raid0": 2, "raid5": 3, "raid6": 4, "raid10": 3, "old": 2, "offset": 2}
# Each file system holds the digests of its own files.
_READ = """
import hashlib, json, sys
from pathlib import Path
from forensic_toolkit.filesystems.volumes import Disk
from forensic_toolkit.results import Results
from forensic_toolkit.times import now

results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
found = {}
for opened, _ in Disk(Path(sys.argv[1]), others=[Path(path) for path in sys.argv[2:]]).file_systems(results):
    entries = {entry.path: entry for entry in opened.walk() if not entry.deleted}
    sums = [line.split() for line in entries["/etc/sums"].read().decode().splitlines()]
    right = sum(hashlib.sha256(entries["/" + path].read()).hexdigest() == digest for digest, path in sums)
    name = opened.partition.description
    found[name] = [entries["/etc/name"].read().decode().strip(), right, len(sums), "/etc/later" in entries]
print(json.dumps({"found": found, "gaps": results.gaps}))
"""


def read(*images: Path) -> dict[str, Any]:
    """What is found on the first image with the help of the others; none of them changes."""
    before = [digest(image) for image in images]
    document: dict[str, Any] = json.loads(run(_READ, *map(str, images)))
    assert [digest(image) for image in images] == before
    return document


@pytest.mark.parametrize(("name", "count"), ARRAYS.items())
def test_an_array_whose_members_are_all_there_is_read(name: str, count: int, tmp_path: Path) -> None:
    members = [unpacked(f"{name}-{number}", tmp_path) for number in range(1, count + 1)]
    document = read(members[-1], *members[:-1])
    assert document["gaps"] == []
    ((title, (_, right, files, _)),) = document["found"].items()
    assert title.startswith("md ")
    assert (right, files) == (40, 40)


@pytest.mark.parametrize("name", ["raid1", "old"])
def test_one_side_of_a_mirror_is_enough(name: str, tmp_path: Path) -> None:
    document = read(unpacked(f"{name}-2", tmp_path))
    assert document["gaps"] == []
    assert [facts[1] for facts in document["found"].values()] == [40]


@pytest.mark.parametrize("name", ["raid0", "raid5", "raid6", "raid10", "offset"])
def test_an_array_with_missing_members_is_a_gap_by_name(name: str, tmp_path: Path) -> None:
    document = read(unpacked(f"{name}-1", tmp_path))
    assert document["found"] == {}
    ((what, why),) = document["gaps"]
    assert what.startswith("md web:md")
    assert f"of its {ARRAYS[name]} members are here" in why


def test_members_may_be_partitions_of_one_disk(tmp_path: Path) -> None:
    members = [unpacked(f"raid0-{number}", tmp_path).read_bytes() for number in (1, 2)]
    disk = tmp_path / "disk.raw"
    sectors = len(members[0]) // 512
    table = bytearray(512)
    for number in range(2):
        entry = (
            bytes(4)
            + b"\xfd"
            + bytes(3)
            + (2048 + number * sectors).to_bytes(4, "little")
            + sectors.to_bytes(4, "little")
        )
        table[446 + 16 * number : 462 + 16 * number] = entry
    table[510:] = b"\x55\xaa"
    disk.write_bytes(bytes(table).ljust(1 << 20, b"\0") + b"".join(members))
    document = read(disk)
    assert document["gaps"] == []
    assert [facts[1] for facts in document["found"].values()] == [40]


def test_logical_volumes_of_every_kind_over_three_disks(tmp_path: Path) -> None:
    disks = [unpacked(f"lvm-{number}", tmp_path) for number in (1, 2, 3)]
    document = read(*disks)
    assert document["gaps"] == []
    assert document["found"] == {
        "LVM vg0/striped": ["striped", 40, 40, False],
        "LVM vg0/mirrored": ["mirrored", 40, 40, False],
        "LVM vg0/copied": ["copied", 40, 40, False],
        "LVM vg0/parity": ["parity", 40, 40, False],
        "LVM vg0/thin": ["changed", 40, 40, True],
        "LVM vg0/before": ["thin", 40, 40, False],  # the snapshot, from before the change
    }


def test_a_mirror_is_read_from_the_disk_that_is_there_and_the_rest_is_named(tmp_path: Path) -> None:
    document = read(*(unpacked(f"lvm-{number}", tmp_path) for number in (1, 3)))
    assert {"LVM vg0/mirrored", "LVM vg0/copied", "LVM vg0/thin", "LVM vg0/before"} == set(document["found"])
    assert sorted(what for what, _ in document["gaps"]) == ["logical volume vg0/parity", "logical volume vg0/striped"]


def test_the_images_are_the_ones_that_the_script_names() -> None:
    """No test passes because an image is empty: each holds what makes it a member."""
    folder = Path(__file__).parents[1] / "data" / "disks"
    names = {path.name.split(".")[0] for path in folder.glob("*.raw.xz")}
    assert {f"{name}-{number}" for name, count in ARRAYS.items() for number in range(1, count + 1)} <= names
    assert len({hashlib.sha256((folder / f"{name}.raw.xz").read_bytes()).hexdigest() for name in names}) == len(names)
