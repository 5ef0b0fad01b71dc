"""Which entries of a timeline are wanted, and the address that says so."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from forensics.report.chronology import Moment
from forensics.report.timeline_filter import EVERYTHING, TimelineFilter
from tests.unit.builders import NOW

ENTRY = Moment(NOW, "tool", "Cron job of nobody", "/etc/cron.d/x", "disk-vol-1")


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        (EVERYTHING, True),
        (TimelineFilter(kind="tool", text="CRON.D"), True),
        (TimelineFilter(text="absent"), False),
        (TimelineFilter(evidence_id="disk-vol-2"), False),
        (TimelineFilter(since=NOW, until=NOW + timedelta(seconds=1)), True),
        (TimelineFilter(until=NOW), False),
        (TimelineFilter(since=NOW.replace(tzinfo=None)), True),
    ],
)
def test_entries_fit(asked: TimelineFilter, fits: bool) -> None:
    assert asked.fits(ENTRY) is fits
    assert asked.asks is (asked != EVERYTHING)


def test_the_address_says_what_was_asked_for_and_leads_to_the_timeline() -> None:
    asked = TimelineFilter(text="a b&c").address("/case/x", since=NOW)
    parts = urlsplit(asked)
    assert (parts.path, parts.fragment) == ("/case/x", "timeline")
    assert parse_qs(parts.query) == {"text": ["a b&c"], "since": ["2026-11-24T08:00:00Z"]}
    assert EVERYTHING.address("/case/x") == "/case/x#timeline"
