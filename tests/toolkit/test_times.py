"""Times of logs and in the formats of the outputs."""

from __future__ import annotations

from datetime import UTC, datetime

from forensic_toolkit.times import parse_syslog


def test_year_of_old_log_lines_comes_from_the_file() -> None:
    january = datetime(2026, 1, 3, tzinfo=UTC)
    moment = parse_syslog("Dec 31 23:59:59 host x: y", not_after=january)
    assert moment == datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)
    iso = parse_syslog("2026-01-02T03:04:05.5+02:00 host x: y", not_after=january)
    assert iso == datetime(2026, 1, 2, 1, 4, 5, 500_000, tzinfo=UTC)
    assert parse_syslog("no time here", not_after=january) is None
