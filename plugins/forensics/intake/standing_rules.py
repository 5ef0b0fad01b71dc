"""When a task of a live run has stood in one state for longer than anything lets it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from pydantic import Field

from forensics.models.base import Model, Utc
from forensics.settings import Settings
from forensics.task_defaults import CAPTURE_TIME, LONG_TASKS, STEP_TIME

# Airflow's states of a task instance (airflow.sdk TaskInstanceState) in which a task has begun and not ended. Of tasks that wait for
# others to end (no state) nothing is expected.
RUNNING: Final = frozenset({"running", "restarting"})
WAITING: Final = frozenset({"deferred", "awaiting_input", "up_for_reschedule"})
COMING: Final = frozenset({"scheduled", "queued", "up_for_retry"})
# A task that every worker is too busy for; a retry comes within minutes (task_defaults).
TAKEN_WITHIN: Final = timedelta(hours=2)
# Airflow notices a passed time-out late, and the watchdog looks every five minutes.
MARGIN: Final = timedelta(minutes=20)
# The name of what is missing when a run lives, has not ended, and none of its tasks is on its way.
SCHEDULING: Final = "(no task)"


class TaskStay(Model):
    """Since when a task was seen in one state. ``told``: people know that it is too long."""

    state: str
    since: Utc
    told: bool = False


class RunProgress(Model):
    """The tasks of a case's live run that have begun and not ended, as the watchdog saw them last."""

    run_id: str
    tasks: dict[str, TaskStay] = Field(default_factory=dict)


def longest_stay(task_id: str, state: str, settings: Settings) -> timedelta:
    """How long a task may be in a state: on a worker its execution_timeout, in the triggerer its longest wait."""
    if state in RUNNING:
        return LONG_TASKS.get(task_id, STEP_TIME) + MARGIN
    if state in WAITING:
        return _longest_wait(task_id, settings) + MARGIN
    return TAKEN_WITHIN + MARGIN


def _longest_wait(task_id: str, settings: Settings) -> timedelta:
    s = settings
    if task_id == "memory.capture_memory":
        return CAPTURE_TIME
    if task_id == "containment.plan_containment":
        # people's answer, or the isolation's deadline and its tries afterwards
        return timedelta(seconds=max(s.approval_timeout_seconds, s.isolation_deadline_seconds + 3600))
    return timedelta(
        seconds=max(s.snapshot_timeout_seconds, s.investigation_timeout_seconds, s.instance_timeout_seconds)
    )


def seen(before: RunProgress | None, states: Mapping[str, str | None], *, run_id: str, now: datetime) -> RunProgress:
    """What is known of the run's tasks after another look. Of another run, or in another state, a task begins anew."""
    known = before.tasks if before is not None and before.run_id == run_id else {}
    active = {task: state for task, state in states.items() if state in RUNNING | WAITING | COMING}
    if not active and any(state is None for state in states.values()):
        active = {SCHEDULING: "scheduled"}
    return RunProgress(
        run_id=run_id,
        tasks={
            task: stay if (stay := known.get(task)) and stay.state == state else TaskStay(state=state, since=now)
            for task, state in active.items()
            if state is not None
        },
    )


def standing(progress: RunProgress, settings: Settings, *, now: datetime) -> list[str]:
    """Tasks that nobody was told of and that have been in their state for too long."""
    return [
        task
        for task, stay in progress.tasks.items()
        if not stay.told and now - stay.since > longest_stay(task, stay.state, settings)
    ]
