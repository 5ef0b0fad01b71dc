"""File systems and containers made by their own tools (data/disks/make_images.sh), read as a snapshot of a running system has them."""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.toolkit.examined import NO_TOOLS, TOOLS, run

IMAGES = Path(__file__).parents[1] / "data" / "disks"
REPLAYED = (
    "ext4-dirty",
    "ext4-dirty-plain",
    "ext3-dirty",
    "xfs-dirty",
    "xfs-dirty-small-blocks",
)
# Reads the device as an examination does: prepared, walked, every content read.
_READ = """
import hashlib, json, stat, sys
from pathlib import Path
from forensic_toolkit.filesystems.entry_table import EntryTable
from forensic_toolkit.filesystems.mounts import Walked, arrange
from forensic_toolkit.filesystems.volumes import Disk
from forensic_toolkit.results import Results
from forensic_toolkit.times import now

results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
disk = Disk(Path(sys.argv[1]), others=[Path(path) for path in sys.argv[2:]])
walked = [Walked(opened, identity, EntryTable(opened.walk())) for opened, identity in disk.file_systems(results)]
found = {}
for entry in arrange(walked, results=results):
    times = entry.times
    content = "" if entry.kind not in ("REG", "LNK") or entry.deleted else entry.read(limit=1 << 26)
    digest = content.decode() if entry.kind == "LNK" and content else hashlib.sha256(content).hexdigest() if entry.kind == "REG" and not entry.deleted else ""
    key = entry.path + (entry.fate or "")
    found[key] = [entry.mode, entry.size, times.modified, times.changed, digest]
print(json.dumps({
    "found": found, "gaps": results.gaps, "notes": results.notes, "kinds": [item.filesystem.kind for item in walked],
    "problems": [problem for item in walked for problem in item.filesystem.problems],
}))
"""

pytestmark = pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)


def unpacked(name: str, folder: Path) -> Path:
    """A shipped image as a sparse file."""
    path = folder / f"{name}.raw"
    with lzma.open(IMAGES / f"{name}.raw.xz") as packed, path.open("wb") as out:
        while piece := packed.read(1 << 20):
            if any(piece):
                out.write(piece)
            else:
                out.seek(len(piece), 1)
        out.truncate(out.tell())
    return path


def read(image: Path, *others: Path) -> dict[str, Any]:
    """What an examination reads of an image; the image must not change by it."""
    before = [digest(path) for path in (image, *others)]
    document: dict[str, Any] = json.loads(run(_READ, str(image), *map(str, others)))
    assert [digest(path) for path in (image, *others)] == before
    return document


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def mounted(name: str) -> dict[str, list[Any]]:
    """What the kernel makes of the image when it mounts it."""
    facts: dict[str, list[Any]] = json.loads(lzma.decompress((IMAGES / f"{name}.json.xz").read_bytes()))
    return facts


def living(document: dict[str, Any]) -> dict[str, list[Any]]:
    """The entries that are not deleted, with directories' sizes left out: they say nothing about content."""
    return {
        path: facts
        for path, facts in document["found"].items()
        if "(deleted" not in path and not path.startswith("/$OrphanFiles")
    }


@pytest.mark.parametrize("name", REPLAYED)
def test_a_replayed_journal_gives_what_a_mount_gives(name: str, tmp_path: Path) -> None:
    document = read(unpacked(name, tmp_path))
    expected = mounted(name)
    assert document["gaps"] == []
    assert document["problems"] == []
    assert "was replayed on an overlay" in str(document["notes"])
    # The Sleuth Kit reads the nanoseconds of ext4 alone.
    unit = 1_000_000_000 if name.startswith("ext3") else 1
    assert _to(living(document), unit) == _to(expected, unit)
    # what lives is never said to be deleted
    assert not [
        path for path in document["found"] if path.removesuffix(" (deleted)") != path and path[:-10] in expected
    ]
    assert "/opt/.cache/kworker" in expected
    assert "/srv/renamed" in expected


