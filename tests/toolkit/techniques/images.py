"""A tree of files on images that real programs make: ext4, XFS and btrfs by their mkfs, a logical volume around ext4.

mkfs copies contents, modes and names; owners and the times that no program can set are put into the inodes afterwards, found by a mark
in the modification time (btrfs) or the owner (XFS). Sources: btrfs's on-disk format (struct btrfs_inode_item, crc32c over a node),
debugfs(8) for ext4.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast
from uuid import UUID

from forensic_toolkit.filesystems.checksums import crc32c
from lab.tools.disks.build import SECTOR
from lab.tools.disks.ext4.tree import Node
from lab.tools.disks.gpt import Partition, last_usable, write_gpt
from lab.tools.disks.lvm import write_lvm
from lab.tools.disks.pieces import Pieces
from lab.tools.disks.xfs import make_template, template

SIZE = 160 << 20
_PROGRAMS = {
    "ext4": ("mkfs.ext4", "debugfs"),
    "lvm": ("mkfs.ext4", "debugfs"),
    "xfs": ("mkfs.xfs",),
    "btrfs": ("mkfs.btrfs",),
}
_MARK = 1_000_000_000  # seconds: the mark of the n-th node is this plus n
_NODE = 16_384
_DISK, _PART = UUID("6b1c1a52-9d0e-4a7c-8b53-0f4f5e0a7701"), UUID("6b1c1a52-9d0e-4a7c-8b53-0f4f5e0a7702")


def missing(kind: str) -> str | None:
    """Which programs an image of this kind needs and the machine lacks; None when it has them."""
    lost = [name for name in _PROGRAMS[kind] if shutil.which(name) is None]
    return f"not installed: {', '.join(lost)} (Debian: e2fsprogs, xfsprogs, btrfs-progs)" if lost else None


def write(root: Node, out: Path, *, kind: str) -> None:
    """Write an image. Raises CalledProcessError when a program refuses."""
    {"ext4": ext4, "xfs": xfs, "btrfs": btrfs, "lvm": lvm}[kind](root, out)


def ext4(root: Node, out: Path, *, size: int = SIZE) -> None:
    """ext4 alone, as mkfs.ext4 makes it."""
    with tempfile.TemporaryDirectory() as place:
        _unfold(root, Path(place) / "tree")
        _sparse(out, size)
        _run("mkfs.ext4", "-q", "-F", "-L", "root", "-d", str(Path(place) / "tree"), str(out))
        script = Path(place) / "script"
        script.write_text("\n".join(_inode_fields(root)) + "\n", "utf-8")
        _run("debugfs", "-w", "-f", str(script), str(out))


def _inode_fields(root: Node) -> list[str]:
    """debugfs's commands: owner and all four times, with their nanoseconds."""
    lines = []
    for path, node in _paths(root):
        times = node.times
        fields = {"uid": node.uid, "gid": node.gid}
        for name, value in (
            ("atime", times.accessed),
            ("ctime", times.changed),
            ("mtime", times.modified),
            ("crtime", times.created),
        ):
            fields[name], fields[f"{name}_extra"] = value // 1_000_000_000, value % 1_000_000_000 << 2
        lines += [
            f'set_inode_field "{path}" {name} {"@" if name.endswith("time") else ""}{value}'
            for name, value in fields.items()
        ]
    return lines


