"""Where the file systems of a disk are mounted, according to the system's own /etc/fstab.

A logical volume for /var has its log at /log/auth.log; rules look for /var/log/auth.log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from forensic_toolkit.filesystems.entries import Entry, FileSystem, Identity, Subvolume
from forensic_toolkit.filesystems.entry_table import EntryTable
from forensic_toolkit.results import Results

_MAX_FSTAB = 1 << 16
# Boot loaders and kernels: no rule looks there.
_BOOT = ("/boot", "/efi")
_NO_DEVICE = ("swap", "tmpfs", "proc", "sysfs", "devpts", "cgroup2", "nfs", "nfs4", "efs", "cifs", "overlay", "none")


# Names of disks that the kernel gives in the order in which it finds them, with the partition's number.
_PLAIN = re.compile(r"/dev/(?P<disk>(?:sd|xvd|vd|hd)[a-z]+|nvme\d+n\d+)(?:p?(?P<number>\d+))?")
# The disk with the system, where fstab's line for / has no such name.
_FIRST = frozenset({"sda", "xvda", "vda", "hda", "nvme0n1"})


@dataclass(frozen=True, slots=True)
class Walked:
    """One file system with all its entries."""

    filesystem: FileSystem
    identity: Identity
    entries: EntryTable


def arrange(walked: Sequence[Walked], *, results: Results) -> EntryTable:
    """All entries, the root file system's first; those of other file systems below their mount points.

    A mount point whose file system is not on this device is a gap: its files were not examined. Names like ``/dev/xvdf`` say nothing
    about a volume (Amazon EC2 User Guide, "Device names for volumes"); the number of a partition does, on the disk with the system.
    """
    root, top = _root(walked)
    points = _mount_points(root, top) if root else []
    here = {name for item in walked for name in _names(item)}
    for point in points:
        if point.name in here or point.folder.startswith(_BOOT):
            continue
        if _PLAIN.fullmatch(point.name):
            why = f"fstab names {point.name}, which is no lasting name: EC2 and the kernel choose it at each start; what is mounted there is on another volume of the instance"
            results.note(f"mount point {point.folder}", why)
        else:
            why = f"its file system ({point.name}) is not on this volume, but on another volume of the instance"
            results.gap(f"mount point {point.folder}", why)
    ordered = sorted(walked, key=lambda item: item is not root)
    placed = [_placed(item, points, top=top if item is root else None) for item in ordered]
    if len(placed) == 1 and isinstance(placed[0], EntryTable):
        return placed[0]
    return EntryTable(entry for entries in placed for entry in entries)


@dataclass(frozen=True, slots=True)
class _Point:
    """A line of fstab: the file system's name, the subvolume (None: the default one), the folder."""

    name: str
    subvolume: str | None
    folder: str


def _root(walked: Sequence[Walked]) -> tuple[Walked | None, str]:
    """The file system with the system on it, and on btrfs the path of the subvolume that is it."""
    for item in walked:
        paths = {path for path in item.entries.of_kind("REG") if path.endswith(("/fstab", "/passwd"))}
        for top in _tops(item):
            if f"{top}/etc/fstab" in paths and f"{top}/etc/passwd" in paths:
                return item, top
    return None, ""


def _tops(item: Walked) -> list[str]:
    """Where a system may begin, likely places first: the default subvolume, then others, snapshots last."""
    found = _subvolumes(item)
    ordered = sorted(found, key=lambda one: (not one.default, one.read_only, bool(one.origin), one.path))
    return [f"/{one.path}" if one.path else "" for one in ordered] or [""]


def _subvolumes(item: Walked) -> list[Subvolume]:
    return list(getattr(item.filesystem, "subvolumes", ()))


def _placed(item: Walked, points: list[_Point], *, top: str | None) -> Iterable[Entry]:
    """The entries with the paths that they had on the running system."""
    names = set(_names(item))
    subvolumes = _subvolumes(item)
    if not subvolumes:
        folder = next((point.folder for point in points if point.name in names), "") if top is None else ""
        return (replace(entry, path=folder + entry.path) for entry in item.entries) if folder else item.entries
    default = next((f"/{one.path}" for one in subvolumes if one.default and one.path), "")
    mounted = {
        default if point.subvolume is None else point.subvolume: point.folder for point in points if point.name in names
    }
    if top is not None:
        mounted[top] = ""
    # The innermost subvolume that is mounted decides; what is mounted nowhere keeps its path in the file system.
    inner = sorted(mounted, key=len, reverse=True)
    return _moved(_without_copies(item.entries, subvolumes), inner, mounted)


