"""The wait for a step of the case's own run: it goes on only when the step ended without doing its work."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.case_store import CaseStore
from forensics.case.sensors import CaseStepSensor
from tests.unit.builders import CASE_ID, case

STEP = "containment.isolate_target"


class Run:
    """A task instance that knows the states of another run's tasks."""

    def __init__(self, states: dict[str, Any]) -> None:
        self.states = states

    def get_task_states(self, *, dag_id: str, run_ids: list[str], task_ids: list[str]) -> dict[str, Any]:
        assert (dag_id, run_ids, task_ids) == ("forensic_case", ["run-1"], [STEP])
        return {"run-1": self.states} if self.states else {}


class Store:
    def case(self, case_id: str) -> Any:
        return case(case_id=case_id, run_id="run-1")


@pytest.fixture
def sensor(monkeypatch: pytest.MonkeyPatch, settings_environment: dict[str, str]) -> CaseStepSensor:
    monkeypatch.setattr(CaseStore, "of", lambda session, settings: Store())
    return CaseStepSensor(task_id="wait", case_id=CASE_ID, step=STEP)


@pytest.mark.parametrize("state", ["skipped", "failed", "upstream_failed", "removed"])
def test_a_step_that_did_not_do_its_work_is_done_here(sensor: CaseStepSensor, state: str) -> None:
    assert sensor.poke({"ti": Run({STEP: state})}) is True


@pytest.mark.parametrize("state", [None, "scheduled", "queued", "running", "deferred", "up_for_retry"])
def test_a_step_that_has_not_ended_is_waited_for(sensor: CaseStepSensor, state: str | None) -> None:
    assert sensor.poke({"ti": Run({STEP: state})}) is False
    assert sensor.poke({"ti": Run({})}) is False


def test_a_step_that_isolated_needs_no_second_one(sensor: CaseStepSensor) -> None:
    with pytest.raises(AirflowSkipException, match="carried out the extended plan"):
        sensor.poke({"ti": Run({STEP: "success"})})
