"""The file-system timeline: one entry for each distinct time of an inode."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Sequence

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.results import Event
from forensic_toolkit.times import from_ns

_LETTERS = (
    ("m", "Modified", "modified"),
    ("a", "Accessed", "accessed"),
    ("c", "Changed", "changed"),
    ("b", "Born", "born"),
)


# Entries of one tree that the keys of ``FileTimes`` can tell apart.
_MOST = 1 << 28


def events(entries: Iterable[Entry], *, notable: set[str]) -> Iterator[Event]:
    """Events of all entries; entries of paths in ``notable`` are marked as notable, except for access times."""
    for entry in entries:
        for nanoseconds, letters, words in _moments(entry):
            if (found := _event(entry, nanoseconds, letters, words, notable=entry.path in notable)) is not None:
                yield found


class FileTimes:
    """The events of a million files in little memory: of each only its time and its entry's number, the rest is made when it is read."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._keys = [
            value * _MOST + number
            for number, entry in enumerate(entries[:_MOST])
            for value, _, _ in _moments(entry)
            if from_ns(value)
        ]
        self._keys.sort()

    def __len__(self) -> int:
        return len(self._keys)

    def in_order(self) -> Iterator[Event]:
        """All events in order of time."""
        for key in self._keys:
            value, number = divmod(key, _MOST)
            entry = self._entries[number]
            letters, words = next((letters, words) for at, letters, words in _moments(entry) if at == value)
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
