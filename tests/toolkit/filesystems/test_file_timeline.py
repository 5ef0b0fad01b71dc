"""The timeline of files."""

from __future__ import annotations

import pytest

from forensic_toolkit.filesystems import file_timeline
from tests.toolkit.fake_tree import INSTALLED, Builder


def test_timeline_has_one_line_for_equal_times() -> None:
    builder = Builder().add("/etc/x", b"x", modified=INSTALLED)
    (entry,) = [entry for entry in builder.tree().entries if entry.path == "/etc/x"]
    events = list(file_timeline.events([entry], notable={"/etc/x"}))
    assert [event.extra["macb"] for event in events] == ["m...", ".acb"]
    line = events[1].as_timesketch()
    assert line["datetime"] == "2026-01-10T12:00:00.123457+00:00"
    assert line["timestamp_desc"] == "Accessed, Changed, Born"
    assert {"message", "path", "inode", "size", "mode", "uid", "source"} <= set(line)


def test_times_of_many_files_in_little_memory_are_the_same_events_in_order() -> None:
    builder = Builder().add("/etc/x", b"x", modified=INSTALLED).add("/etc/gone", deleted=True).add("/b")
    entries = builder.tree().entries
    times = file_timeline.FileTimes(entries)
    plain = sorted(file_timeline.events(entries, notable=set()), key=lambda event: event.time)
    ordered = list(times.in_order())
    assert len(times) == len(ordered) == len(plain) > 30
    assert [event.time for event in ordered] == [event.time for event in plain]
    assert sorted(map(str, ordered)) == sorted(map(str, plain))


def test_runs_of_times_are_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = Builder().add("/etc/x", b"x", modified=INSTALLED).add("/b")
    entries = builder.tree().entries
    whole = list(file_timeline.FileTimes(entries, without={"/b"}).in_order())
    monkeypatch.setattr(file_timeline, "_RUN", 3)
    runs = list(file_timeline.FileTimes(entries, without={"/b"}).in_order())
    assert len(runs) == len(whole) > 30
    assert [event.time for event in runs] == [event.time for event in whole]
    assert sorted(map(str, runs)) == sorted(map(str, whole)) and "/b" not in ([event.extra["path"] for event in runs])
