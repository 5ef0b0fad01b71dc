"""The step that sees to open cases: green with what it did, red when it could not see to one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from forensics.intake import watch_operators
from forensics.intake.dag_run import RunState
from forensics.intake.lost_runs import CaseRuns
from forensics.intake.messages import RunOrder
from forensics.intake.watch_operators import ResumeCasesOperator
from forensics.settings import Settings
from tests.unit.accounts import HookInMemory, settings

ORDER = RunOrder(dag_id="forensic_case", run_id="fc-1-again-1", conf={"case_id": "fc-1"}, note="why", rank=9)


def resume(monkeypatch: pytest.MonkeyPatch, *failed: str) -> Any:
    hook, asked = HookInMemory(settings(case_restarts=3)), []

    class Lost:
        def __init__(self, store: Any, runs: CaseRuns, *, recorder: Any, write_back: Any, settings: Settings) -> None:
            assert settings.case_restarts == 3
            self.runs = runs

        def look(self, now: datetime) -> tuple[list[str], list[str]]:
            assert now.tzinfo is not None
            assert self.runs.state("fc-1") is RunState.ENDED and self.runs.start(ORDER)
            assert self.runs.tasks("fc-1") == {"open_case": "running"}
            return ["fc-1: started again"], list(failed)

    def state(dag_id: str, run_id: str) -> RunState:
        asked.append((dag_id, run_id))
        return RunState.ENDED

    def trigger(dag_id: str, **order: Any) -> bool:
        asked.append((dag_id, order))
        return True

    monkeypatch.setattr(watch_operators, "ForensicsHook", lambda: hook)
    monkeypatch.setattr(watch_operators, "LostRuns", Lost)
    monkeypatch.setattr(watch_operators, "run_state", state)
    monkeypatch.setattr(watch_operators, "trigger_run", trigger)
    monkeypatch.setattr(watch_operators, "task_states", lambda dag_id, run_id: {"open_case": "running"})
    try:
        return ResumeCasesOperator(task_id="resume_cases", target_dag_id="forensic_case").execute({})  # type: ignore[typeddict-item]
    finally:
        order = {"run_id": "fc-1-again-1", "conf": {"case_id": "fc-1"}, "note": "why"}
        assert asked == [("forensic_case", "fc-1"), ("forensic_case", order)]


def test_what_was_done_is_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resume(monkeypatch) == ["fc-1: started again"]


def test_a_case_that_could_not_be_seen_to_fails_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AirflowFailException, match=r"2 open cases could not be seen to: a; b\. What to do next"):
        resume(monkeypatch, "a", "b")
