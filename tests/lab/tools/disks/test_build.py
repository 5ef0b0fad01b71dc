"""The built disk images, read back by tools that know nothing of the builder."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import shutil
import struct
import subprocess
import tarfile
import zlib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from lab.evidence import memory
from lab.tools.disks.build import TINY, WEB_SERVER, Manifest, build
from lab.tools.disks.scenario import ScenarioError

ROOT = Path(__file__).resolve().parents[4]
TOOLS_PYTHON = ROOT / ".venv-tools/bin/python"
SECTOR = 512
# Run by the tools' own interpreter, which has pytsk3: prints every name in the image with its inode as JSON.
TSK_LISTING = """
import json, sys, pytsk3
fs = pytsk3.FS_Info(pytsk3.Img_Info(sys.argv[1]), offset=int(sys.argv[2]))
rows = []
def walk(folder, path):
    for entry in folder:
        name = entry.info.name.name.decode()
        if name in (".", ".."):
            continue
        deleted = bool(int(entry.info.name.flags) & pytsk3.TSK_FS_NAME_FLAG_UNALLOC)
        meta = entry.info.meta
        rows.append({"path": path + "/" + name, "deleted": deleted, "inode": meta.addr,
                     "mode": int(meta.mode), "size": meta.size, "m": meta.mtime, "c": meta.ctime,
                     "a": meta.atime, "b": meta.crtime, "m_nano": meta.mtime_nano})
        if meta.type == pytsk3.TSK_FS_META_TYPE_DIR and not deleted:
            walk(entry.as_directory(), path + "/" + name)
