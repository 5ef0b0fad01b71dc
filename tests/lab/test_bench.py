"""The benchmark's table: absolute times, each against the single case's, and what a case costs the product."""

from __future__ import annotations

from datetime import UTC, datetime

from lab.scenarios.bench import LABELS, Measured, Spent, table

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def measured(factor: float, *, without: str = "") -> Measured:
    marks = {label: factor * 10 * number for number, label in enumerate(LABELS, start=1) if label != without}
    return Measured("fc-20261130-aaaaaaaaaa", NOW, marks, critical=50.0, tries=30)


def test_times_are_shown_against_the_single_cases() -> None:
    shown = table("Ten", [measured(2.0), measured(3.0), measured(4.0)], single=measured(1.0), spent=Spent(300, 60.0))
    line = next(line for line in shown.splitlines() if line.strip().startswith("report"))
    assert line.split() == ["report", "180.0s", "240.0s", "3.00x"]
    assert "a case: 100 calls of AWS, 20.0 s of Airflow's processors" in shown


def test_a_milestone_that_a_case_did_not_reach_is_said() -> None:
    shown = table("Two", [measured(1.0), measured(1.0, without="isolated")])
    line = next(line for line in shown.splitlines() if line.strip().startswith("isolated"))
    assert line.split() == ["isolated", "reached", "by", "1", "of", "2"]
