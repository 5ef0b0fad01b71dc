"""Which time a case's records are collected for. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from forensics.models.case import Case
from forensics.models.finding import Finding
from forensics.models.results import Confidence, ResultSeverity, ToolResults

# LookupEvents has management events of the last 90 days (CloudTrail user guide, *Working with CloudTrail event history*).
LOOKUP_DAYS = 90
_COUNTS = {ResultSeverity.MEDIUM, ResultSeverity.HIGH, ResultSeverity.CRITICAL}


@dataclass(frozen=True)
class RecordWindow:
    """``alarm`` is the first moment that a finding names; ``begin`` is a margin before it."""

    begin: datetime
    end: datetime
    alarm: datetime

    def of_lookup(self) -> RecordWindow:
        """The part of it that LookupEvents can have."""
        return RecordWindow(max(self.begin, self.end - timedelta(days=LOOKUP_DAYS)), self.end, self.alarm)


def record_window(
    case: Case, findings: Iterable[Finding], *, margin_hours: int, now: datetime, since: datetime | None = None
) -> RecordWindow:
    """From a margin before the first finding, or from ``since`` where that is earlier, until now."""
    times = [moment for f in findings for moment in (f.created_at, f.updated_at) if moment]
    alarm = min([*times, case.received_at or case.opened_at, case.opened_at, now])
    begin = alarm - timedelta(hours=margin_hours)
    return RecordWindow(min(begin, since) if since else begin, now, alarm)


def further_back(
    results: Iterable[ToolResults], *, begin: datetime, alarm: datetime, margin_hours: int
) -> datetime | None:
    """From when on records are needed beyond a window that begins at ``begin``: a margin before what findings date earlier; None without.

    Only findings of medium severity and confidence count, and none from more than :data:`LOOKUP_DAYS` before the alarm: times of files
    are what an intruder sets them to.
    """
    earliest = alarm - timedelta(days=LOOKUP_DAYS)
    times = [
        f.time
        for r in results
        for f in r.findings
        if f.time and earliest <= f.time < begin and f.severity in _COUNTS and f.confidence is not Confidence.LOW
    ]
    return max(earliest, min(times) - timedelta(hours=margin_hours)) if times else None
