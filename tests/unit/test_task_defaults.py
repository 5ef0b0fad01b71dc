"""When drills begin, as the DAG's file reads it: also where other settings are missing."""

from __future__ import annotations

import pytest

from forensics.task_defaults import drill_schedule


@pytest.mark.parametrize(("given", "schedule"), [("", "@monthly"), ("0 6 * * 1", "0 6 * * 1"), ("never", None)])
def test_the_schedule_of_drills(given: str, schedule: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__FORENSICS__DRILL_SCHEDULE", given)
    assert drill_schedule() == schedule
