"""Steps that Airflow ended before they could record why: killed workers, lost heartbeats, no tries left."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from forensics.case.recorder import CaseRecorder
from forensics.models.case import CaseView, StepFailure
from forensics.models.evidence import Outcome

CAUSE = (
    "Airflow ended the task before it could say why: its process was killed or lost its heartbeat, or no try was left"
)
# What containment.plan_containment does as well, when the deadline has passed.
ISOLATES = "containment.isolate_target"
NEXT = "look at the task's log in the Airflow UI, then clear the task: every step can be repeated"


def record_killed_steps(recorder: CaseRecorder, task_states: Mapping[str, str]) -> list[str]:
    """Record and announce every failed task of the run that the case does not know of; returns their ids.

    A step whose work another one has done since did say why it failed, and left nothing undone.
    """
    view = recorder.view()
    known = {failure.step for failure in view.failures} | _mended(view)
    silent = sorted(step for step, state in task_states.items() if state == "failed" and step not in known)
    for step in silent:
        recorder.fail(StepFailure(step=step, cause=CAUSE, next_action=NEXT, at=datetime.now(UTC)))
    return silent


def _mended(view: CaseView) -> set[str]:
    contained = view.containment is not None and view.containment.outcome is Outcome.DONE
    return {ISOLATES} if contained else set()
