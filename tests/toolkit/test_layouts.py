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

from lab.evidence import disk as lab_disk
from lab.evidence.disk import WEB_SERVER, Layout
from tests.toolkit.examined import NO_TOOLS, TOOLS, examine

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


def moment(text: str) -> datetime:
    """An ISO time."""
    return datetime.fromisoformat(text)


def answered(fact: dict[str, Any], results: dict[str, Any]) -> bool:
    """A finding with the fact's technique at one of its times (± 1 s), or one on its path with its technique."""
    times = [moment(text) for text in fact["times"].values()]
    for finding in results["findings"]:
        same = (finding["technique"] or "").split(".")[0] == (fact["technique"] or "").split(".")[0]
        near = finding["time"] and any(abs((moment(finding["time"]) - time).total_seconds()) <= 1 for time in times)
        if same and (near or finding["source"] == fact["path"]):
            return True
    return False


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
def test_the_fast_lane_answers_in_time_on_every_layout(layout: Layout, tmp_path: Path) -> None:
    image, facts = build(tmp_path, layout)
    before = digest(image)
    results = examine(image, whole=True)
    started, ended = moment(results["started"]), moment(results["ended"])
    found = [fact["id"] for fact in facts if answered(fact, results)]
    seconds = (ended - started).total_seconds()
    print(f"\n[investigate] fast lane {layout}: {len(found)} of {len(facts)} in {seconds:.1f} s")
    assert results["gaps"] == []
    assert len(found) >= 12, sorted({fact["id"] for fact in facts} - set(found))
    assert seconds <= SECONDS
    assert results["input"]["sha256"] == before == digest(image)


@pytest.mark.investigate
@pytest.mark.parametrize(("tool", "layout"), [("xfs_repair", Layout.PLAIN_XFS), ("pvck", Layout.LVM_EXT4)])
def test_the_tools_of_the_trade_find_no_fault_in_the_images(tool: str, layout: Layout, tmp_path: Path) -> None:
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
