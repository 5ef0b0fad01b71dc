"""Which time records are collected for, and when it reaches further back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from forensics.cloud_evidence.record_window import LOOKUP_DAYS, RecordWindow, further_back
from forensics.models.results import Confidence, ResultSeverity, ToolFinding, ToolResults

ALARM = datetime(2026, 11, 28, 14, tzinfo=UTC)
BEGIN = ALARM - timedelta(hours=24)


def results(
    hours: float | None, *, severity: ResultSeverity = ResultSeverity.HIGH, confidence: Confidence = Confidence.HIGH
) -> ToolResults:
    finding = ToolFinding(
        id="a-1", title="Program added", severity=severity, confidence=confidence, source="/tmp/x",
        time=None if hours is None else ALARM - timedelta(hours=hours),
    )  # fmt: skip
    return ToolResults(
        schema="forensics.results/1", case_id="fc-20261128-0123456789", evidence_id="disk-1", tool="disk", started=ALARM, ended=ALARM,
        findings=(finding,),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "since"),
    [
        ([], None),
        ([results(None)], None),
        ([results(3)], None),
        ([results(50)], 74),
        ([results(50), results(200)], 224),
        ([results(200, severity=ResultSeverity.LOW)], None),
        ([results(200, confidence=Confidence.LOW)], None),
        # an intruder sets times of files to what he likes
        ([results(24 * 365 * 20)], None),
        ([results(LOOKUP_DAYS * 24 - 1)], LOOKUP_DAYS * 24),
    ],
)
def test_findings_older_than_the_window_extend_it_by_the_margin(found: list[ToolResults], since: float | None) -> None:
    expected = None if since is None else ALARM - timedelta(hours=since)
    assert further_back(found, begin=BEGIN, alarm=ALARM, margin_hours=24) == expected


def test_lookups_have_ninety_days() -> None:
    window = RecordWindow(ALARM - timedelta(days=200), ALARM, ALARM)
    assert window.of_lookup().begin == ALARM - timedelta(days=90)
