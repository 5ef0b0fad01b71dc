"""The file-system timeline: one entry for each distinct time of an inode."""

from __future__ import annotations

import heapq
import stat
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.results import Event
from forensic_toolkit.times import from_ns

_LETTERS = (
    ("m", "Modified", "modified"),
    ("a", "Accessed", "accessed"),
    ("c", "Changed", "changed"),
    ("b", "Born", "born"),
)


# Entries whose times are put in order at once; the runs are merged when they are read.
_RUN = 200_000


def events(entries: Iterable[Entry], *, notable: set[str]) -> Iterator[Event]:
    """Events of all entries; entries of paths in ``notable`` are marked as notable, except for access times."""
    for entry in entries:
        for nanoseconds, letters, words in _moments(entry):
            if (found := _event(entry, nanoseconds, letters, words, notable=entry.path in notable)) is not None:
                yield found


class FileTimes:
    """The events of a million files in little memory: of each time its microseconds and which entry's it is; the rest is made when it is read.

    Entries of the paths ``without`` are left out.
    """

    def __init__(self, entries: Sequence[Entry], *, without: Collection[str] = ()) -> None:
        self._entries = entries
        self._runs: list[tuple[array[int], array[int]]] = []
        keys: list[tuple[int, int]] = []
        for number, entry in enumerate(entries):
            if entry.path not in without:
                moments = enumerate(_moments(entry))
                keys.extend((value, 4 * number + place) for place, (value, _, _) in moments if from_ns(value))
            if len(keys) >= _RUN:
                self._run(keys)
        self._run(keys)

    def _run(self, keys: list[tuple[int, int]]) -> None:
        keys.sort()
        self._runs.append((array("q", (value // 1000 for value, _ in keys)), array("I", (place for _, place in keys))))
        keys.clear()

    def __len__(self) -> int:
        return sum(len(places) for _, places in self._runs)

    def in_order(self) -> Iterator[Event]:
        """All events in order of time, to the microsecond."""
        for _, place in heapq.merge(*(zip(*run, strict=True) for run in self._runs)):
            entry = self._entries[place // 4]
            value, letters, words = next(islice(_moments(entry), place % 4, None))
            if (found := _event(entry, value, letters, words, notable=False)) is not None:
                yield found


def _event(entry: Entry, nanoseconds: int, letters: str, words: str, *, notable: bool) -> Event | None:
    time = from_ns(nanoseconds)
    if time is None:
        return None
    return Event(
        time=time,
        what=f"{letters} {entry.path}{entry.fate}",
        source=f"file system, partition {_partition(entry)}",
        description=words,
        notable=notable and letters != ".a..",
        extra={
            "path": entry.path,
            "inode": entry.inode,
            "size": entry.size,
            "mode": stat.filemode(entry.mode),
            "uid": entry.uid,
            "gid": entry.gid,
            "macb": letters,
            "deleted": entry.deleted,
        },
    )


def _partition(entry: Entry) -> int:
    return entry.filesystem.partition.number if entry.filesystem else 0


def _moments(entry: Entry) -> Iterator[tuple[int, str, str]]:
    """(time, mactime's four letters, description) for each distinct time."""
    if entry.reused:
        # The inode belongs to another file now; its times would appear twice, once under a wrong name.
        return
    times = entry.times
    for value in sorted({times.modified, times.accessed, times.changed, times.born} - {0}):
        same = [getattr(times, name) == value for _letter, _word, name in _LETTERS]
        letters = "".join(entry[0] if hit else "." for entry, hit in zip(_LETTERS, same, strict=True))
        words = ", ".join(entry[1] for entry, hit in zip(_LETTERS, same, strict=True) if hit)
        yield value, letters, words
