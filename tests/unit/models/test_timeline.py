"""What a case records of its stored timeline."""

from __future__ import annotations

from forensics.models.timeline import TimelineStore
from tests.unit.builders import NOW


def test_a_version_without_the_results_of_a_tool_is_old() -> None:
    store = TimelineStore(version="20261124T031200000000Z", written_at=NOW, results=("a", "b"))
    assert not store.lacks(frozenset({"a"})) and store.lacks(frozenset({"a", "c"}))


def test_what_an_older_or_newer_release_has_stored_is_read() -> None:
    least = {"version": "20261124T031200000000Z", "written_at": "2026-11-24T03:12:00.000000Z"}
    assert TimelineStore.stored({**least, "later": 1}).rows == 0
