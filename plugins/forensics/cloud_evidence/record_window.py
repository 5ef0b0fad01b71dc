"""Which time a case's records are collected for. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from forensics.models.case import Case
from forensics.models.finding import Finding

# LookupEvents has management events of the last 90 days (CloudTrail user guide, *Working with CloudTrail event history*).
LOOKUP_DAYS = 90


@dataclass(frozen=True)
class RecordWindow:
    """``alarm`` is the first moment that a finding names; ``begin`` is a margin before it."""

    begin: datetime
    end: datetime
    alarm: datetime

    def of_lookup(self) -> RecordWindow:
        """The part of it that LookupEvents can have."""
        return RecordWindow(max(self.begin, self.end - timedelta(days=LOOKUP_DAYS)), self.end, self.alarm)


def record_window(case: Case, findings: Iterable[Finding], *, margin_hours: int, now: datetime) -> RecordWindow:
    """From a margin before the first finding until now."""
    times = [moment for f in findings for moment in (f.created_at, f.updated_at) if moment]
    alarm = min([*times, case.received_at or case.opened_at, case.opened_at, now])
    return RecordWindow(alarm - timedelta(hours=margin_hours), now, alarm)
