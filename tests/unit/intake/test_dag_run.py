"""Starting and counting runs through the task's supervisor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import DRCount, ErrorResponse, OKResponse, TaskStatesResult

from forensics.errors import ForensicsError
from forensics.intake.dag_run import RunState, active_runs, queued_runs, run_state, task_states, trigger_run


@dataclass
class Supervisor:
    """Gives one answer and keeps what it was sent."""

    answer: Any
    sent: list[Any] = field(default_factory=list)

    def send(self, message: Any) -> Any:
        self.sent.append(message)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    made = Supervisor(OKResponse(ok=True))
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", made, raising=False)
    return made


def test_the_run_is_ordered_with_its_id_and_configuration(supervisor: Supervisor) -> None:
    assert trigger_run("forensic_case", run_id="fc-1", conf={"case_id": "fc-1"}, note="n" * 2000) is True
    (message,) = supervisor.sent
    assert (message.dag_id, message.run_id, message.conf) == ("forensic_case", "fc-1", {"case_id": "fc-1"})
    assert message.logical_date is None
    if "note" in type(message).model_fields:
        assert message.note == "n" * 1000


def test_a_run_that_exists_is_success(supervisor: Supervisor) -> None:
    supervisor.answer = ErrorResponse(error=ErrorType.DAGRUN_ALREADY_EXISTS)
    assert trigger_run("forensic_case", run_id="fc-1", conf={}) is False


@pytest.mark.parametrize(
    "answer",
    [
        ErrorResponse(error=ErrorType.GENERIC_ERROR, detail={"why": "paused"}),
        AirflowRuntimeError(ErrorResponse(error=ErrorType.GENERIC_ERROR)),
    ],
    ids=["answered", "raised"],
)
def test_any_other_error_is_ours_and_says_that_nothing_is_lost(supervisor: Supervisor, answer: Any) -> None:
    supervisor.answer = answer
    with pytest.raises(ForensicsError, match="run fc-1 of DAG forensic_case could not be started") as caught:
        trigger_run("forensic_case", run_id="fc-1", conf={})
    assert "the finding stays in the queue" in caught.value.next_action


def test_active_runs_are_those_queued_or_running(supervisor: Supervisor) -> None:
    supervisor.answer = DRCount(count=7)
    assert active_runs("forensic_case") == 7
    assert supervisor.sent[0].states == ["queued", "running"]


@pytest.mark.parametrize("answer", [OKResponse(ok=True), AirflowRuntimeError(ErrorResponse())], ids=["odd", "raised"])
def test_runs_that_cannot_be_counted_are_an_error(supervisor: Supervisor, answer: Any) -> None:
    supervisor.answer = answer
    with pytest.raises(ForensicsError, match="could not be counted"):
        active_runs("forensic_case")


def test_queued_runs_are_those_that_have_not_started(supervisor: Supervisor) -> None:
    supervisor.answer = DRCount(count=2)
    assert queued_runs("forensic_case") == 2
    (message,) = supervisor.sent
    assert (message.dag_id, message.states) == ("forensic_case", ["queued"])


@pytest.mark.parametrize(
    ("counts", "state"),
    [([1], RunState.LIVE), ([0, 1], RunState.QUEUED), ([0, 0, 1], RunState.ENDED), ([0, 0, 0], RunState.MISSING)],
)
def test_a_run_is_alive_has_ended_or_is_not_there(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, counts: list[int], state: RunState
) -> None:
    answers = iter(counts)

    def send(message: Any) -> DRCount:
        supervisor.sent.append(message)
        return DRCount(count=next(answers))

    monkeypatch.setattr(supervisor, "send", send)
    assert run_state("forensic_case", "fc-1") is state
    asked = [(m.dag_id, m.run_ids, m.states) for m in supervisor.sent]
    states = [["running"], ["queued"], None]
    assert asked == [("forensic_case", ["fc-1"], wanted) for wanted in states[: len(counts)]]


def test_the_tasks_of_a_run_have_states(supervisor: Supervisor) -> None:
    """The execution API's answer (task-instances/states): by run and task, null for a task without a state."""
    states = {"open_case": "success", "triage.describe_target": "deferred", "report.close_case": None}
    supervisor.answer = TaskStatesResult(task_states={"fc-1": states})
    assert task_states("forensic_case", "fc-1") == states
    (message,) = supervisor.sent
    assert (message.dag_id, message.run_ids) == ("forensic_case", ["fc-1"])
    supervisor.answer = TaskStatesResult(task_states={})
    assert task_states("forensic_case", "fc-1") == {}


@pytest.mark.parametrize("answer", [OKResponse(ok=True), AirflowRuntimeError(ErrorResponse())], ids=["odd", "raised"])
def test_tasks_that_cannot_be_asked_for_are_an_error(supervisor: Supervisor, answer: Any) -> None:
    supervisor.answer = answer
    with pytest.raises(ForensicsError, match="the tasks of run fc-1 of DAG forensic_case could not be counted"):
        task_states("forensic_case", "fc-1")
