"""The pulse: what it logs is what the alarms count."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk.exceptions import TaskDeferred

from forensics.intake import pulse_operators
from forensics.intake.pulse_operators import ANSWERED, WAITING, PulseOperator


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Runs that have not started, by DAG."""
    held: dict[str, int] = {}
    monkeypatch.setattr(pulse_operators, "queued_runs", lambda dag_id: held.get(dag_id, 0))
    return held


def pulse() -> PulseOperator:
    return PulseOperator(
        task_id="measure_pulse", watched=["forensic_case", "forensic_release"], wait_seconds=15, patience_seconds=60
    )


def context() -> Any:
    return {}


def logged(capfd: pytest.CaptureFixture[str], word: str) -> list[str]:
    """The lines with a word that a task would write to its log, since the last look."""
    return [line for line in capfd.readouterr().out.splitlines() if word in line]


def test_it_waits_in_the_triggerer_and_gives_up_in_time(
    queued: dict[str, int], capfd: pytest.CaptureFixture[str]
) -> None:
    began = datetime.now(UTC)
    with pytest.raises(TaskDeferred) as caught:
        pulse().execute(context())
    trigger = caught.value.trigger
    assert isinstance(trigger, DateTimeTrigger) and 14 < (trigger.moment - began).total_seconds() < 60
    assert caught.value.method_name == "answered" and caught.value.timeout is not None
    assert caught.value.timeout.total_seconds() == 60
    assert logged(capfd, ANSWERED) == [], "nothing is said before the wait has come back"


def test_the_line_comes_with_the_answer_alone(queued: dict[str, int], capfd: pytest.CaptureFixture[str]) -> None:
    step = pulse()
    with pytest.raises(TaskDeferred) as caught:
        step.execute(context())
    result = step.answered(context(), event=None, **(caught.value.kwargs or {}))
    assert len(logged(capfd, ANSWERED)) == 1
    assert result == {"late_seconds": 0.0}
    assert step.answered(context(), event=None, due=datetime.now(UTC).timestamp() - 30)["late_seconds"] >= 30


def test_runs_that_do_not_start_are_named(queued: dict[str, int], capfd: pytest.CaptureFixture[str]) -> None:
    queued["forensic_case"] = 3
    with pytest.raises(TaskDeferred):
        pulse().execute(context())
    (line,) = logged(capfd, WAITING)
    assert f"{WAITING}: forensic_case 3" in line and "forensic_release" not in line
