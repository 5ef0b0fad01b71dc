"""When log lines were written that do not say the year or the offset."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from forensic_toolkit.readers.log_times import Backwards, stamp
from forensic_toolkit.times import UTC_ZONE

BERLIN = ZoneInfo("Europe/Berlin")


def dated(rows: list[str], latest: datetime, zone: object = UTC_ZONE) -> list[datetime | None]:
    """The times of lines in the order of the file."""
    dating = Backwards(latest=latest, zone=zone)  # type: ignore[arg-type]
    found = dict(dating.dated([f"{row} h p: {number}" for number, row in reversed(list(enumerate(rows)))]))
    return [found[f"{row} h p: {number}"] for number, row in enumerate(rows)]


def at(*parts: int) -> datetime:
    """A moment in UTC."""
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


def test_years_follow_from_the_order_of_the_whole_file() -> None:
    # From plaso's issues 1114 and 2871: each line judged alone gave all of them to the last two years.
    rows = [
        "Mar  3 10:00:00",
        "Nov  1 10:00:00",
        "Feb  2 10:00:00",
        "Dec 30 10:00:00",
        "Jan  2 10:00:00",
        "Nov 20 10:00:00",
    ]
    found = dated(rows, at(2026, 11, 20, 10))
    assert [time and time.year for time in found] == [2024, 2024, 2025, 2025, 2026, 2026]


def test_a_leap_day_is_in_a_leap_year_and_a_hidden_year_is_told() -> None:
    dating = Backwards(latest=at(2026, 1, 1))
    rows = ["Jan  1 00:00:00 h x", "Apr  1 00:00:00 h x", "Feb 29 10:00:00 h x", "Feb 28 10:00:00 h x"]
    found = [time for _, time in dating.dated(rows)]
    assert found == [at(2026, 1, 1), at(2025, 4, 1), at(2024, 2, 29, 10), at(2024, 2, 28, 10)]
    assert "more than a year without a line" in dating.doubts[0]
    # dfdatetime's issue 268: the day itself was lost
    assert dated(["Feb 29 10:00:00", "Mar  1 10:00:00"], at(2028, 3, 1, 12)) == [
        at(2028, 2, 29, 10),
        at(2028, 3, 1, 10),
    ]
    assert dated(["Feb 30 10:00:00"], at(2028, 3, 1, 12)) == [None]


def test_a_rotation_goes_on_where_the_newer_file_begins() -> None:
    dating = Backwards(latest=at(2026, 2, 1))
    newer = [time for _, time in dating.dated(["Jan 31 10:00:00 h x", "Jan  2 10:00:00 h x"])]
    dating.older_file(at(2026, 2, 1))  # its own time says nothing: it was copied
    older = [time for _, time in dating.dated(["Dec 30 10:00:00 h x", "Nov  1 10:00:00 h x"])]
    assert [time and time.year for time in (*newer, *older)] == [2026, 2026, 2025, 2025]


def test_lines_of_programs_that_write_side_by_side_stay_in_their_year() -> None:
    rows = ["Nov 20 10:00:05", "Nov 20 10:00:01", "Nov 20 09:59:59", "Nov 20 10:00:07"]
    assert dated(rows, at(2026, 11, 20, 10, 0, 7)) == [at(2026, 11, 20, *map(int, row[7:].split(":"))) for row in rows]


def test_a_clock_that_was_wrong_for_one_line_moves_no_other_line() -> None:
    rows = [f"Nov 20 09:5{number}:00" for number in range(8)]
    found = dated([*rows, "Jan  1 00:00:07", "Nov 20 10:00:00"], at(2026, 11, 20, 10))
    assert found[8] is None
    assert [time and time.year for time in found[:8]] == [2026] * 8


def days(*spans: tuple[int, int]) -> list[str]:
    """Lines at ten o'clock of the days of December in each span."""
    return [f"Dec {day:2} 10:00:00" for first, last in spans for day in range(first, last + 1)]


@pytest.mark.parametrize(
    "spans", [((1, 24), (22, 31)), ((10, 24), (22, 23)), ((23, 24), (20, 31)), ((1, 10), (8, 12), (9, 31))]
)
def test_a_clock_that_was_set_back_makes_no_line_a_year_older(spans: tuple[tuple[int, int], ...]) -> None:
    """A host of CentOS 6 whose log of December 2016 goes from the 24th to the 22nd (its rotation is the oldest one that is kept)."""
    rows = days(*spans)
    dating = Backwards(latest=at(2016, 12, 31, 12))
    found = [time for _, time in dating.dated([f"{row} h p: x" for row in reversed(rows)])]
    assert found == [at(2016, 12, int(row[4:6]), 10) for row in reversed(rows)]
    assert len(dating.doubts) == len(spans) - 1 and "the clock was set back" in dating.doubts[0]


def test_lines_of_before_the_clock_was_set_back_may_be_later_than_their_file() -> None:
    """The same host: a file that was rotated on the 24th holds the 25th to the 28th, and after them the 24th."""
    for begun in (None, at(2016, 12, 20)):
        dating = Backwards(latest=at(2016, 12, 31, 12))
        assert None not in [time for _, time in dating.dated([f"{row} h p: x" for row in reversed(days((25, 31)))])]
        dating.older_file(at(2016, 12, 25), begun=begun)
        rows = days((25, 28), (24, 24))
        found = [time for _, time in dating.dated([f"{row} h p: x" for row in reversed(rows)])]
        assert found == [at(2016, 12, int(row[4:6]), 10) for row in reversed(rows)]


