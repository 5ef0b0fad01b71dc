"""The entries of file systems in columns: a million of them in some 200 MiB, where as many objects take four times that."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import overload

from forensic_toolkit.filesystems.entries import Entry, FileSystem, Times

_KINDS = ("REG", "DIR", "LNK", "CHR", "BLK", "FIFO", "SOCK", "?")
_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}
_DELETED, _REUSED = 0x10, 0x20


class EntryTable(Sequence[Entry]):
    """A sequence of entries that only grows; each look at one makes an object anew, which shares its mark ``seen`` with the others."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.paths: list[str] = []
        self.marks = bytearray()
        self._flags = bytearray()
        self._inodes = array("Q")
        self._sizes = array("q")
        self._owners = array("I")  # mode, user, group
        self._times = array("q")  # modified, accessed, changed, born
        self._of = array("H")
        self._systems: list[FileSystem | None] = []
        self._numbers: dict[int, int] = {}
        # What fits into no column: a file system may be damaged or crafted.
        self._odd: dict[int, Entry] = {}
        self._index: _Index | None = None
        self._folders: _Index | None = None
        self.extend(entries)

    def extend(self, entries: Iterable[Entry]) -> None:
        """Add entries at the end."""
        for entry in entries:
            self.append(entry)

    def append(self, entry: Entry) -> None:
        """Add an entry at the end."""
        self._index = self._folders = None
        number = len(self.paths)
        times = entry.times
        numbers = (entry.inode, entry.size, entry.mode, entry.uid, entry.gid)
        row = (times.modified, times.accessed, times.changed, times.born)
        if min(numbers) < 0 or max(numbers[2:]) >> 32 or max(*numbers, *map(abs, row)) >> 63:
            self._odd[number], numbers, row = entry, (0, 0, 0, 0, 0), (0, 0, 0, 0)
        self.paths.append(entry.path)
        self.marks.append(entry.seen)
        self._flags.append(_NUMBERS.get(entry.kind, 7) | _DELETED * entry.deleted | _REUSED * entry.reused)
        self._inodes.append(numbers[0])
        self._sizes.append(numbers[1])
        self._owners.extend(numbers[2:])
        self._times.extend(row)
        self._of.append(self._system(entry.filesystem))

    def _system(self, filesystem: FileSystem | None) -> int:
        key = id(filesystem)  # each is kept in the list: no other one gets its place in memory
        if key not in self._numbers:
            self._numbers[key] = len(self._systems)
            self._systems.append(filesystem)
        return self._numbers[key]

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, number: int) -> Entry: ...
    @overload
    def __getitem__(self, number: slice) -> list[Entry]: ...
    def __getitem__(self, number: int | slice) -> Entry | list[Entry]:
        if isinstance(number, slice):
            return [self._entry(one) for one in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        return self._entry(number % len(self))

    def __iter__(self) -> Iterator[Entry]:
        return map(self._entry, range(len(self.paths)))

    def _entry(self, number: int) -> Entry:
        flags, filesystem = self._flags[number], self._systems[self._of[number]]
        if number in self._odd:
            odd = self._odd[number]
            inode, size, mode, uid, gid, times = odd.inode, odd.size, odd.mode, odd.uid, odd.gid, odd.times
        else:
            inode, size, times = (
                self._inodes[number],
                self._sizes[number],
                Times(*self._times[4 * number : 4 * number + 4]),
            )
            mode, uid, gid = self._owners[3 * number : 3 * number + 3]
        kind, deleted, reused = _KINDS[flags & 7], bool(flags & _DELETED), bool(flags & _REUSED)
        path = self.paths[number]
        return Entry(path, inode, kind, mode, uid, gid, size, times, deleted, reused, filesystem, self.marks, number)

    def filesystems(self) -> list[FileSystem]:
        """The file systems that the entries are of, each once."""
        return [one for one in self._systems if one is not None]

    def matching(self, found: Callable[[str], object], kind: str) -> Iterator[Entry]:
        """Existing entries of a kind whose path ``found`` is true for; of several with the same path the first."""
        wanted = _NUMBERS[kind]
        for number, path in enumerate(self.paths):
            if self._flags[number] & ~_REUSED == wanted and found(path) and self.find(path) == number:
                yield self._entry(number)

    def of_kind(self, kind: str) -> Iterator[str]:
        """Paths of existing entries of a kind."""
        wanted = _NUMBERS[kind]
        return (path for path, flags in zip(self.paths, self._flags, strict=True) if flags & ~_REUSED == wanted)

    def find(self, path: str) -> int | None:
        """The number of the first existing entry at a path."""
        if self._index is None:
            self._index = _Index(self._living(), self.paths)
        return next((n for n in self._index.near(path) if self.paths[n] == path), None)

    def children(self, folder: str) -> list[Entry]:
        """The existing entries directly in a folder."""
        if self._folders is None:
            self._folders = _Index(self._living(), self.paths, of=_folder)
        return [self._entry(number) for number in self._folders.near(folder) if _folder(self.paths[number]) == folder]

    def _living(self) -> array[int]:
        return array("I", (number for number, flags in enumerate(self._flags) if not flags & _DELETED))


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _itself(path: str) -> str:
    return path


class _Index:
    """Numbers of entries by the hash of their path, or of a part of it."""

    def __init__(self, numbers: array[int], paths: Sequence[str], *, of: Callable[[str], str] = _itself) -> None:
        hashes = array("q", (hash(of(paths[number])) for number in numbers))
        order = sorted(range(len(numbers)), key=hashes.__getitem__)
        self._hashes = array("q", map(hashes.__getitem__, order))
        self._numbers = array("I", map(numbers.__getitem__, order))

    def near(self, text: str) -> Iterator[int]:
        """The numbers under the hash of a text, in order."""
        wanted = hash(text)
        at = bisect_left(self._hashes, wanted)
        while at < len(self._hashes) and self._hashes[at] == wanted:
            yield self._numbers[at]
            at += 1
