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
from airflow.sdk.execution_time.comms import DRCount, ErrorResponse, GetDRCount, TriggerDagRun

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
    """Whether a DAG run will still do something: it is queued or running, has ended, or is not there (any more)."""

    LIVE = "live"
    ENDED = "ended"
    MISSING = "missing"


def run_state(dag_id: str, run_id: str) -> RunState:
    """What has become of a run."""
    if _count(dag_id, states=["queued", "running"], run_id=run_id):
        return RunState.LIVE
    return RunState.ENDED if _count(dag_id, run_id=run_id) else RunState.MISSING


def active_runs(dag_id: str) -> int:
    """How many runs of a DAG are queued or running."""
    return _count(dag_id, states=["queued", "running"])


def queued_runs(dag_id: str) -> int:
    """How many runs of a DAG have not started: it is paused, at its limit of runs, or the scheduler does not get to it."""
    return _count(dag_id, states=["queued"])


def _count(dag_id: str, *, states: list[str] | None = None, run_id: str | None = None) -> int:
    question = GetDRCount(dag_id=dag_id, states=states, run_ids=[run_id] if run_id else None)
    try:
        answer = task_runner.SUPERVISOR_COMMS.send(question)
    except AirflowRuntimeError as error:
        msg = f"the runs of DAG {dag_id} could not be counted: {error}"
        raise ForensicsError(msg, next_action="look at the API server's log") from error
    if not isinstance(answer, DRCount):
        msg = f"the runs of DAG {dag_id} could not be counted: {answer!r}"
        raise ForensicsError(msg, next_action="look at the API server's log")
    return answer.count
