"""LVM2: the logical volumes of a volume group, put together from its physical volumes without the device mapper.

Read are linear, striped, mirrored, RAID 0, 1, 4, 5 and 10, and thin volumes with their snapshots; all others are reported by
name. Source: LVM2's lib/format_text/layout.h and lvm(8).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystems.lvm_metadata import SECTOR, PhysicalVolume
from forensic_toolkit.filesystems.storage import ZEROS, Joined, Storage, Striped, part_of
from forensic_toolkit.filesystems.thin_pool import mapping

_MAX_NESTING = 8
# dm-raid's names for md's layouts of parity (lvmraid(7)).
_PARITY = {
    "raid4": (4, 0),
    "raid5": (5, 2),
    "raid5_la": (5, 0),
    "raid5_ra": (5, 1),
    "raid5_ls": (5, 2),
    "raid5_rs": (5, 3),
}
_PARITY |= {"raid5_n": (5, 5)}
_NEAR_TWO = 0x102
_NO_FILES = ("thin-pool", "cache-pool", "vdo-pool", "snapshot")


@dataclass(frozen=True, slots=True)
class LogicalVolume:
    """A visible logical volume."""

    group: str
    name: str
    storage: Storage


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A logical volume that cannot be assembled, and why."""

    group: str
    name: str
    why: str


def volumes(found: Iterable[PhysicalVolume]) -> Iterator[LogicalVolume | Unsupported]:
    """The logical volumes of all groups that the physical volumes belong to.

    A volume that cannot be read, and a group whose metadata is damaged, come as Unsupported.
    """
    here = {one.identity: one for one in found}
    newest: dict[str, tuple[int, str, dict[str, Any]]] = {}
    for one in here.values():
        try:
            groups = one.groups()
        except EvidenceError as error:
            yield Unsupported("", one.identity, str(error))
            continue
        for name, content in groups.items():
            key, number = str(content["id"]), int(content.get("seqno", 0))
            if key not in newest or newest[key][0] < number:
                newest[key] = (number, name, content)
    known = {
        _plain(volume["id"]) for _, _, content in newest.values() for volume in content["physical_volumes"].values()
    }
    for identity in sorted(set(here) - known):
        if here[identity].holds_metadata is False:
            why = "this physical volume holds no metadata; another volume of its group does: attach it too"
            yield Unsupported("", identity, why)
    for _, name, content in newest.values():
        yield from _Group(name, content, here).volumes()


def _plain(identity: object) -> str:
    return str(identity).replace("-", "")


