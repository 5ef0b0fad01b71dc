"""Steps that Airflow ended without their having a word in it: killed workers, lost heartbeats, tries used up."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import Context

from forensics.case.recorder import CaseRecorder
from forensics.models.case import StepFailure

CAUSE = "Airflow ended the task before it could say why: its process was killed, lost its heartbeat, or all its tries were used up"
NEXT = "look at the task's log in the Airflow UI, then clear the task: every step can be repeated"


def tell_killed_steps(recorder: CaseRecorder, context: Context) -> list[str]:
    """Record and announce every failed task of this run of which the case knows nothing; returns their ids."""
    run = context["dag_run"]
    states = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id]).get(run.run_id, {})
    told = {failure.step for failure in recorder.view().failures}
    silent = sorted(step for step, state in states.items() if state == "failed" and step not in told)
    for step in silent:
        recorder.fail(StepFailure(step=step, cause=CAUSE, next_action=NEXT, at=datetime.now(UTC)))
    return silent
