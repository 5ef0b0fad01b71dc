"""Times of logs and in the formats of the outputs."""

from __future__ import annotations

from datetime import UTC, datetime

from forensic_toolkit.times import from_ns, parse_iso, parse_syslog, timesketch, zulu


def test_year_of_old_log_lines_comes_from_the_file() -> None:
    january = datetime(2026, 1, 3, tzinfo=UTC)
    moment = parse_syslog("Dec 31 23:59:59 host x: y", not_after=january)
    assert moment == datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)
    iso = parse_syslog("2026-01-02T03:04:05.5+02:00 host x: y", not_after=january)
    assert iso == datetime(2026, 1, 2, 1, 4, 5, 500_000, tzinfo=UTC)
    assert parse_syslog("no time here", not_after=january) is None


def test_a_leap_second_and_an_impossible_date() -> None:
    summer = datetime(2026, 7, 1, tzinfo=UTC)
    assert parse_syslog("Jun 30 23:59:60 h x: y", not_after=summer) == datetime(2026, 6, 30, 23, 59, 59, tzinfo=UTC)
    assert parse_syslog("Feb 30 00:00:00 h x: y", not_after=summer) is None


def test_formats_of_the_outputs() -> None:
    # RFC 3339, section 5.8: 1996-12-19T16:39:57-08:00 represents the same instant as 1996-12-20T00:39:57Z.
    moment = parse_iso("1996-12-19T16:39:57-08:00")
    assert moment is not None
    assert (zulu(moment), timesketch(moment)) == ("1996-12-20T00:39:57Z", "1996-12-20T00:39:57.000000+00:00")
    assert parse_iso("not a time") is None


def test_nanoseconds_outside_of_the_calendar_are_no_time() -> None:
    # date --utc --date=@1767323045
    assert from_ns(1_767_323_045_123_456_789) == datetime(2026, 1, 2, 3, 4, 5, 123_456, tzinfo=UTC)
    assert from_ns(1 << 70) is None
