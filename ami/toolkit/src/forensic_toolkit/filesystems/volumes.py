"""Everything on the devices that may hold a file system: partitions, arrays, logical volumes, whole disks."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystems import luks, lvm, raid, signatures
from forensic_toolkit.filesystems.dissect_filesystem import DissectFileSystem
from forensic_toolkit.filesystems.entries import FileSystem, Identity, Partition
from forensic_toolkit.filesystems.lvm_metadata import PhysicalVolume
from forensic_toolkit.filesystems.prepared import Prepared, prepared
from forensic_toolkit.filesystems.sleuthkit import SleuthKit, UnknownFileSystemError
from forensic_toolkit.filesystems.storage import Storage, Stored, part_of
from forensic_toolkit.results import Results

# An empty volume up to this size is alignment or a boot loader's place; a larger one is mentioned.
_SMALL = 16 << 20
_MOST_VOLUMES = 4096


class Disk:
    """One or more devices, opened for reading only. Raises EvidenceError when one cannot be opened.

    ``others`` are further volumes of the same instance: members of arrays and volume groups are looked for there too; ``keys``
    open encrypted volumes.
    """

    def __init__(self, device: Path, *, others: Iterable[Path] = (), keys: Sequence[luks.Key] = ()) -> None:
        self._kits = [SleuthKit(device)]
        self._closed: list[tuple[str, str]] = []
        for path in others:
            try:
                self._kits.append(SleuthKit(path))
            except EvidenceError as error:
                self._closed.append((str(path), f"{error}; parts of arrays and volume groups on it are missing"))
        self._folder = tempfile.TemporaryDirectory(prefix="overlay-")
        self._overlays = 0
        self._vault = luks.Vault(keys)
        self._waiting: deque[Partition] = deque()
        self._elsewhere: list[Partition] = []  # encrypted, on other devices
        self._members: list[raid.Member] = []
        self._physical: list[PhysicalVolume] = []
        self._pools: dict[str, list[tuple[Partition, Prepared]]] = {}
        self._number = 0
        self.volumes: list[Partition] = []
        self.replayed = False  # something is read otherwise than it lies on the devices

    def file_systems(self, results: Results) -> Iterator[tuple[FileSystem, Identity]]:
        """Every file system that can be opened; whatever is there and cannot be read is a gap in ``results``."""
        for what, why in self._closed:
            results.gap(what, why)
        for index, kit in enumerate(self._kits):
            # Of other devices only what belongs together with this one is examined.
            for part in kit.partitions():
                if index == 0 or _is_part(part.contents()):
                    self._waiting.append(part)
                elif signatures.content_of(part.contents()).kind == signatures.LUKS:
                    self._elsewhere.append(part)
        while self._waiting or self._assemble(results):
            if not self._waiting:
                continue
            volume = self._waiting.popleft()
            found = prepared(volume.contents(), overlay=self._overlay)
            if not self._is_container(volume, found, results):
                yield from self._file_system(volume, found, results)
        for parts in self._pools.values():
            yield from self._pool(parts, results)

    def _overlay(self) -> Path:
        self._overlays += 1
        return Path(self._folder.name) / f"{self._overlays}.changes"

    def _is_container(self, volume: Partition, found: Prepared, results: Results) -> bool:
        """Whether the volume is a part of something else, which is then kept for later."""
        contents = found.storage
        try:
            member = raid.member(contents, known=found.content.kind not in (signatures.NONE, signatures.EMPTY))
        except EvidenceError as error:
            results.gap(volume.label, str(error))
            return True
        if found.content.kind in signatures.ENCRYPTED and member is None:
            self._unlock(volume, contents, results)
            return True
        # A mirror with its superblock at the end looks like the file system in it: the array is what was mounted.
        if member is not None:
            self._members.append(member)
            return True
        if found.content.kind == signatures.LVM:
            try:
                self._physical.append(PhysicalVolume(contents))
            except EvidenceError as error:
                results.gap(volume.label, str(error))
            return True
        if found.content.kind == signatures.BTRFS and _devices(contents) > 1:
            self._pools.setdefault(found.content.identity.uuid, []).append((volume, found))
            return True
        return False

    def _unlock(self, volume: Partition, contents: Storage, results: Results) -> None:
        try:
            opened = self._vault.open(contents)
        except EvidenceError as error:
            results.gap(volume.label, str(error))
            return
        results.note(volume.label, opened.words)
        for note in opened.notes:
            results.note(volume.label, note)
        self.replayed = True
        self._add(opened.title, opened.storage)

    def _unlock_elsewhere(self, results: Results) -> bool:
        """Open encrypted volumes of other devices that may hold members of what this one has members of; True when one does."""
        locked, self._elsewhere = self._elsewhere, []
        for volume in locked:
            try:
                opened = self._vault.open(volume.contents())
            except EvidenceError as error:
                results.note(
                    volume.label,
                    f"on another volume of the instance, beside this one's arrays or volume groups: {error}",
                )
                continue
            if _is_part(opened.storage):
                results.note(volume.label, f"on another volume of the instance: {opened.words}")
                self._add(opened.title, opened.storage)
        return bool(self._waiting)

    def _assemble(self, results: Results) -> bool:
        """Put together the arrays first, then the volume groups on them; True while there may be new volumes."""
        if (self._members or self._physical) and self._unlock_elsewhere(results):
            return True
        if self._members:
            members, self._members = self._members, []
            for title, storage in raid.assemble(members):
                if isinstance(storage, EvidenceError):
                    results.gap(title, str(storage))
                else:
                    self._add(title, storage)
            return True
        if self._physical:
            physical, self._physical = self._physical, []
            for volume in lvm.volumes(physical):
                name = f"{volume.group}/{volume.name}"
                if isinstance(volume, lvm.Unsupported):
                    results.gap(f"logical volume {name}", volume.why)
                else:
                    self._add(f"LVM {name}", volume.storage)
            return True
        return False

    def _add(self, title: str, storage: Storage) -> None:
        self._number += 1
        if self._number > _MOST_VOLUMES:
            raise EvidenceError(f"more than {_MOST_VOLUMES} volumes within volumes")
        for part in self._kits[0].partitions(storage):
            inside = part_of(storage, part.offset, part.length)
            words = f"{title}, partition {part.number}" if part.number else title
            self._waiting.append(
                Partition(100 * self._number + part.number, 0, part.length, words, storage=inside, names=part.names)
            )

    def _file_system(
        self, volume: Partition, found: Prepared, results: Results
    ) -> Iterator[tuple[FileSystem, Identity]]:
        for note in found.notes:
            results.note(volume.label, note)
        self.replayed = self.replayed or bool(found.notes)
        kind = found.content.kind
        if found.storage is not volume.storage and found.notes:
            volume = volume.over(found.storage)
        if kind in (signatures.SWAP, signatures.EMPTY) or _is_boot_loader(volume, kind):
            if kind == signatures.EMPTY and volume.length > _SMALL:
                results.gap(volume.label, "empty: it holds nothing but zeros, no file system and no trace of one")
            return
        for why in found.gaps:
            results.gap(volume.label, why)
        try:
            opened = self._open(volume, found)
        except EvidenceError as error:
            results.gap(volume.label, str(error))
            return
        opened.current = found.current
        self.volumes.append(volume)
        yield opened, found.content.identity

    def _open(self, volume: Partition, found: Prepared) -> FileSystem:
        kind = found.content.kind
        reasons = []
        if kind not in (signatures.BTRFS, signatures.XFS):
            try:
                return self._kits[0].filesystem(volume)
            except UnknownFileSystemError as error:
                reasons.append(f"The Sleuth Kit: {error}")
        try:
            return DissectFileSystem(volume)
        except EvidenceError as error:
            reasons.append(f"dissect: {error}")
        if kind == signatures.NONE:
            if signatures.high_entropy(found.storage):
                kind = (
                    "no known file system, its content looks random: encrypted without a header on this volume (plain dm-crypt, a "
                    "detached or wiped LUKS header, VeraCrypt or TrueCrypt), or overwritten. No key opens it here: decrypt a copy and have that examined"
                )
            else:
                kind = "no known file system"
        raise EvidenceError(f"{kind}, which cannot be read ({'; '.join(reasons)})")

    def _pool(self, parts: list[tuple[Partition, Prepared]], results: Results) -> Iterator[tuple[FileSystem, Identity]]:
        """A btrfs over several devices."""
        volume, found = parts[0]
        needed = _devices(found.storage)
        numbers = {_device_number(item.storage) for _, item in parts}
        if len(numbers) < needed:
            why = f"a btrfs over {needed} devices, {len(numbers)} of which are here; what lies on the others cannot be read"
            results.gap(volume.label, why)
        for _, item in parts:
            found.gaps.extend(why for why in item.gaps if why not in found.gaps)
        more = tuple(item.storage for _, item in parts[1:])
        yield from self._file_system(volume.over(found.storage, more=more), found, results)


def _is_part(volume: Storage) -> bool:
    """Whether a volume is a member of an array, a volume group or a file system over several devices."""
    kind = signatures.content_of(volume).kind
    shared = kind == signatures.LVM or (kind == signatures.BTRFS and _devices(volume) > 1)
    return shared or raid.member(volume, known=True) is not None


def _devices(volume: Storage) -> int:
    return int.from_bytes(volume.read(signatures.BTRFS_AT + 136, 8), "little")


def _device_number(volume: Storage) -> int:
    return int.from_bytes(volume.read(signatures.BTRFS_AT + 201, 8), "little")


def _is_boot_loader(volume: Partition, kind: str) -> bool:
    """A BIOS boot or PReP partition: a boot loader's code, without a file system."""
    named = any(word in volume.description.lower() for word in ("bios boot", "prep boot"))
    return kind == signatures.NONE and (named or volume.length <= 1 << 20)


def stored(device: Path) -> Stored:
    """A device as a storage. Raises EvidenceError when it cannot be opened."""
    try:
        return Stored(str(device))
    except OSError as error:
        raise EvidenceError(f"{device} cannot be opened: {error.strerror}") from error
