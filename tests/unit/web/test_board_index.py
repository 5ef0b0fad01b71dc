"""The board's cases in memory: fresh ones are shown, older ones while they are read again, too old ones never."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from forensics.errors import AwsError, StoredItemError
from forensics.models.board import Entry
from forensics.web.board_index import FRESH, STALE, BoardIndex, Snapshot
from tests.unit.builders import case


class Source:
    """Counts its readings; ``broken`` is raised by the next ones."""

    def __init__(self) -> None:
        self.read, self.broken, self.done = 0, False, threading.Event()

    def __call__(self) -> Iterator[Entry]:
        self.read += 1
        try:
            if self.broken:
                raise AwsError("denied")
            yield Entry(case(title=f"reading {self.read}"))
        finally:
            self.done.set()


def aged(index: BoardIndex, age: timedelta) -> None:
    known = index.entries()
    index._known = Snapshot(known.entries, datetime.now(UTC) - age)


def title(known: Snapshot) -> str:
    return known.entries[0].case.title


def test_a_fresh_reading_is_shown_as_it_is() -> None:
    source = Source()
    index = BoardIndex(source)
    assert [title(index.entries()), title(index.entries())] == ["reading 1"] * 2 and source.read == 1


def test_an_older_one_is_shown_while_it_is_read_again() -> None:
    source = Source()
    index = BoardIndex(source)
    aged(index, FRESH + timedelta(seconds=1))
    source.done.clear()
    assert title(index.entries()) == "reading 1"
    assert source.done.wait(10)
    with index._lock:
        assert title(index.entries(oldest=timedelta(hours=1))) == "reading 2"


def test_one_that_is_too_old_is_never_shown() -> None:
    source = Source()
    index = BoardIndex(source)
    aged(index, STALE + timedelta(seconds=1))
    assert title(index.entries()) == "reading 2"
    aged(index, STALE + timedelta(seconds=1))
    source.broken = True
    with pytest.raises(AwsError, match="denied"):
        index.entries()


def test_a_store_that_fails_for_a_moment_leaves_what_is_known() -> None:
    source = Source()
    index = BoardIndex(source)
    aged(index, FRESH + timedelta(seconds=1))
    source.broken = True
    source.done.clear()
    assert title(index.entries()) == "reading 1"
    assert source.done.wait(10)
    with index._lock:
        assert title(index.entries(oldest=timedelta(hours=1))) == "reading 1"


def test_a_record_that_cannot_be_read_hides_no_other_case() -> None:
    """After a rollback one case of the newer release must not take the whole board away (StoredItemError)."""
    refused = StoredItemError.of(
        "Case", {"case_id": "fc-20261124-bbbbbbbbbb"}, "it has schema 2, this release knows schema 1"
    )
    known = BoardIndex(lambda: [refused, Entry(case())]).entries()
    assert [entry.case for entry in known.entries] == [case()]
    assert (
        len(known.unread) == 1
        and "fc-20261124-bbbbbbbbbb" in known.unread[0]
        and "deploy that release again" in known.unread[0]
    )
