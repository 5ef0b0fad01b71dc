"""Nested time limits."""

from __future__ import annotations

import time

import pytest

from forensic_toolkit import time_limits
from forensic_toolkit.results import Finding, Results
from forensic_toolkit.times import now


def test_time_limits_are_nested() -> None:
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())

    def slow() -> list[Finding]:
        time.sleep(30)
        return []

    started = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time_limits, "RULE_SECONDS", 0.2)
        assert results.apply("slow", rule=slow) == 0
    assert "not finished after" in results.gaps[0][1]
    with pytest.raises(time_limits.OutOfTimeError), time_limits.within(0.2, whole=True):
        results.apply("slow", rule=slow)
    assert time.monotonic() - started < 25, "the rule would sleep for 30"
