"""Copies of stored timelines on a web server's own disk, made for searches: verified, bounded, made anew when they are gone."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock, Thread

import structlog

from forensics.errors import DigestMismatchError, ForensicsError
from forensics.models.timeline import OF_THE_CASE, TimelinePart, TimelineStore
from forensics.timeline.columnar import write_searchable

log = structlog.get_logger(__name__)
Read = Callable[[str], Iterator[bytes]]


class TimelineCache:
    """One folder for all processes of a web server; the copies that were longest not used make room for new ones.

    :param most_bytes: of all copies together; one that is larger alone is kept while it is the newest
    """

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        self._folder = folder
        self._most = most_bytes
        self._lock = Lock()
        self._at_work: dict[str, Thread] = {}
        self._failed: dict[str, ForensicsError] = {}

    @property
    def folder(self) -> Path:
        """Where the copies are; made by the first call, for this user alone."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._folder

    def file(self, store: TimelineStore, read: Read, *, wait: float) -> Path | None:
        """The copy of a stored timeline; None while it is being made, for which this call waits ``wait`` seconds.

        Raises what making it raised; the next call tries again. ``read`` gives the bytes of an object by its URI.
        """
        target = self.folder / f"{_name(store)}.parquet"
        if target.exists():
            os.utime(target)
            return target
        with self._lock:
            worker = self._at_work.get(target.name)
            if worker is None:
                worker = Thread(target=self._make, args=(store, read, target), daemon=True, name="timeline-copy")
                self._at_work[target.name] = worker
                worker.start()
        worker.join(wait)
        if failed := self._failed.pop(target.name, None):
            raise failed
        return target if target.exists() else None

    def _make(self, store: TimelineStore, read: Read, target: Path) -> None:
        try:
            make_copy(store, read, target)
            self._make_room(target)
        except ForensicsError as error:
            self._failed[target.name] = error
        except Exception as error:  # the thread's edge: who asked is told
            log.exception("a timeline could not be copied")
            self._failed[target.name] = ForensicsError(f"{type(error).__name__}: {error}"[:500])
        finally:
            with self._lock:
                self._at_work.pop(target.name, None)

    def _make_room(self, newest: Path) -> None:
        known = sorted((f for f in self._folder.glob("*.parquet") if f != newest), key=lambda f: -f.stat().st_mtime)
        left = self._most - newest.stat().st_size
        for file in known:
            left -= file.stat().st_size
            if left < 0:
                file.unlink(missing_ok=True)


def make_copy(store: TimelineStore, read: Read, target: Path) -> int:
    """Fetch the parts that tools made, verify each and write the copy; returns the number of its entries."""
    parts = [part for part in store.parts if part.source not in OF_THE_CASE]
    work = Path(tempfile.mkdtemp(prefix="making-", dir=target.parent))
    try:
        files = [
            _fetched(part, read, work / f"source={part.source.value}" / f"{n}.parquet") for n, part in enumerate(parts)
        ]
        rows = write_searchable(files, work / "copy.parquet") if files else 0
        if files:
            (work / "copy.parquet").rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return rows


def _fetched(part: TimelinePart, read: Read, file: Path) -> Path:
    file.parent.mkdir(exist_ok=True)
    digest = hashlib.sha256()
    with file.open("wb") as opened:
        for piece in read(part.uri):
            digest.update(piece)
            opened.write(piece)
    if digest.hexdigest() != part.sha256:
        msg = f"{part.uri} has SHA-256 {digest.hexdigest()}, the case says {part.sha256}"
        raise DigestMismatchError(msg)
    return file


def _name(store: TimelineStore) -> str:
    text = "|".join((store.schema_version, *(part.sha256 for part in store.parts)))
    return hashlib.sha256(text.encode()).hexdigest()