walk(fs.open_dir("/"), "")
print(json.dumps(rows))
"""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return build(WEB_SERVER, tmp_path_factory.mktemp("web") / "web.raw")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return build(TINY, tmp_path_factory.mktemp("tiny") / "tiny.raw")


@pytest.fixture(params=["web", "tiny"])
def image(request: pytest.FixtureRequest) -> Manifest:
    made: Manifest = request.getfixturevalue(request.param)
    return made


def listing(manifest: Manifest) -> dict[str, dict[str, Any]]:
    if not TOOLS_PYTHON.exists():
        pytest.skip(f"{TOOLS_PYTHON.relative_to(ROOT)} is not there: the forensic tools are not installed")
    command = [str(TOOLS_PYTHON), "-c", TSK_LISTING, str(manifest.image), str(manifest.partition_offset)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return {row["path"]: row for row in json.loads(done.stdout)}


def fact(manifest: Manifest, name: str) -> dict[str, Any]:
    return next(row for row in manifest.facts if row["id"] == name)


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def test_e2fsck_finds_nothing_to_repair(image: Manifest, tmp_path: Path) -> None:
    if not (e2fsck := shutil.which("e2fsck", path="/usr/sbin:/sbin:/usr/bin")):
        pytest.skip("e2fsck is not installed")
    volume = tmp_path / "volume.ext4"
    data = image.image.read_bytes()
    volume.write_bytes(data[image.partition_offset : image.partition_offset + image.partition_bytes])
    done = subprocess.run([e2fsck, "-fn", str(volume)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_same_scenario_gives_same_bytes(image: Manifest, tmp_path: Path) -> None:
    scenario = WEB_SERVER if image.bytes > 32 << 20 else TINY
    again = build(scenario, tmp_path / "again.raw")
    assert again.sha256 == image.sha256
    assert hashlib.sha256(again.image.read_bytes()).hexdigest() == image.sha256


def test_image_is_sparse(web: Manifest) -> None:
    assert web.image.stat().st_blocks * 512 < web.bytes / 4


def test_partition_table_copies_agree_and_have_right_checksums(image: Manifest) -> None:
    raw = image.image.read_bytes()
    last = len(raw) // SECTOR - 1
    assert raw[510:512] == b"\x55\xaa"
    assert raw[446 + 4] == 0xEE
    for own, other in ((1, last), (last, 1)):
        header = raw[own * SECTOR : own * SECTOR + 92]
        signature, checksum, found_own, found_other, table = struct.unpack("<8s8xI4xQQ32xQ", header[:80])
        assert (signature, found_own, found_other) == (b"EFI PART", own, other)
        assert zlib.crc32(header[:16] + b"\0\0\0\0" + header[20:]) == checksum
        entries = raw[table * SECTOR : table * SECTOR + 128 * 128]
        assert zlib.crc32(entries) == struct.unpack("<I", header[88:92])[0]
        first, end = struct.unpack_from("<QQ", entries, 32)
        assert (first * SECTOR, (end - first + 1) * SECTOR) == (image.partition_offset, image.partition_bytes)


def test_sleuthkit_sees_every_planted_file_with_its_times(web: Manifest) -> None:
    rows = listing(web)
    assert len(rows) > 500
    for planted in web.facts:
        row = rows[planted["path"]]
        times = planted["file_times"]
        shown = {"modified": row["m"], "changed": row["c"], "accessed": row["a"], "created": row["b"]}
        assert shown == {name: seconds(times[name]) for name in shown}, planted["id"]
        assert row["inode"] == planted["inode"]
        assert f"{row['mode'] & 0o7777:04o}" == planted["mode"]
        assert row["deleted"] is planted["deleted"]


def test_deleted_files_keep_name_and_inode_but_no_size(web: Manifest) -> None:
    deleted = {path: row for path, row in listing(web).items() if row["deleted"]}
    assert sorted(deleted) == ["/tmp/.font-unix-cache", "/tmp/stage.tar.gz"]
    assert all(row["size"] == 0 for row in deleted.values())


def test_deleted_archive_can_be_carved_from_free_blocks(web: Manifest) -> None:
    planted = fact(web, "disk-archive")
    raw = web.image.read_bytes()
    carved = [
        raw[at : at + planted["bytes"]]
        for at in range(web.partition_offset, len(raw), 4096)
        if raw[at : at + 4] == b"\x1f\x8b\x08\x00"
    ]
    found = [data for data in carved if hashlib.sha256(data).hexdigest() == planted["sha256"]]
    assert len(found) == 1
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(found[0]))) as archive:
        assert "etc/passwd" in archive.getnames()


def test_time_stomping_shows_only_in_the_modification_time(web: Manifest) -> None:
    row = listing(web)["/var/www/html/uploads/img_0231.php"]
    assert row["m"] == seconds("2025-11-02T09:14:00Z")
    assert row["m_nano"] == 0
    assert row["c"] > row["b"] == seconds("2026-11-21T02:09:17Z")


def test_names_are_wiped_when_the_scenario_says_so(tmp_path: Path) -> None:
    scenario = tmp_path / "wiped.yaml"
    scenario.write_text(TINY.read_text().replace("deleted_names: kept", "deleted_names: wiped"))
    made = build(scenario, tmp_path / "wiped.raw")
    assert b".cache.tar.gz" not in made.image.read_bytes()
    assert not any(row["deleted"] for row in listing(made).values())


def test_login_records_hold_the_six_failures(web: Manifest) -> None:
    raw = web.image.read_bytes()
    failures = list(re.finditer(rb"ssh:notty\x00{23}", raw))
    assert len(failures) == 6
    times = [struct.unpack_from("<i", raw, at.start() - 8 + 340)[0] for at in failures]
    planted = fact(web, "disk-brute-force")["times"]
    assert (times[0], times[-1]) == (seconds(planted["first"]), seconds(planted["last"]))


def test_facts_file_says_what_the_manifest_says(web: Manifest) -> None:
    document = json.loads(web.facts_file.read_text())
    assert web.facts_file == web.image.with_name("facts.json")
    assert document["facts"] == web.facts
    assert document["image"]["sha256"] == web.sha256
    identifiers = [row["id"] for row in web.facts]
    assert len(identifiers) == len(set(identifiers))
    assert all(row["look_in"] and row["technique"] for row in web.facts)


def test_disk_and_memory_tell_one_story(web: Manifest) -> None:
    in_memory = {row["id"]: row for row in memory.facts()["facts"]}
    document = json.loads(web.facts_file.read_text())
    assert (document["host"], document["attacker"]) == (memory.facts()["host"], memory.facts()["attacker"])
    assert fact(web, "disk-implant")["sha256"] == in_memory["memory-hidden-process"]["sha256"]
    assert fact(web, "disk-reboot")["times"]["boot"] == memory.facts()["made_by"]["boot"]
    assert fact(web, "disk-second-login")["times"]["login"] == in_memory["memory-root-session"]["started"]
    port = fact(web, "disk-second-login")["data"]["source_port"]
    assert in_memory["memory-root-session"]["remote"].endswith(f":{port}")
    latest = max(time for row in web.facts for time in row["times"].values())
    assert latest <= in_memory["memory-root-history"]["between"][0]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("inodes: 512", "inodes: many", "image.inodes"),
        ('text: "index', 'symlink: x\n    text: "index', "give one of"),
        ("paths: [/backup/README", "paths: [/backup/NONE", "no entry makes /backup/NONE"),
        ("kind: archive", "kind: zip", "unknown kind 'zip'"),
        ("/backup/latest", "/backup/README", "made twice"),
        ("/backup/latest", "/backup/README/latest", "not a directory"),
        ("label: data", "label: longer-than-sixteen", "longer than 16 bytes"),
        ("source: none", "", ""),
    ],
)
def test_bad_scenario_says_what_and_where(tmp_path: Path, old: str, new: str, reason: str) -> None:
    text = TINY.read_text()
    scenario = tmp_path / "bad.yaml"
    if not reason:
        scenario.write_text("- a list\n")
        reason = "no mapping"
    else:
        assert old in text
        scenario.write_text(text.replace(old, new, 1))
    with pytest.raises(ScenarioError, match=re.escape(reason)):
        build(scenario, tmp_path / "bad.raw")
    assert not list(tmp_path.glob("bad.raw*"))


def test_image_too_small_is_refused(tmp_path: Path) -> None:
    scenario = tmp_path / "small.yaml"
    scenario.write_text(WEB_SERVER.read_text().replace("size_mib: 96", "size_mib: 5"))
    with pytest.raises(ScenarioError, match="full"):
        build(scenario, tmp_path / "small.raw")
