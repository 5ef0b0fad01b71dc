"""Linux software RAID: members found by their superblocks and put together as md would.

Source: the kernel's include/uapi/linux/raid/md_p.h (versions 0.90 and 1.x) and drivers/md.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystems.storage import Joined, Storage, Striped, part_of

SECTOR = 512
_MAGIC = 0xA92B4EFC
_RESERVED = 64 << 10
_SPARE, _FAULTY, _MOST = 0xFFFF, 0xFFFE, 0xFF00
_RESHAPE, _RECOVERY = 4, 2
_LEVELS = {-1: "linear", 0: "RAID 0", 1: "RAID 1", 4: "RAID 4", 5: "RAID 5", 6: "RAID 6", 10: "RAID 10"}
_OLDER = 1  # events by which a member may lag, as the kernel allows


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an array; sizes in bytes, ``role`` None for a spare or a faulty one."""

    array: str
    name: str
    level: int
    layout: int
    chunk: int
    disks: int
    size: int
    role: int | None
    events: int
    unfinished: str
    data: Storage

    @property
    def title(self) -> str:
        """The array for people."""
        return f"md {self.name or self.array} ({_LEVELS.get(self.level, f'level {self.level}')})"


def member(volume: Storage, *, known: bool = False) -> Member | None:
    """The member that a volume is, by the superblock at one of md's four places; None when it has none.

    Raises EvidenceError for a damaged superblock, unless the volume holds something that is ``known``: then it is a remainder.
    """
    size, strange = volume.size, ""
    for place in (4096, 0, (size - 8192) // 4096 * 4096):
        raw = volume.read(place, 4096) if 0 <= place < size else b""
        if len(raw) >= 512 and struct.unpack_from("<II", raw) == (_MAGIC, 1):
            found = _version_1(volume, raw, place)
            if found is not None:
                return found
            strange = strange or f"a Linux RAID member whose superblock at byte {place} contradicts itself"
    place = size // _RESERVED * _RESERVED - _RESERVED
    raw = volume.read(place, 4096) if place > 0 else b""
    if len(raw) == 4096 and struct.unpack_from("<II", raw) == (_MAGIC, 0):
        return _version_0(volume, raw, place)
    if strange and not known:
        raise EvidenceError(f"{strange}; the array cannot be put together")
    return None


def _version_1(volume: Storage, raw: bytes, place: int) -> Member | None:
    features = struct.unpack_from("<I", raw, 8)[0]
    level, layout, size, chunk, disks = struct.unpack_from("<iIQII", raw, 72)
    start, length, own = struct.unpack_from("<QQQ", raw, 128)
    number, events, most = struct.unpack_from("<I", raw, 160)[0], *struct.unpack_from("<Q12xI", raw, 200)
    if own * SECTOR != place or number >= most or 256 + 2 * number + 2 > len(raw):
        return None
    role = struct.unpack_from("<H", raw, 256 + 2 * number)[0]
    unfinished = (
        "it is being reshaped" if features & _RESHAPE else "it is being rebuilt" if features & _RECOVERY else ""
    )
    name = raw[32:64].split(b"\0", 1)[0].decode("utf-8", "replace")
    data = part_of(volume, start * SECTOR, min(length * SECTOR, volume.size - start * SECTOR))
    return Member(
        raw[16:32].hex(), name, level, layout, chunk * SECTOR, disks, size * SECTOR, role if role < _MOST else None, events,
        unfinished, data,
    )  # fmt: skip


def _version_0(volume: Storage, raw: bytes, place: int) -> Member:
    words = struct.unpack("<1024I", raw)
    array = struct.pack("<4I", words[5], *words[13:16]).hex()
    level = words[7] - (1 << 32) if words[7] >> 31 else words[7]
    role = words[995] if words[996] & 0b110 == 0b110 else None  # active and in sync
    events = words[39] | words[40] << 32
    data = part_of(volume, 0, place)
    return Member(array, "", level, words[64], words[65], words[10], words[8] * 1024, role, events, "", data)


def assemble(members: Iterable[Member]) -> Iterator[tuple[str, Storage | EvidenceError]]:
    """(title, volume) of each array, or the reason why it cannot be put together."""
    arrays: dict[str, list[Member]] = {}
    for one in members:
        arrays.setdefault(one.array, []).append(one)
    for found in arrays.values():
        newest = max(found, key=lambda one: one.events)
        try:
            yield newest.title, _assembled(newest, found)
        except EvidenceError as error:
            yield newest.title, error


def _assembled(newest: Member, found: list[Member]) -> Storage:
    if newest.level not in _LEVELS:
        raise EvidenceError(f"arrays of level {newest.level} are not read")
    if newest.unfinished.endswith("reshaped"):
        raise EvidenceError("it was being reshaped; its data lies in two layouts")
    fresh = {one.role: one for one in found if one.role is not None and one.events + _OLDER >= newest.events}
    # A member that is being rebuilt is complete only up to a point.
    fresh = {role: one for role, one in fresh.items() if not one.unfinished or newest.level != 1 or len(fresh) == 1}
    members = [fresh.get(role) for role in range(newest.disks)]
    missing = members.count(None)
    if not fresh or (missing and newest.level not in (1, 10)):
        raise EvidenceError(
            f"{newest.disks - missing} of its {newest.disks} members are here and up to date; attach the volumes with the others"
        )
    if newest.level == -1:
        parts = [one.data for one in members if one]
        return Joined(parts, [(number, 0, part.size) for number, part in enumerate(parts)])
    chunk, size = newest.chunk or 1 << 20, newest.size
    if newest.level == 0:
        lengths = {one.data.size // chunk * chunk for one in members if one}
        if len(lengths) > 1:
            raise EvidenceError("its members differ in size, a layout that is not read")
        size = lengths.pop() * newest.disks
    elif newest.level in (4, 5, 6):
        if newest.layout > 5 and newest.level != 4:
            raise EvidenceError(f"its layout {newest.layout} is not read")
        size *= newest.disks - (2 if newest.level == 6 else 1)
    elif newest.level == 10:
        copies = (newest.layout & 0xFF) * (newest.layout >> 8 & 0xFF)
        if not copies or newest.layout >> 17:
            raise EvidenceError(f"its layout {newest.layout:#x} is not read")
        size = size // chunk * newest.disks // copies * chunk
        _enough_copies(members, near=newest.layout & 0xFF)
    return Striped(
        [one.data if one else None for one in members], chunk=chunk, level=newest.level, layout=newest.layout, size=size
    )


def _enough_copies(members: list[Member | None], *, near: int) -> None:
    """Whether every chunk has a copy here; of copies far away on a disk the first alone is read."""
    count = len(members)
    for start in range(0, count * near, near):
        if all(members[(start + step) % count] is None for step in range(near)):
            raise EvidenceError(
                f"{count - members.count(None)} of its {count} members are here: parts of it have no copy"
            )