def _to(found: dict[str, list[Any]], unit: int) -> dict[str, list[Any]]:
    return {path: [facts[0], facts[1], facts[2] // unit, facts[3] // unit, facts[4]] for path, facts in found.items()}


@pytest.mark.parametrize("name", REPLAYED)
def test_without_the_replay_the_intruder_is_not_seen(name: str, tmp_path: Path) -> None:
    """Guards the images: each of them really is one whose last minute is in the journal alone."""
    image = unpacked(name, tmp_path)
    change = (
        "from forensic_toolkit.filesystems import prepared; from forensic_toolkit.filesystems.ext4_journal import Replay; "
        "from forensic_toolkit.filesystems.overlay import Overlay\n"
        "nothing = lambda volume, head: (Overlay(volume, block=4096), Replay())\n"
        "prepared.ext4_journal.replay = prepared.xfs_replay.replay = nothing\n"
    )
    document = json.loads(run(change + _READ, str(image)))
    assert "/opt/.cache/kworker" not in living(document)


@pytest.mark.parametrize("name", ["ext4-dirty", "ext4-dirty-plain", "ext3-dirty"])
def test_the_overlay_is_byte_for_byte_what_e2fsck_writes(name: str, tmp_path: Path) -> None:
    program = shutil.which("e2fsck")
    if program is None:
        pytest.skip(
            "e2fsck is not on this machine (Debian: e2fsprogs); what a mount makes of the image is compared anyway"
        )
    image = unpacked(name, tmp_path)
    view = tmp_path / "view.raw"
    change = (
        "import sys; from pathlib import Path\n"
        "from forensic_toolkit.filesystems.prepared import prepared\n"
        "from forensic_toolkit.filesystems.storage import Stored\n"
        "found = prepared(Stored(sys.argv[1]), overlay=lambda: Path(sys.argv[2] + '.changes'))\n"
        "Path(sys.argv[2]).write_bytes(found.storage.read(0, found.storage.size))\n"
    )
    run(change, str(image), str(view))
    subprocess.run([program, "-y", "-E", "journal_only", str(image)], check=False, capture_output=True, timeout=120)
    theirs, ours = image.read_bytes(), view.read_bytes()
    different = {at for at in range(0, len(ours), 1024) if ours[at : at + 1024] != theirs[at : at + 1024]}
    # e2fsck also marks both superblocks, the file system's and the journal's, as clean.
    journal = {at for at in different if ours[at : at + 4] == bytes.fromhex("c03b3998")}
    assert different <= {1024} | journal
    assert len(journal) <= 1


def test_fast_commits_are_a_gap_and_nothing_is_called_deleted(tmp_path: Path) -> None:
    document = read(unpacked("ext4-fast-commit", tmp_path))
    assert any("fast commits, which are not replayed" in why for _, why in document["gaps"])
    assert not [path for path in document["found"] if path.endswith(" (deleted)")]


def test_a_journal_that_cannot_be_replayed_is_a_gap(tmp_path: Path) -> None:
    image = unpacked("ext4-dirty", tmp_path)
    content = bytearray(image.read_bytes())
    place = content.index(bytes.fromhex("c03b399800000004"))  # the journal's superblock
    content[place : place + 4] = bytes(4)
    image.write_bytes(content)
    document = read(image)
    ((what, why),) = document["gaps"]
    assert "partition 0" in what
    assert "could not be replayed: its journal has no valid superblock" in why
    assert not [path for path in document["found"] if path.endswith(" (deleted)")]


def test_a_damaged_transaction_ends_the_replay_and_is_named(tmp_path: Path) -> None:
    image = unpacked("ext4-dirty", tmp_path)
    content = bytearray(image.read_bytes())
    start = content.index(bytes.fromhex("c03b399800000004"))
    place = content.index(bytes.fromhex("c03b399800000001"), start + 1024)  # the first list of blocks
    content[place + 40] ^= 0xFF
    image.write_bytes(content)
    document = read(image)
    assert any("does not match its checksum" in why for _, why in document["gaps"])
    assert not [path for path in document["found"] if path.endswith(" (deleted)")]


def test_a_torn_xfs_log_ends_before_the_tear(tmp_path: Path) -> None:
    """The newest record is cut off: what older ones hold is replayed, as recovery does (xlog_find_head)."""
    image = unpacked("xfs-dirty", tmp_path)
    content = bytearray(image.read_bytes())
    at, newest = content.find(bytes.fromhex("feedbabe")), (0, 0)
    while at >= 0:
        if at % 512 == 0:
            newest = max(newest, (int.from_bytes(content[at + 16 : at + 24], "big"), at))
        at = content.find(bytes.fromhex("feedbabe"), at + 4)
    content[newest[1] + 512 + 100] ^= 0xFF
    image.write_bytes(content)
    document = read(image)
    assert document["problems"] == []
    assert "/opt/.cache/kworker" in document["found"]


def test_btrfs_is_read_and_its_log_tree_is_a_gap(tmp_path: Path) -> None:
    document = read(unpacked("btrfs-dirty", tmp_path))
    assert document["kinds"] == ["BTRFS"]
    assert any("log tree is not replayed" in why for _, why in document["gaps"])
    assert "/var/log/auth.log" in document["found"]


def test_subvolumes_are_where_fstab_mounts_them_and_snapshots_add_what_is_gone(tmp_path: Path) -> None:
    document = read(unpacked("btrfs-subvolumes", tmp_path))
    found = document["found"]
    assert document["gaps"] == []
    assert {"/etc/passwd", "/home/kim/.bash_history", "/usr/bin/tool1"} <= set(found)
    assert "/.snapshots/1/srv/removed-later" in found
    assert "/.snapshots/1/etc/passwd" in found  # it was changed since
    assert "/.snapshots/1/usr/bin/tool1" not in found  # it was not
    assert found["/.snapshots/1/etc/passwd"] != found["/etc/passwd"]


def test_a_btrfs_over_two_devices_needs_both(tmp_path: Path) -> None:
    first, second = (unpacked(f"btrfs-two-devices-{number}", tmp_path) for number in (1, 2))
    document = read(first, second)
    assert document["gaps"] == []
    assert document["problems"] == []
    assert "/etc/passwd" in document["found"]
    alone = read(first)
    assert any("a btrfs over 2 devices, 1 of which are here" in why for _, why in alone["gaps"])


@pytest.mark.parametrize(("name", "wiped"), [("ext4-dirty", 4096), ("xfs-dirty", 4096), ("btrfs-subvolumes", 1 << 17)])
def test_a_wiped_superblock_is_taken_from_its_copies(name: str, wiped: int, tmp_path: Path) -> None:
    image = unpacked(name, tmp_path)
    with image.open("r+b") as file:
        file.write(bytes(wiped))
    document = read(image)
    assert "read by the copy at byte" in str(document["notes"])
    assert "/etc/passwd" in document["found"]
    if name != "btrfs-subvolumes":
        assert "/opt/.cache/kworker" in document["found"]


@pytest.mark.skipif(shutil.which("mkfs.ext4") is None, reason="mkfs.ext4 is not on this machine (Debian: e2fsprogs)")
def test_targets_of_links_that_lie_in_their_inodes(tmp_path: Path) -> None:
    """Up to 59 bytes no block holds a target (kernel: ext4_inode_is_fast_symlink); the log's zone and silenced histories hang on it."""
    tree, image = tmp_path / "tree", tmp_path / "links.raw"
    targets = {"short": "/usr/share/zoneinfo/Europe/Berlin", "edge": "x" * 59, "over": "y" * 60, "long": "z" * 400}
    tree.mkdir()
    for name, target in targets.items():
        (tree / name).symlink_to(target)
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-d", str(tree), str(image)], check=True, capture_output=True, timeout=60)
    found = read(image)["found"]
    assert {name: found[f"/{name}"][4] for name in targets} == targets


def test_clusters_are_read(tmp_path: Path) -> None:
    document = read(unpacked("ext4-bigalloc", tmp_path))
    assert document["gaps"] == []
    assert "/srv/old/file60" in document["found"]


@pytest.mark.parametrize("name", ["ext4-dirty", "xfs-dirty", "btrfs-subvolumes"])
def test_a_truncated_image_is_a_gap(name: str, tmp_path: Path) -> None:
    image = unpacked(name, tmp_path)
    with image.open("r+b") as file:
        file.truncate(image.stat().st_size * 3 // 4)
    assert any("bytes at its end are missing" in why for _, why in read(image)["gaps"])


def test_a_boot_partition_gives_no_gap_and_no_virtual_folders(tmp_path: Path) -> None:
    document = read(unpacked("esp", tmp_path))
    assert document["gaps"] == []
    assert document["problems"] == []
    assert "/EFI/BOOT/BOOTX64.EFI" in document["found"]


def test_swap_is_no_gap(tmp_path: Path) -> None:
    document = read(unpacked("swap", tmp_path))
    assert document["gaps"] == []
    assert document["kinds"] == []


def test_what_is_not_known_is_named(tmp_path: Path) -> None:
    image = tmp_path / "odd.raw"
    image.write_bytes(bytes(131072) + bytes.fromhex("0cb1ba0000000000") + bytes((4 << 20) - 131080))
    assert any(why.startswith("ZFS") for _, why in read(image)["gaps"])
    image.write_bytes(bytes(20 << 20))
    assert any("nothing but zeros" in why for _, why in read(image)["gaps"])
