"""The ext4 writer on trees the shipped scenarios do not have: many groups, long directories, big files."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.tools.disks.ext4.directory import Entry, pack_directory
from lab.tools.disks.ext4.layout import BLOCK, Ext4Error, plan
from lab.tools.disks.ext4.records import Volume, extent_tree, pack_inode
from lab.tools.disks.ext4.tree import Node, Times
from lab.tools.disks.ext4.writer import Ext4Writer

NOON = 1_700_000_000_000_000_000
WHEN = Times(accessed=NOON, changed=NOON, modified=NOON, created=NOON)
GONE = Times(accessed=NOON, changed=NOON, modified=NOON, created=NOON, deleted=NOON + 5)
VOLUME = Volume("test", UUID(int=1), UUID(int=2), 1_700_000_000, 1_700_000_000, 1_700_000_000)
E2FSCK = shutil.which("e2fsck", path="/usr/sbin:/sbin:/usr/bin")
DEBUGFS = shutil.which("debugfs", path="/usr/sbin:/sbin:/usr/bin")


def file(name: str, data: bytes = b"x", *, times: Times = WHEN, mode: int = stat.S_IFREG | 0o644) -> Node:
    return Node(name, mode, times, data=data)


def folder(name: str, *children: Node) -> Node:
    return Node(name, stat.S_IFDIR | 0o755, WHEN, children={child.name: child for child in children})


def written(path: Path, root: Node, *, size: int, inodes: int = 1024) -> Path:
    with path.open("wb") as out:
        out.truncate(size)
        Ext4Writer(out, 0, size, VOLUME, inodes, True).write(root)
    return path


def assert_clean(image: Path) -> None:
    if not E2FSCK:
        pytest.skip("e2fsck is not installed")
    done = subprocess.run([E2FSCK, "-fn", str(image)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def content(image: Path, path: str) -> bytes:
    if not DEBUGFS:
        pytest.skip("debugfs is not installed")
    done = subprocess.run([DEBUGFS, "-R", f"cat {path}", str(image)], capture_output=True, check=True, timeout=60)
    return done.stdout


def test_several_groups_and_a_file_across_their_border(tmp_path: Path) -> None:
    big = bytes(range(256)) * (130 << 12)
    image = written(tmp_path / "big.ext4", folder("", file("big", big), file("after")), size=300 << 20)
    assert_clean(image)
    assert content(image, "/big") == big


def test_long_directories_and_links(tmp_path: Path) -> None:
    many = [file(f"name-{number:04}-{'x' * 40}") for number in range(400)]
    short = Node("short", stat.S_IFLNK | 0o777, WHEN, data=b"name-0001")
    slow = Node("slow", stat.S_IFLNK | 0o777, WHEN, data=b"/" + b"d/" * 100)
    image = written(tmp_path / "many.ext4", folder("", folder("many", *many), short, slow), size=16 << 20)
    assert_clean(image)
    assert content(image, f"/many/name-0399-{'x' * 40}") == b"x"


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 255), st.integers(0, 20_000), st.booleans()), max_size=60))
def test_any_mixture_of_files_is_clean(tmp_path: Path, plan_of: list[tuple[int, int, bool]]) -> None:
    nodes = [
        file(f"{number}".ljust(length, "n")[:255], b"d" * size, times=GONE if gone else WHEN)
        for number, (length, size, gone) in enumerate(plan_of)
    ]
    assert_clean(written(tmp_path / "any.ext4", folder("", *nodes), size=8 << 20))


def test_removed_entry_is_swallowed_by_the_one_before() -> None:
    entries = [Entry(".", 2, stat.S_IFDIR), Entry("..", 2, stat.S_IFDIR), Entry("kept", 12, stat.S_IFREG),
               Entry("gone", 13, stat.S_IFREG, deleted=True), Entry("last", 14, stat.S_IFREG)]  # fmt: skip
    block = pack_directory(entries, keep_names=True)
    kept_at = 24
    assert int.from_bytes(block[kept_at + 4 : kept_at + 6], "little") == 12 + 12
    assert b"gone" in block
    assert b"gone" not in pack_directory(entries, keep_names=False)


def test_limits_are_refused_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(Ext4Error, match="extents"):
        extent_tree([(start, 1) for start in range(0, 50, 10)])
    with pytest.raises(Ext4Error, match="2038"):
        pack_inode(mode=0, owner=(0, 0), size=0, links=1, blocks=0, content=b"", flags=0, generation=0,
                   times=Times(1 << 62, 0, 0, 0))  # fmt: skip
    with pytest.raises(Ext4Error, match="metadata"):
        plan(BLOCK * 8, inodes=4096)
    with pytest.raises(Ext4Error, match="inodes"):
        written(
            tmp_path / "few",
            folder("", *(file(str(number)) for number in range(60))),
            size=4 << 20,
            inodes=64,
        )
    with pytest.raises(Ext4Error, match="full"):
        written(tmp_path / "full", folder("", file("big", b"x" * (5 << 20))), size=4 << 20)