def test_a_log_that_is_seldom_written_to_is_believed_to_be_silent_for_a_year() -> None:
    rows = ["Oct  3 10:00:00", "Dec 24 10:00:00", "Dec 22 10:00:00", "Dec 30 10:00:00"]
    assert [time and time.year for time in dated(rows, at(2016, 12, 31))] == [2015, 2015, 2016, 2016]
    # switched off for eleven months, and steady before and after
    rows = days((1, 20)) + [f"Nov {day:2} 10:00:00" for day in range(1, 20)]
    assert [time and time.year for time in dated(rows, at(2016, 11, 20))] == [2015] * 20 + [2016] * 19


def test_the_lines_of_a_clock_that_was_wrong_for_a_while_get_no_time() -> None:
    wrong = [f"Jan  1 00:{minute:02}:00" for minute in range(40)]
    rows = [*days((1, 14)), *wrong, *days((14, 20))]
    found = dated(rows, at(2016, 12, 21))
    assert [time and (time.year, time.month) for time in found] == [(2016, 12)] * 14 + [None] * 40 + [(2016, 12)] * 7
    # and in a log that is seldom written to, two years lie between
    found = dated(["Dec 14 10:00:00", *wrong, "Dec 15 10:00:00"], at(2016, 12, 21))
    assert [time and time.year for time in found] == [2015, *[2016] * 41]


def test_what_was_wrong_in_one_block_says_nothing_of_the_next() -> None:
    """Blocks of a log may follow each other at the same place in memory."""
    wrong = [f"Jan  1 00:{minute:02}:00" for minute in range(40)]
    dating = Backwards(latest=at(2016, 12, 21))
    block = [f"{row} h p: x" for row in reversed([*days((14, 14)), *wrong, *days((14, 20))])]
    assert [time for _, time in dating.dated(block)].count(None) == 40
    block[:] = [f"Oct {day:2} 10:00:00 h p: x" for day in range(20, 0, -1)]
    assert [time and time.month for _, time in dating.dated(block)] == [10] * 20


def test_a_log_whose_clock_is_set_on_every_line_is_read_in_time_and_says_so_a_few_times() -> None:
    rows = days((1, 31)) + ["Dec  5 10:00:00", "Dec 25 10:00:00", "Jun  1 10:00:00"] * 20_000 + days((20, 31))
    dating = Backwards(latest=at(2016, 12, 31))
    began = time.process_time()
    assert sum(1 for _ in dating.dated([f"{row} h p: x" for row in reversed(rows)])) == len(rows)
    assert len(dating.doubts) <= 21
    assert time.process_time() - began < 60, "each line that looks at all others would take hours"


def test_the_hour_that_comes_twice_is_told_apart_by_the_order() -> None:
    rows = [
        "Oct 25 01:59:00",
        "Oct 25 02:10:00",
        "Oct 25 02:40:00",
        "Oct 25 02:05:00",
        "Oct 25 02:50:00",
        "Oct 25 03:01:00",
    ]
    found = dated(rows, at(2026, 10, 26), BERLIN)
    expected = [at(2026, 10, 24, 23, 59), *(at(2026, 10, 25, 0, minute) for minute in (10, 40))]
    assert found == [*expected, at(2026, 10, 25, 1, 5), at(2026, 10, 25, 1, 50), at(2026, 10, 25, 2, 1)]
    # alone it may be either, and an hour that did not exist is none
    assert dated(["Oct 25 01:00:00", "Oct 25 02:30:00", "Oct 25 09:00:00"], at(2026, 10, 26), BERLIN)[1] is None
    assert dated(["Mar 29 02:30:00"], at(2026, 10, 26), BERLIN) == [None]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2026-11-20T10:00:01.123456+01:00 web x", at(2026, 11, 20, 9, 0, 1, 123456)),
        ("2026-11-20T10:00:01,5-0230 web x", at(2026, 11, 20, 12, 30, 1, 500000)),
        ("2026-11-20 10:00:01 web x", at(2026, 11, 20, 10, 0, 1)),
        ("2026-11-20T10:00:01Z web x", at(2026, 11, 20, 10, 0, 1)),
        ("<86>1 2026-11-20T10:00:01.5Z web sshd 7 - - x", at(2026, 11, 20, 10, 0, 1, 500000)),
        ("<38>Nov 20 10:00:01 web x", at(2026, 11, 20, 10, 0, 1)),
        ("Nov 20 10:00:01.25 web x", at(2026, 11, 20, 10, 0, 1, 250000)),
        ("Nov 20 2026 10:00:01 web x", at(2026, 11, 20, 10, 0, 1)),
        ("Nov 20 10:00:60 web x", at(2026, 11, 20, 10, 0, 59)),  # a leap second
        ("nothing", None),
        ("Nov 31 10:00:00 web x", None),
        ("Xyz 20 10:00:00 web x", None),
        ("2026-13-20T10:00:01 web x", None),
    ],
)
def test_forms_of_time_stamps(line: str, expected: datetime | None) -> None:
    assert [time for _, time in Backwards(latest=at(2026, 11, 21)).dated([line])] == [expected]


def test_a_time_without_offset_is_in_the_systems_zone() -> None:
    assert dated(["2026-07-20T10:00:01"], at(2026, 11, 21), BERLIN) == [at(2026, 7, 20, 8, 0, 1)]
    assert stamp("2026-07-20T10:00:01+02:00 web x").offset == timedelta(hours=2)  # type: ignore[union-attr]