def _moved(entries: Iterable[Entry], inner: Sequence[str], mounted: Mapping[str, str]) -> Iterator[Entry]:
    for entry in entries:
        start = next((one for one in inner if entry.path.startswith(f"{one}/")), None)
        moved = (start is not None and mounted[start] + entry.path[len(start) :]) or entry.path
        yield entry if moved == entry.path else replace(entry, path=moved)


def _without_copies(entries: EntryTable, subvolumes: list[Subvolume]) -> Iterator[Entry]:
    """Without those entries of snapshots that are as in the subvolume they were taken of: what was changed or removed stays."""
    paths = {one.number: f"/{one.path}" if one.path else "" for one in subvolumes}
    snapshots = [
        (f"{paths[one.number]}/", paths[one.origin], one.number)
        for one in subvolumes
        if one.origin in paths and one.path
    ]
    if not snapshots:
        yield from entries
        return
    tops = [
        tuple(f"{path}/" for path in paths.values() if path.startswith(start) and path + "/" != start)
        for start, _, _ in snapshots
    ]
    for entry in entries:
        for (start, origin, _), nested in zip(snapshots, tops, strict=True):
            if entry.path.startswith(start) and not entry.path.startswith(nested):
                number = entries.find(f"{origin}/{entry.path[len(start) :]}")
                other = None if number is None else entries[number]
                same = other is not None and (other.times, other.size, other.mode) == (
                    entry.times,
                    entry.size,
                    entry.mode,
                )
                if not same and not (other is not None and entry.kind == "DIR"):
                    yield entry
                break
        else:
            yield entry


def _names(item: Walked) -> list[str]:
    own = [item.identity.uuid.lower(), f"label:{item.identity.label}"]
    named = [name for name in own if name not in ("", "label:")]
    return [*named, *item.filesystem.partition.names, *_device_names(item.filesystem)]


def _device_names(filesystem: FileSystem) -> list[str]:
    match = re.fullmatch(r"LVM ([^/]+)/(.+)", filesystem.partition.description)
    if match is None:
        return []
    group, name = match.groups()
    # The device mapper doubles dashes in names.
    mapped = "-".join(word.replace("-", "--") for word in (group, name))
    return [f"/dev/{group}/{name}", f"/dev/mapper/{mapped}"]


# fstab(5), and the links that udev makes in /dev/disk.
_TAGS = {"UUID": "", "LABEL": "label:", "PARTUUID": "partuuid:", "PARTLABEL": "partlabel:"}
_LINK = re.compile(r"/dev/disk/by-(uuid|label|partuuid|partlabel)/(.+)")


def _name(kind: str, value: str) -> str | None:
    """The name of a file system as ``_names`` has it; None for a device's own."""
    if match := _LINK.fullmatch(kind):
        # udev writes other than plain characters as \x and two digits
        value = re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), match[2])
        kind = match[1].upper()
    if kind not in _TAGS:
        return None
    return _TAGS[kind] + (value.lower() if kind.endswith("UUID") else value)


def _mount_points(root: Walked, top: str) -> list[_Point]:
    """The lines of fstab, with UUID, ``label:…``, ``partuuid:…``, ``partlabel:…`` or device as the name."""
    entry = next(entry for entry in root.entries if entry.path == f"{top}/etc/fstab" and entry.is_file)
    points: dict[str, _Point] = {}
    lines = entry.read(limit=_MAX_FSTAB).decode("utf-8", "replace").splitlines()
    own = _disks_of_root(lines)
    for line in lines:
        fields = line.split()
        usable = len(fields) >= 3 and fields[1].startswith("/") and fields[1] != "/" and ".." not in fields[1]
        options = fields[3].split(",") if len(fields) > 3 else []
        if usable and not line.startswith("#") and fields[2] not in _NO_DEVICE and "bind" not in options:
            device = fields[0].strip('"')
            kind, _, value = device.partition("=")
            name = _name(kind, value.strip('"')) or _by_number(device, own) or device
            inner = next((option[7:] for option in options if option.startswith("subvol=")), None)
            subvolume = None if inner is None else "/" + inner.strip("/")
            folder = fields[1].rstrip("/")
            points.setdefault(folder, _Point(name, subvolume, folder))
    return list(points.values())


def _disks_of_root(lines: Sequence[str]) -> frozenset[str]:
    """The plain names under which fstab knows the disk with the system."""
    for line in lines:
        fields = line.split()
        if len(fields) > 1 and fields[1] == "/" and (plain := _PLAIN.fullmatch(fields[0])):
            return frozenset({plain["disk"]})
    return _FIRST


def _by_number(device: str, own: frozenset[str]) -> str | None:
    """The partition that a plain device name means, where it is one of the disk with the system."""
    plain = _PLAIN.fullmatch(device)
    return f"number:{plain['number']}" if plain and plain["number"] and plain["disk"] in own else None
