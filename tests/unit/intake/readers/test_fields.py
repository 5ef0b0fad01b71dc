"""Single values: titles, times, numbers, severities."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.unit.intake.readers.events import only


def test_control_characters_are_removed_from_titles(event, read):
    body = event("guardduty_ec2_c2")
    body["detail"]["title"] = "\x1b[31mred\x00 and\nbroken \u202eevil\ud800"
    assert only(read(body)).title == "[31mred and broken evil"


@pytest.mark.parametrize("updated_at", ["1970-01-01T00:00:00Z", "2031-01-01T00:00:00Z", "soon", 10**400, None])
def test_unbelievable_times_are_left_out(event, read, updated_at):
    body = event("guardduty_ec2_c2")
    body["detail"]["updatedAt"] = updated_at
    assert only(read(body)).updated_at is None


def test_times_without_zone_are_utc(event, read):
    body = event("guardduty_ec2_c2")
    body["detail"]["updatedAt"] = "2026-10-05 08:14:00.000000000"
    assert only(read(body)).updated_at == datetime(2026, 10, 5, 8, 14, tzinfo=UTC)
