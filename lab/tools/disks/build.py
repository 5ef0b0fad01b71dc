"""Build a disk image from a scenario: `python -m lab.tools.disks.build SCENARIO OUT.raw`. Needs no root."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, cast

from lab.tools.disks.ext4.layout import Ext4Error
from lab.tools.disks.ext4.records import Volume
from lab.tools.disks.ext4.tree import Node
from lab.tools.disks.ext4.writer import Ext4Writer
from lab.tools.disks.gpt import SECTOR, Partition, last_usable, write_gpt
from lab.tools.disks.lvm import write_lvm
from lab.tools.disks.pieces import Pieces
from lab.tools.disks.population import Population, populate
from lab.tools.disks.scenario import Scenario, ScenarioError, load
from lab.tools.disks.xfs import template as xfs

SCENARIOS = Path(__file__).resolve().parent / "scenarios"
WEB_SERVER = SCENARIOS / "web-server.yaml"
TINY = SCENARIOS / "tiny.yaml"
# 1 MiB, where every partitioning tool begins.
_FIRST_SECTOR = 2048


class Layout(StrEnum):
    """What lies around the file system, and which one it is."""

    GPT_EXT4 = "gpt-ext4"
    PLAIN_EXT4 = "plain-ext4"
    LVM_EXT4 = "lvm-ext4"
    GPT_XFS = "gpt-xfs"
    PLAIN_XFS = "plain-xfs"
    LVM_XFS = "lvm-xfs"

    @property
    def container(self) -> str:
        """gpt: one partition; plain: no partition table; lvm: one partition with a logical volume in two pieces."""
        return self.value.split("-")[0]

    @property
    def filesystem(self) -> str:
        """ext4 or xfs."""
        return self.value.split("-")[1]


@dataclass(frozen=True)
class Manifest:
    """A built image: where it is, what it is, and the facts planted in it. Offsets and sizes in bytes."""

    image: Path
    facts_file: Path
    bytes: int
    sha256: str
    partition_offset: int
    partition_bytes: int
    facts: list[dict[str, Any]]


def build(scenario: Path, out: Path, *, facts: Path | None = None, layout: Layout = Layout.GPT_EXT4) -> Manifest:
    """Write the image (sparse) to `out` and its facts.json beside it; the same scenario gives the same bytes.

    `facts` names another file for the facts, for two images in one folder. ScenarioError when the scenario is
    bad or does not fit its image; OSError when `out` cannot be written. No half-written image stays at `out`.
    """
    model = load(scenario)
    population = populate(model)
    facts_file = facts or out.with_name("facts.json")
    part = _partition(model) if layout.container != "plain" else None
    offset, length = (part.offset, part.size) if part else (0, model.image.size_mib << 20)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f"{out.name}.{os.getpid()}.part")  # two labs may share the cache
    try:
        _write_image(unfinished, model=model, part=part, root=population.root, layout=layout)
        size, digest = unfinished.stat().st_size, _digest(unfinished)
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    planted = [_described(fact.model_dump(mode="python"), population=population) for fact in model.facts]
    manifest = Manifest(out, facts_file, size, digest, offset, length, planted)
    facts_file.write_text(json.dumps(_document(model, manifest, layout=layout), indent=1) + "\n", encoding="utf-8")
    return manifest


def _partition(model: Scenario) -> Partition:
    sectors = (model.image.size_mib << 20) // SECTOR
    # Whole MiB, so that the file system's size is a round number of blocks.
    last = (last_usable(sectors) + 1) // 2048 * 2048 - 1
    return Partition(model.image.partition_guid, model.image.partition_name, _FIRST_SECTOR, last)


def _write_image(path: Path, *, model: Scenario, part: Partition | None, root: Node, layout: Layout) -> None:
    size = model.image.size_mib << 20
    with path.open("wb") as out:
        out.truncate(size)
        pieces: tuple[tuple[int, int], ...] = ((0, size),)
        if part is not None:
            write_gpt(out, sectors=size // SECTOR, disk_guid=model.image.disk_guid, partitions=[part])
            pieces = ((part.offset, part.size),)
            if layout.container == "lvm":
                seed, made = str(model.image.partition_guid), int(model.clock.ami.timestamp())
                pieces = write_lvm(out, offset=part.offset, size=part.size, seed=seed, made=made).pieces
        volume = Pieces(out, pieces)
        try:
            _write_filesystem(cast("BinaryIO", volume), model=model, size=volume.size, root=root, layout=layout)
        except (Ext4Error, xfs.XfsTemplateError) as error:
            raise ScenarioError(f"scenario {model.name} does not fit its image: {error}") from error


def _write_filesystem(out: BinaryIO, *, model: Scenario, size: int, root: Node, layout: Layout) -> None:
    if layout.filesystem == "xfs":
        xfs.write(root, name=model.name, out=out)
        return
    made, written = int(model.clock.ami.timestamp()), int(model.clock.written.timestamp())
    volume = Volume(model.image.label, model.image.filesystem_uuid, model.image.hash_seed, made, made, written)
    keep = model.image.deleted_names == "kept"
    Ext4Writer(out, 0, size, volume, model.image.inodes, keep).write(root)


def _digest(path: Path) -> str:
    with path.open("rb") as image:
        return hashlib.file_digest(image, "sha256").hexdigest()


def _document(model: Scenario, manifest: Manifest, *, layout: Layout) -> dict[str, Any]:
    return {
        "schema": "forensics.lab-facts/1",
        "evidence": "disk",
        "scenario": model.name,
        "summary": model.summary,
        "host": model.variables.get("host"),
        "attacker": model.variables.get("attacker"),
        "image": {
            "file": manifest.image.name,
            "bytes": manifest.bytes,
            "sha256": manifest.sha256,
            "partition_offset": manifest.partition_offset,
            "layout": layout.value,
            "filesystem": layout.filesystem,
            "deleted_names": model.image.deleted_names,
        },
        "facts": manifest.facts,
    }


def _described(fact: dict[str, Any], *, population: Population) -> dict[str, Any]:
    """The fact with what the image holds at its path: inode, size, digest, times to the second."""
    described = {
        **fact,
        "found_in": "disk",
        "times": {name: _text(time) for name, time in fact["times"].items()},
    }
    if path := fact["path"]:
        node = population.node(path)
        described["inode"] = node.inode
        described["mode"] = f"{node.mode & 0o7777:04o}"
        described["deleted"] = node.is_deleted
        described["file_times"] = _file_times(node)
        if not node.is_directory and not node.is_symlink:
            described["bytes"] = len(node.data)
            described["sha256"] = hashlib.sha256(node.data).hexdigest()
    return described


def _file_times(node: Node) -> dict[str, str]:
    """As the inode has them: a deletion is also the last change of content and inode."""
    times = node.times
    gone = times.deleted
    moments = {
        "accessed": times.accessed,
        "modified": times.modified if gone is None else gone,
        "changed": times.changed if gone is None else gone,
        "created": times.created,
    }
    if gone is not None:
        moments["deleted"] = gone
    return {name: _text(datetime.fromtimestamp(value // 1_000_000_000, UTC)) for name, value in moments.items()}


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def main() -> int:
    """Command line; exit status 2 when the scenario is bad."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scenario", type=Path, help=f"a YAML file, for example {WEB_SERVER.name} of {SCENARIOS.name}/")
    parser.add_argument("out", type=Path, help="the image to write")
    parser.add_argument("--facts", type=Path, help="where the facts go (default: facts.json beside the image)")
    parser.add_argument("--layout", type=Layout, choices=list(Layout), default=Layout.GPT_EXT4)
    arguments = parser.parse_args()
    try:
        manifest = build(arguments.scenario, arguments.out, facts=arguments.facts, layout=arguments.layout)
    except (ScenarioError, OSError) as error:
        print(f"disk image not built: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"image": str(manifest.image), "bytes": manifest.bytes, "sha256": manifest.sha256}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