class _Group:
    def __init__(self, name: str, content: dict[str, Any], here: dict[str, PhysicalVolume]) -> None:
        self.name = name
        self._extent = int(content["extent_size"]) * SECTOR
        self._logical: dict[str, Any] = content.get("logical_volumes", {})
        self._places = {
            key: part_of(here[_plain(volume["id"])].storage, int(volume["pe_start"]) * SECTOR, 1 << 62)
            for key, volume in content["physical_volumes"].items()
            if _plain(volume["id"]) in here
        }
        self._stores = {
            str(segment.get("cow_store"))
            for volume in self._logical.values()
            for segment in volume.values()
            if isinstance(segment, dict) and segment.get("type") == "snapshot"
        }

    def volumes(self) -> Iterator[LogicalVolume | Unsupported]:
        for name, volume in self._logical.items():
            if "VISIBLE" not in volume.get("status", []):
                continue
            try:
                kinds = {str(segment["type"]) for segment in _segments(volume)}
                if kinds and kinds <= set(_NO_FILES):
                    continue
                if name in self._stores:
                    raise EvidenceError("an old-style snapshot: only what its origin changed is stored here")
                yield LogicalVolume(self.name, name, self._volume(name, depth=0))
            except EvidenceError as error:
                yield Unsupported(self.name, name, str(error))
            except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
                yield Unsupported(self.name, name, f"damaged metadata ({type(error).__name__})")

    def _volume(self, name: str, *, depth: int) -> Storage:
        if depth > _MAX_NESTING:
            raise EvidenceError("volumes within volumes, nested too deeply")
        segments = [
            self._segment(segment, int(segment["extent_count"]) * self._extent, depth=depth)
            for segment in _segments(self._logical[name])
        ]
        if not segments:
            raise EvidenceError("a volume without extents")
        if len(segments) == 1:
            return segments[0]
        return Joined(segments, [(number, 0, part.size) for number, part in enumerate(segments)])

    def _segment(self, segment: dict[str, Any], length: int, *, depth: int) -> Storage:
        kind = str(segment["type"])
        if kind in ("striped", "linear"):
            return self._stripes(segment, length, depth=depth)
        if kind in ("zero", "error"):
            return Joined([], [(ZEROS, 0, length)])
        if kind == "mirror":
            return part_of(self._first(segment["mirrors"][::2], depth=depth), 0, length)
        if kind == "thin":
            return self._thin(segment, length, depth=depth)
        if kind.startswith("raid"):
            return self._raid(segment, kind, length, depth=depth)
        raise EvidenceError(f"a volume of type {kind}, which is not read without the device mapper")

    def _stripes(self, segment: dict[str, Any], length: int, *, depth: int) -> Storage:
        flat = segment["stripes"]
        pairs = list(zip(flat[::2], flat[1::2], strict=True))
        missing = sorted({str(name) for name, _ in pairs} - set(self._places) - set(self._logical))
        if missing:
            raise EvidenceError(
                f"parts of it are on other volumes ({', '.join(missing)}); attach and examine those too"
            )
        share = length // len(pairs)
        members: list[Storage | None] = [
            part_of(self._places.get(name) or self._volume(name, depth=depth + 1), int(first) * self._extent, share)
            for name, first in pairs
        ]
        if len(members) == 1 and members[0]:
            return members[0]
        step = int(segment["stripe_size"]) * SECTOR
        if step <= 0:
            raise EvidenceError(f"stripes of {step} bytes")
        return Striped(members, chunk=step, level=0, layout=0, size=length)

    def _first(self, names: list[Any], *, depth: int) -> Storage:
        """The first of several copies whose parts are all here."""
        reasons = []
        for name in names:
            try:
                return self._volume(str(name), depth=depth + 1)
            except EvidenceError as error:
                reasons.append(str(error))
        raise EvidenceError("; ".join(dict.fromkeys(reasons)) or "a mirror without copies")

    def _raid(self, segment: dict[str, Any], kind: str, length: int, *, depth: int) -> Storage:
        names = [str(name) for name in (segment.get("raids") or segment["raid0_lvs"])]
        # rmeta and rimage alternate, but raid0 has images alone.
        images = [name for name in names if "_rmeta" not in name]
        if kind == "raid1":
            return part_of(self._first(list(images), depth=depth), 0, length)
        level, layout = (10, _NEAR_TWO) if kind.startswith("raid10") else _PARITY.get(kind, (0, 0))
        if level == 0 and not kind.startswith("raid0"):
            raise EvidenceError(f"a volume of type {kind}, which is not read without the device mapper")
        members: list[Storage | None] = []
        for name in images:
            try:
                members.append(self._volume(name, depth=depth + 1))
            except EvidenceError:
                if level != 10:
                    raise
                members.append(None)
        step = int(segment.get("stripe_size", 0)) * SECTOR or 64 << 10
        return Striped(members, chunk=step, level=level, layout=layout, size=length)

    def _thin(self, segment: dict[str, Any], length: int, *, depth: int) -> Storage:
        (pool,) = _segments(self._logical[segment["thin_pool"]])
        metadata = self._volume(str(pool["metadata"]), depth=depth + 1)
        data = self._volume(str(pool["pool"]), depth=depth + 1)
        pieces = mapping(metadata, device=int(segment["device_id"]), length=length)
        return Joined([data], pieces)


def _segments(volume: dict[str, Any]) -> list[dict[str, Any]]:
    return [volume[f"segment{number}"] for number in range(1, int(volume.get("segment_count", 0)) + 1)]
