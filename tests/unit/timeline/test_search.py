"""Searches: the same answer from the stored copy and from entries in memory, in pages without loss, text as text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from forensics.errors import DigestMismatchError
from forensics.models.timeline import TimelinePart, TimelineSource, TimelineStore
from forensics.timeline.cache import TimelineCache
from forensics.timeline.columnar import Entry, write_ordered
from forensics.timeline.columns import row
from forensics.timeline.search import TimelineSearch, TimelineSearcher, fits
from tests.unit.report import sample

START = datetime(2026, 11, 20, tzinfo=UTC)
HOSTILE = "'; DROP TABLE x; -- %_ <script>"


class Shelf:
    """Stored parts on disk, and a searcher."""

    def __init__(self, folder: Path) -> None:
        self.files: dict[str, Path] = {}
        self.reads = 0
        self.cache = TimelineCache(folder / "cache", most_bytes=1 << 30)
        self.searcher = TimelineSearcher(self.cache)
        self._folder = folder

    def part(self, source: TimelineSource, rows: list[dict[str, object]]) -> TimelinePart:
        lines, file = self._folder / "rows.jsonl", self._folder / f"{source.value}.parquet"
        lines.write_text("".join(json.dumps(r) + "\n" for r in rows))
        count = write_ordered(lines, file)
        uri = f"s3://evidence/{file.name}"
        self.files[uri] = file
        body = file.read_bytes()
        return TimelinePart(
            source=source, uri=uri, sha256=hashlib.sha256(body).hexdigest(), bytes=len(body), rows=count
        )

    def read(self, uri: str) -> Iterator[bytes]:
        self.reads += 1
        yield self.files[uri].read_bytes()


def rows() -> list[dict[str, object]]:
    made = [
        row(time=START + timedelta(seconds=n // 2), message=f"Entry {n} of things", origin=f"/f/{n % 3}", evidence_id=f"disk-vol-{n % 2}",
            user_name=f"User{n % 5}", addresses=[f"192.0.2.{n % 7}"], technique="T1110.001" if n % 11 == 0 else "", host=f"h{n % 4}")
        for n in range(200)
    ]  # fmt: skip
    made.append(row(time=START, message=HOSTILE, origin="/x", user_name=HOSTILE, host=HOSTILE))
    return made


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.fixture
def store(shelf: Shelf) -> TimelineStore:
    parts = (
        shelf.part(TimelineSource.DISK, rows()),
        shelf.part(TimelineSource.CUSTODY, [row(time=START, message="own", origin="o", kind="custody")]),
    )
    return TimelineStore(version="20261124T031200000000Z", written_at=START, parts=parts)


def pages(shelf: Shelf, store: TimelineStore, asked: TimelineSearch, *, limit: int) -> list[Entry]:
    got: list[Entry] = []
    view = sample.rich_view()
    while True:
        found = shelf.searcher.search(view, store, shelf.read, asked, limit=limit, wait=60)
        assert len(found.entries) <= limit and not found.preparing
        got += found.entries
        if found.following is None:
            return got
        asked = TimelineSearch(**{**asked.__dict__, "after": found.following})


QUESTIONS = [
    TimelineSearch(), TimelineSearch(text="ENTRY 17"), TimelineSearch(text=HOSTILE), TimelineSearch(text="%"), TimelineSearch(text="_"),
    TimelineSearch(kind="tool", user="user3"), TimelineSearch(user=HOSTILE), TimelineSearch(host=HOSTILE), TimelineSearch(address="192.0.2.3"),
    TimelineSearch(technique="T1110"), TimelineSearch(technique="T1110.001"), TimelineSearch(technique="T111"), TimelineSearch(evidence_id="disk-vol-1"),
    TimelineSearch(source="disk", since=START + timedelta(seconds=10), until=START + timedelta(seconds=20)), TimelineSearch(host="h2"),
    TimelineSearch(source="custody"), TimelineSearch(kind="custody"),
]  # fmt: skip


@pytest.mark.parametrize(
    "asked", QUESTIONS, ids=lambda q: ",".join(f"{k}={v}" for k, v in q.__dict__.items() if v) or "all"
)
def test_pages_have_every_entry_that_fits_once_and_in_order(
    shelf: Shelf, store: TimelineStore, asked: TimelineSearch
) -> None:
    everything = pages(shelf, store, TimelineSearch(), limit=1000)
    got = pages(shelf, store, asked, limit=23)
    assert got == [entry for entry in everything if fits(entry, asked)]
    assert [(e.time, e.key) for e in got] == sorted({(e.time, e.key) for e in got})


def test_the_case_s_own_entries_come_from_the_case_and_never_twice(shelf: Shelf, store: TimelineStore) -> None:
    got = pages(shelf, store, TimelineSearch(source="custody"), limit=1000)
    assert got and all(entry.message != "own" for entry in got), (
        "the stored copy of the ledger's events is not searched"
    )
    assert len(pages(shelf, store, TimelineSearch(source="disk"), limit=1000)) == 201


def test_a_copy_is_made_once_and_verified(shelf: Shelf, store: TimelineStore) -> None:
    pages(shelf, store, TimelineSearch(), limit=50)
    assert shelf.reads == 1, "the tools' part alone, once for all pages"
    forged = store.model_copy(update={"parts": (store.parts[0].model_copy(update={"sha256": "0" * 64}),)})
    with pytest.raises(DigestMismatchError):
        shelf.searcher.search(sample.rich_view(), forged, shelf.read, TimelineSearch(), limit=5, wait=60)
    assert not list((shelf.cache.folder).glob("making-*")), "nothing half made is left"


def test_while_the_copy_is_made_the_case_s_own_entries_are_shown(shelf: Shelf, store: TimelineStore) -> None:
    found = shelf.searcher.search(sample.rich_view(), store, shelf.read, TimelineSearch(), limit=5, wait=0)
    assert found.preparing and found.entries


def test_copies_make_room_for_new_ones(shelf: Shelf, store: TimelineStore, tmp_path: Path) -> None:
    cache = TimelineCache(tmp_path / "small", most_bytes=1)
    first = cache.file(store, shelf.read, wait=60)
    other = store.model_copy(update={"parts": (shelf.part(TimelineSource.MEMORY, rows()[:5]),)})
    second = cache.file(other, shelf.read, wait=60)
    assert first and second and second.exists() and not first.exists()
    assert (cache.folder.stat().st_mode & 0o777) == 0o700
