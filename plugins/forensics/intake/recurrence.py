"""A finding of a closed case that is active again: is it the same wave, and does a new one open a case? Pure.

GuardDuty puts new occurrences of an activity into the same finding for weeks, so that neither "each update is news" nor "it
is known" is right. A wave is a row of updates without a pause of the quiet period in it; a release of the target begins a new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from forensics.models.base import Model, Utc
from forensics.models.finding import Severity


class SeenAgain(Model):
    """What is kept of a closed case's finding: when its wave began, and its last update."""

    wave: Utc
    last: Utc


@dataclass(frozen=True)
class Recurrence:
    """``seen``: what to keep. ``announce``: a new wave, people are told once. ``reopen``: it opens a case of its own."""

    seen: SeenAgain
    announce: bool
    reopen: bool
    why: str = ""


def recurrence(
    before: SeenAgain | None,
    *,
    updated: datetime,
    closed_at: datetime,
    released_at: datetime | None,
    severity: Severity,
    quiet: timedelta,
    opens_from: Severity,
) -> Recurrence | None:
    """What an update means for a closed case; None when it is no news: older than the end, or than the last update."""
    last = before.last if before else closed_at
    if updated <= last:
        return None
    released = released_at is not None and last < released_at <= updated
    rested = updated - last >= quiet
    new_wave = before is None or released or rested
    seen = SeenAgain(wave=updated if new_wave else (before.wave if before else updated), last=updated)
    why = ""
    if released:
        why = "its target has been released since"
    elif rested:
        why = f"it had been quiet for {(updated - last).days} days"
    return Recurrence(seen=seen, announce=new_wave, reopen=bool(why) and severity.rank >= opens_from.rank, why=why)
