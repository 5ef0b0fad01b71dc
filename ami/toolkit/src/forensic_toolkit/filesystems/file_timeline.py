"""The file-system timeline: one entry for each distinct time of an inode."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator

from forensic_toolkit.filesystems.entries import Entry, Times
from forensic_toolkit.results import Event
from forensic_toolkit.times import from_ns

_LETTERS = (
    ("m", "Modified", "modified"),
    ("a", "Accessed", "accessed"),
    ("c", "Changed", "changed"),
    ("b", "Born", "born"),
)


def events(entries: Iterable[Entry], *, notable: set[str]) -> Iterator[Event]:
    """Events of all entries; entries of paths in ``notable`` are marked as notable, except for access times."""
    for entry in entries:
        if entry.reused:
            # The inode belongs to another file now; its times would appear twice, once under a wrong name.
            continue
        for nanoseconds, letters, words in _moments(entry.times):
            time = from_ns(nanoseconds)
            if time is not None:
                yield Event(
                    time=time,
                    what=f"{letters} {entry.path}{entry.fate}",
                    source=f"file system, partition {_partition(entry)}",
                    description=words,
                    notable=entry.path in notable and letters != ".a..",
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


def _moments(times: Times) -> Iterator[tuple[int, str, str]]:
    """(time, mactime's four letters, description) for each distinct time."""
    for value in sorted({times.modified, times.accessed, times.changed, times.born} - {0}):
        same = [getattr(times, name) == value for _letter, _word, name in _LETTERS]
        letters = "".join(entry[0] if hit else "." for entry, hit in zip(_LETTERS, same, strict=True))
        words = ", ".join(entry[1] for entry, hit in zip(_LETTERS, same, strict=True) if hit)
        yield value, letters, words
