"""Waves of a finding after its case has closed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from forensics.intake.recurrence import Recurrence, SeenAgain, recurrence
from forensics.models.finding import Severity
from tests.unit.builders import NOW

QUIET = timedelta(days=7)


def after(
    days: float, *, seen: float | None = None, released: float | None = None, severity: Severity = Severity.HIGH
) -> Recurrence | None:
    """What an update so many days after the end means."""

    def at(value: float) -> datetime:
        return NOW + timedelta(days=value)

    return recurrence(
        None if seen is None else SeenAgain(wave=at(seen), last=at(seen)),
        updated=at(days),
        closed_at=NOW,
        released_at=None if released is None else at(released),
        severity=severity,
        quiet=QUIET,
        opens_from=Severity.MEDIUM,
    )


@pytest.mark.parametrize(("days", "seen"), [(-1, None), (0, None), (1, 1), (1, 2)])
def test_what_is_older_than_what_is_known_is_no_news(days: float, seen: float | None) -> None:
    assert after(days, seen=seen) is None


@pytest.mark.parametrize(
    ("days", "seen", "released", "announce", "reopen"),
    [
        (0.1, None, None, True, False),
        (2, 1, None, False, False),
        (7, None, None, True, True),
        (8, 1, None, True, True),
        (7.9, 1, None, False, False),
        (3, 1, 2, True, True),
        (3, 2.5, 2, False, False),
        (2, None, 2, True, True),
        (1, None, 2, True, False),
    ],
)
def test_a_wave_begins_after_a_pause_or_a_release(
    days: float, seen: float | None, released: float | None, announce: bool, reopen: bool
) -> None:
    found = after(days, seen=seen, released=released)
    assert found is not None
    assert (found.announce, found.reopen) == (announce, reopen)
    assert found.seen.last == NOW + timedelta(days=days)
    assert bool(found.why) is reopen


def test_below_the_severity_a_wave_is_only_told() -> None:
    found = after(30, severity=Severity.LOW)
    assert found is not None and found.announce and not found.reopen
