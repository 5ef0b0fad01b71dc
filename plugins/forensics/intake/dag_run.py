"""Start a DAG run from inside a task, with a run id of our choosing.

The stock TriggerDagRunOperator ends its task with one run; the intake starts many from one task. The message is the
Task SDK's own (``TriggerDagRun``), sent through the task's supervisor: neither a REST token nor the metadata database is
needed. This module is the only place that knows it, and that Airflow 3.3 added a field to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum

from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import (
    DRCount,
    ErrorResponse,
    GetDRCount,
    GetTaskStates,
    TaskStatesResult,
    TriggerDagRun,
)

from forensics.errors import ForensicsError


def trigger_run(dag_id: str, *, run_id: str, conf: Mapping[str, str], note: str = "") -> bool:
    """Trigger the run, with a note that the UI shows; returns whether it was created now (False: it existed already)."""
    fields: dict[str, object] = {"dag_id": dag_id, "run_id": run_id, "conf": dict(conf), "logical_date": None}
    if note and "note" in TriggerDagRun.model_fields:
        fields["note"] = note[:1000]
    if "run_after" in TriggerDagRun.model_fields:
        fields["run_after"] = datetime.now(UTC)
    try:
        answer = task_runner.SUPERVISOR_COMMS.send(TriggerDagRun.model_validate(fields))
    except AirflowRuntimeError as error:
        msg = f"run {run_id} of DAG {dag_id} could not be started: {error}"
        raise ForensicsError(msg, next_action="look at the API server's log; the finding stays in the queue") from error
    if isinstance(answer, ErrorResponse):
        if answer.error == ErrorType.DAGRUN_ALREADY_EXISTS:
            return False
        msg = f"run {run_id} of DAG {dag_id} could not be started: {answer.error} {answer.detail}"
        raise ForensicsError(
            msg, next_action="check that the DAG is loaded and not paused; the finding stays in the queue"
        )
    return True


class RunState(StrEnum):
    """Whether a DAG run will still do something: it is running or queued, has ended, or is not there (any more)."""

    LIVE = "live"
    QUEUED = "queued"
    ENDED = "ended"
    MISSING = "missing"


def run_state(dag_id: str, run_id: str) -> RunState:
    """What has become of a run."""
    if _count(dag_id, states=["running"], run_id=run_id):
        return RunState.LIVE
    if _count(dag_id, states=["queued"], run_id=run_id):
        return RunState.QUEUED
    return RunState.ENDED if _count(dag_id, run_id=run_id) else RunState.MISSING


def task_states(dag_id: str, run_id: str) -> dict[str, str | None]:
    """State of every task instance of a run; None for one that waits for others to end."""
    answer = _ask(GetTaskStates(dag_id=dag_id, run_ids=[run_id]), f"the tasks of run {run_id} of DAG {dag_id}")
    if not isinstance(answer, TaskStatesResult):
        raise _unanswered(f"the tasks of run {run_id} of DAG {dag_id}", answer)
    states = answer.task_states.get(run_id, {})
    return {str(task): None if state is None else str(getattr(state, "value", state)) for task, state in states.items()}


def active_runs(dag_id: str) -> int:
    """How many runs of a DAG are queued or running."""
    return _count(dag_id, states=["queued", "running"])


def queued_runs(dag_id: str) -> int:
    """How many runs of a DAG have not started: it is paused, at its limit of runs, or the scheduler does not get to it."""
    return _count(dag_id, states=["queued"])


def _count(dag_id: str, *, states: list[str] | None = None, run_id: str | None = None) -> int:
    answer = _ask(
        GetDRCount(dag_id=dag_id, states=states, run_ids=[run_id] if run_id else None), f"the runs of DAG {dag_id}"
    )
    if not isinstance(answer, DRCount):
        raise _unanswered(f"the runs of DAG {dag_id}", answer)
    return answer.count


def _ask(question: GetDRCount | GetTaskStates, what: str) -> object:
    try:
        return task_runner.SUPERVISOR_COMMS.send(question)
    except AirflowRuntimeError as error:
        raise _unanswered(what, error) from error


def _unanswered(what: str, answer: object) -> ForensicsError:
    said = f"{answer}" if isinstance(answer, Exception) else f"{answer!r}"
    return ForensicsError(f"{what} could not be counted: {said}", next_action="look at the API server's log")
