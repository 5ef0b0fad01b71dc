"""When log lines were written that do not say the year or the offset."""

from __future__ import annotations

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
