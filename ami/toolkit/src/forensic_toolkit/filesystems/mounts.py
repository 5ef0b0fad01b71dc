"""Where the file systems of a disk are mounted, according to the system's own /etc/fstab.

A logical volume for /var has its log at /log/auth.log; rules look for /var/log/auth.log.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from forensic_toolkit.filesystems.entries import Entry, FileSystem, Identity
from forensic_toolkit.results import Results

_MAX_FSTAB = 1 << 16
# Boot loaders and kernels: no rule looks there.
_BOOT = ("/boot", "/efi")
_NO_DEVICE = ("swap", "tmpfs", "proc", "sysfs", "devpts", "cgroup2", "nfs", "nfs4", "efs", "cifs", "overlay", "none")


@dataclass(frozen=True, slots=True)
class Walked:
    """One file system with all its entries."""

    filesystem: FileSystem
    identity: Identity
    entries: list[Entry]


def arrange(walked: Sequence[Walked], *, results: Results) -> list[Entry]:
    """All entries, the root file system's first; those of other file systems below their mount points.

    A mount point whose file system is not on this device is a gap: its files were not examined.
    """
    root = next((item for item in walked if _has(item, "/etc/fstab") and _has(item, "/etc/passwd")), None)
    points = _mount_points(root) if root else {}
    here = {name for item in walked for name in _names(item)}
    for name, point in points.items():
        if name not in here and not point.startswith(_BOOT):
            why = f"its file system ({name}) is not on this volume, but on another volume of the instance"
            results.gap(f"mount point {point}", why)
    ordered = sorted(walked, key=lambda item: item is not root)
    return [entry for item in ordered for entry in _placed(item, points=points if item is not root else {})]


def _placed(item: Walked, *, points: dict[str, str]) -> list[Entry]:
    point = next((points[name] for name in _names(item) if name in points), "")
    # Entries of btrfs subvolumes and the like keep their paths.
    return [replace(entry, path=point + entry.path) for entry in item.entries] if point else item.entries


def _names(item: Walked) -> list[str]:
    own = [item.identity.uuid.lower(), f"label:{item.identity.label}"]
    return [name for name in own if name not in ("", "label:")] + _device_names(item.filesystem)


def _device_names(filesystem: FileSystem) -> list[str]:
    match = re.fullmatch(r"LVM ([^/]+)/(.+)", filesystem.partition.description)
    if match is None:
        return []
    group, name = match.groups()
    # The device mapper doubles dashes in names.
    mapped = "-".join(word.replace("-", "--") for word in (group, name))
    return [f"/dev/{group}/{name}", f"/dev/mapper/{mapped}"]


def _mount_points(root: Walked) -> dict[str, str]:
    """Mount points by UUID, ``label:…`` or device."""
    entry = next(entry for entry in root.entries if entry.path == "/etc/fstab" and entry.is_file)
    points: dict[str, str] = {}
    for line in entry.read(limit=_MAX_FSTAB).decode("utf-8", "replace").splitlines():
        fields = line.split()
        usable = len(fields) >= 3 and fields[1].startswith("/") and fields[1] != "/" and ".." not in fields[1]
        if usable and not line.startswith("#") and fields[2] not in _NO_DEVICE and "bind" not in line:
            device = fields[0].strip('"')
            kind, _, value = device.partition("=")
            name = {"UUID": value.strip('"').lower(), "LABEL": f"label:{value.strip(chr(34))}"}.get(kind, device)
            points.setdefault(name, fields[1].rstrip("/"))
    return points


def _has(item: Walked, path: str) -> bool:
    return any(entry.path == path and entry.is_file for entry in item.entries)
