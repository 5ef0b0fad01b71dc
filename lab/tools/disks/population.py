"""From a scenario to the tree of files that goes on the disk."""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from lab.tools.disks.benign import package_files
from lab.tools.disks.content import ContentError, generate
from lab.tools.disks.ext4.tree import Node, Times
from lab.tools.disks.scenario import Entry, Scenario, ScenarioError, nanoseconds

# `source:` paths of a scenario are relative to lab/evidence/shipped: what the lab ships, nothing else of the machine.
_SHIPPED = Path(__file__).resolve().parents[2] / "evidence" / "shipped"
_SECOND = 1_000_000_000


@dataclass
class Population:
    """The tree under construction; `root` is complete when `populate` has returned."""

    scenario: Scenario
    root: Node = field(init=False)

    def __post_init__(self) -> None:
        self.root = Node("", stat.S_IFDIR | 0o755, _all(_with_fraction("/", self.scenario.clock.ami)))

    def node(self, path: str) -> Node:
        """The node at an absolute path; ScenarioError if the scenario has none."""
        node = self.root
        for part in path.strip("/").split("/"):
            if part not in node.children:
                raise ScenarioError(f"scenario {self.scenario.name}: no entry makes {path}")
            node = node.children[part]
        return node

    def read(self, path: str) -> bytes:
        """A file's content, for entries that are made from other entries."""
        return self.node(path).data

    def add(self, path: str, *, mode: int, data: bytes, times: Times, owner: tuple[int, int] = (0, 0)) -> None:
        """Put a node at a path; folders on the way that no entry has made are root's, from the AMI's day."""
        *folders, name = path.strip("/").split("/")
        parent, walked = self.root, ""
        for folder in folders:
            walked += f"/{folder}"
            if folder not in parent.children:
                made = _all(_with_fraction(walked, self.scenario.clock.ami))
                parent.children[folder] = Node(folder, stat.S_IFDIR | 0o755, made)
            parent = parent.children[folder]
            if not parent.is_directory:
                raise ScenarioError(
                    f"scenario {self.scenario.name}: {path} lies below {walked}, which is not a directory"
                )
        if name in parent.children:
            raise ScenarioError(f"scenario {self.scenario.name}: {path} is made twice")
        parent.children[name] = Node(name, mode, times, uid=owner[0], gid=owner[1], data=data)


def populate(scenario: Scenario) -> Population:
    """Everything the scenario describes; ScenarioError names the entry that cannot be made."""
    population = Population(scenario)
    for entry in scenario.entries:
        _add_entry(population, entry)
    ami = scenario.clock.ami
    for file in package_files(scenario.benign.packages, built=ami):
        # What dpkg unpacks has the package's whole-second mtime; the inode is from the moment of unpacking.
        unpacked = _all(_with_fraction(file.path, ami))
        times = replace(unpacked, modified=nanoseconds(ami))
        population.add(file.path, mode=stat.S_IFREG | file.mode, data=file.data, times=times)
    _age_directories(population.root)
    return population


def _add_entry(population: Population, entry: Entry) -> None:
    uid, gid = (int(part) for part in entry.owner.split(":"))
    data, kind, default_mode = b"", stat.S_IFREG, 0o644
    try:
        if entry.directory:
            kind, default_mode = stat.S_IFDIR, 0o755
        elif entry.symlink is not None:
            kind, default_mode, data = stat.S_IFLNK, 0o777, entry.symlink.encode()
        elif entry.text is not None:
            data = entry.text.encode()
        elif entry.source is not None:
            data = _shipped(entry.source)
        elif entry.generate is not None:
            data = generate(entry.generate, read=population.read)
    except (OSError, ContentError) as error:
        raise ScenarioError(f"scenario {population.scenario.name}: {entry.path}: {error}") from error
    mode = int(entry.mode, 8) if entry.mode else default_mode
    times = _times(entry, ami=population.scenario.clock.ami)
    population.add(entry.path, mode=kind | mode, data=data, times=times, owner=(uid, gid))


def _shipped(name: str) -> bytes:
    path = (_SHIPPED / name).resolve()
    if not path.is_relative_to(_SHIPPED):
        raise ContentError(f"source {name!r} lies outside the evidence package")
    return path.read_bytes()


def _times(entry: Entry, *, ami: datetime) -> Times:
    created = entry.created or entry.at or ami
    modified = entry.modified or entry.at or created
    # No program can set a change time: it is as late as the inode and, unless stomped, as the content.
    changed = entry.changed or entry.at or (created if entry.stomped else max(created, modified))
    accessed = entry.accessed or entry.at or created
    return Times(
        accessed=_with_fraction(entry.path, accessed),
        changed=_with_fraction(entry.path, changed),
        modified=nanoseconds(modified) if entry.stomped else _with_fraction(entry.path, modified),
        created=_with_fraction(entry.path, created),
        deleted=_with_fraction(entry.path, entry.deleted) if entry.deleted else None,
    )


def _with_fraction(path: str, moment: datetime) -> int:
    """The moment with a fraction of a second, as a kernel writes it: same file and second, same fraction."""
    digest = hashlib.sha256(f"{path}@{int(moment.timestamp())}".encode()).digest()
    return int(moment.timestamp()) * _SECOND + int.from_bytes(digest[:6], "big") % _SECOND


def _all(moment: int) -> Times:
    return Times(accessed=moment, changed=moment, modified=moment, created=moment)


def _age_directories(node: Node) -> None:
    """A directory changes when a name in it comes or goes."""
    for child in node.children.values():
        if child.is_directory:
            _age_directories(child)
    moments = [child.times.created for child in node.children.values()]
    moments += [child.times.deleted for child in node.children.values() if child.times.deleted is not None]
    latest = max([node.times.modified, *moments])
    node.times = replace(node.times, modified=latest, changed=max(node.times.changed, latest))