def lvm(root: Node, out: Path) -> None:
    """A partition table, in its partition LVM, in its logical volume (two pieces) ext4."""
    with tempfile.TemporaryDirectory() as place, out.open("wb") as file:
        file.truncate(SIZE)
        sectors = SIZE // SECTOR
        part = Partition(_PART, "root", 2048, (last_usable(sectors) + 1) // 2048 * 2048 - 1)
        write_gpt(file, sectors=sectors, disk_guid=_DISK, partitions=[part])
        pieces = write_lvm(file, offset=part.offset, size=part.size, seed=str(_PART), made=1_780_000_000).pieces
        volume = Pieces(file, pieces)
        inner = Path(place) / "volume"
        ext4(root, inner, size=volume.size)
        volume.seek(0)
        volume.write(inner.read_bytes())


def xfs(root: Node, out: Path) -> None:
    """XFS, from mkfs.xfs's prototype file."""
    nodes = template.nodes_of(root)
    marks = {id(node): template.MARK + number for number, node in enumerate(nodes)}
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        lines = ["/", "0 0", *make_template.prototype(root, marks=marks, work=work)]
        (work / "prototype").write_text("\n".join(lines) + "\n", "utf-8")
        _sparse(out, make_template.SIZE)
        options = ("-m", "crc=1,bigtime=1,inobtcount=1", "-i", "size=512", "-l", "size=8m", "-L", "root")
        make_template.mkfs(out, prototype=work / "prototype", options=options)
    content = bytearray(out.read_bytes())
    template.fill(nodes, content)
    with out.open("r+b") as file:
        template.write_sparse(cast("BinaryIO", file), bytes(content))


def btrfs(root: Node, out: Path) -> None:
    """btrfs, from a folder."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "tree"
        nodes = _unfold(root, folder)
        _sparse(out, SIZE)
        _run(
            "mkfs.btrfs",
            "-q",
            "-f",
            "-m",
            "single",
            "-d",
            "single",
            "-n",
            str(_NODE),
            "--rootdir",
            str(folder),
            str(out),
        )
    content = bytearray(out.read_bytes())
    identity = bytes(content[65536 + 32 : 65536 + 48])
    done = set()
    for at in range(0, len(content) - _NODE, 4096):
        if content[at + 32 : at + 48] == identity and content[at + 100] == 0 and at != 65536:
            done |= _fill_leaf(content, at, nodes)
    # mkfs.btrfs gives the top folder times of its own.
    lost = set(range(1, len(nodes))) - done
    assert not lost, f"{len(lost)} files were not found in the new btrfs, {nodes[min(lost)].name} first"
    with out.open("r+b") as file:
        template.write_sparse(cast("BinaryIO", file), bytes(content))


def _fill_leaf(content: bytearray, at: int, nodes: list[Node]) -> set[int]:
    """Owner and times of the inodes in one leaf, then its checksum; which nodes they were."""
    done = set()
    for item in range(struct.unpack_from("<I", content, at + 96)[0]):
        place = at + 101 + 25 * item
        kind, offset = content[place + 8], struct.unpack_from("<I", content, place + 17)[0]
        if kind != 1 or place > at + _NODE:
            continue
        inode = at + 101 + offset
        seconds = struct.unpack_from("<Q", content, inode + 136)[0]
        if not _MARK <= seconds < _MARK + len(nodes):
            continue
        node = nodes[seconds - _MARK]
        struct.pack_into("<II", content, inode + 44, node.uid, node.gid)
        for number, value in enumerate(
            (node.times.accessed, node.times.changed, node.times.modified, node.times.created)
        ):
            struct.pack_into("<QI", content, inode + 112 + 12 * number, *divmod(value, 1_000_000_000))
        done.add(seconds - _MARK)
    if done:
        struct.pack_into("<I", content, at, crc32c(bytes(content[at + 32 : at + _NODE])))
    return done


def _unfold(root: Node, folder: Path) -> list[Node]:
    """The tree as files below a folder, each with its mark as the modification time; the nodes by mark."""
    folder.mkdir()
    nodes = [root]
    places = [folder]
    for path, node in _paths(root):
        if node is root:
            continue
        place = folder / path.strip("/")
        nodes.append(node)
        places.append(place)
        if node.is_directory:
            place.mkdir()
        elif node.is_symlink:
            place.symlink_to(node.data.decode())
        else:
            place.write_bytes(node.data)
            place.chmod(stat.S_IMODE(node.mode))
    for number in range(len(nodes) - 1, -1, -1):
        os.utime(places[number], (_MARK + number,) * 2, follow_symlinks=False)
    return nodes


def _paths(node: Node, path: str = "") -> list[tuple[str, Node]]:
    found = [(path or "/", node)]
    for child in node.children.values():
        found += _paths(child, f"{path}/{child.name}")
    return found


def _sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=120)


KINDS: dict[str, Callable[[Node, Path], None]] = {"ext4": ext4, "xfs": xfs, "btrfs": btrfs, "lvm": lvm}
