"""Times in the formats of the outputs."""

from __future__ import annotations

from datetime import UTC, datetime

from forensic_toolkit.times import from_ns, parse_iso, timesketch, zulu


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
