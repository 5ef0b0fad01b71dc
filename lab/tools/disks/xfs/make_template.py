"""Make the XFS template of a scenario: `python -m lab.tools.disks.xfs.make_template web-server`. Needs mkfs.xfs, no root."""

from __future__ import annotations

import argparse
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import zstandard

from lab.tools.disks.ext4.tree import Node
from lab.tools.disks.population import populate
from lab.tools.disks.scenario import load
from lab.tools.disks.xfs.template import MARK, TEMPLATES, nodes_of, shape

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"
SIZE = 64 << 20
# mkfs.xfs refuses less than 300 MiB unless it is asked by a test (mkfs/xfs_mkfs.c, validate_supported).
_SMALL = {"TEST_DIR": "/", "TEST_DEV": "/", "QA_CHECK_FS": "1"}
_KINDS = {stat.S_IFREG: "-", stat.S_IFDIR: "d", stat.S_IFLNK: "l"}


def make(name: str) -> Path:
    """Write templates/NAME.xfs.zst and its shape. OSError or CalledProcessError when mkfs.xfs does not do it."""
    scenario = load(SCENARIOS / f"{name}.yaml")
    root = populate(scenario).root
    marks = {id(node): MARK + number for number, node in enumerate(nodes_of(root))}
    with tempfile.TemporaryDirectory(prefix="xfs-") as folder:
        work = Path(folder)
        lines = ["/", "0 0", *prototype(root, marks=marks, work=work)]
        (work / "prototype").write_text("\n".join(lines) + "\n", encoding="utf-8")
        image = work / "image"
        with image.open("wb") as file:
            file.truncate(SIZE)
        # Metadata as Amazon Linux 2023 makes it: checksums, big times, file types in directories.
        metadata = f"crc=1,bigtime=1,inobtcount=1,uuid={scenario.image.filesystem_uuid}"
        label = scenario.image.label[:12]  # XFS has no room for more
        options = ["-f", "-m", metadata, "-i", "size=512", "-l", "size=8m", "-L", label]
        mkfs(image, prototype=work / "prototype", options=options)
        TEMPLATES.mkdir(exist_ok=True)
        packed = TEMPLATES / f"{name}.xfs.zst"
        packed.write_bytes(zstandard.ZstdCompressor(level=19).compress(image.read_bytes()))
    packed.with_suffix(".shape").write_text(shape(root) + "\n", encoding="utf-8")
    return packed


def mkfs(image: Path, *, prototype: Path, options: Sequence[str]) -> None:
    """Make the file system of a prototype file in an image of at least 64 MiB. Raises CalledProcessError when mkfs.xfs refuses."""
    argv = ["mkfs.xfs", "-q", *options, "-p", str(prototype), str(image)]
    subprocess.run(argv, check=True, env={**os.environ, **_SMALL}, stdout=subprocess.DEVNULL)


def prototype(node: Node, *, marks: dict[int, int], work: Path) -> list[str]:
    """Lines of mkfs.xfs(8)'s prototype file for a folder: its own attributes, its children, and a dollar sign."""
    mode = stat.S_IMODE(node.mode)
    flags = ("u" if mode & 0o4000 else "-") + ("g" if mode & 0o2000 else "-")
    kind = _KINDS[stat.S_IFMT(node.mode)]
    line = f"{kind}{flags}{mode & 0o777:03o} {marks[id(node)]} 0"
    if node.is_symlink:
        return [f"{line} {node.data.decode()}"]
    if not node.is_directory:
        # Only the length counts; the content comes in later.
        empty = work / f"{len(node.data)}"
        if not empty.exists():
            empty.write_bytes(bytes(len(node.data)))
        return [f"{line} {empty}"]
    lines = [line]
    for child in node.children.values():
        if not child.is_deleted:
            first, *rest = prototype(child, marks=marks, work=work)
            lines += [f"{child.name} {first}", *rest]
    return [*lines, "$"]


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scenario", help="the name of a file in scenarios/, without .yaml")
    arguments = parser.parse_args()
    if shutil.which("mkfs.xfs") is None:
        print("mkfs.xfs is not on this machine: install xfsprogs", file=sys.stderr)
        return 2
    path = make(arguments.scenario)
    print(f"{path} ({path.stat().st_size} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
