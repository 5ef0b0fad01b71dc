"""When a task has stood in one state for too long. States are Airflow's (airflow.sdk.api.datamodels TaskInstanceState)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk.api.datamodels._generated import TaskInstanceState

from forensics.intake.standing_rules import (
    COMING,
    MARGIN,
    RUNNING,
    SCHEDULING,
    WAITING,
    RunProgress,
    TaskStay,
    longest_stay,
    seen,
    standing,
)
from tests.unit.accounts import settings
from tests.unit.builders import NOW

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ENDED = {"success", "failed", "skipped", "upstream_failed", "removed"}


def test_every_state_of_airflow_is_known() -> None:
    assert {state.value for state in TaskInstanceState} <= RUNNING | WAITING | COMING | ENDED


@pytest.mark.parametrize(
    ("task", "state", "longest"),
    [
        ("triage.describe_target", "running", 2 * HOUR),
        ("memory.verify_memory", "running", 12 * HOUR),
        ("disk.digest_disks", "running", 24 * HOUR),
        ("disk.digest_disks", "queued", 2 * HOUR),
        ("disk.copy_snapshots", "deferred", 6 * HOUR),
        ("memory.capture_memory", "deferred", 48 * HOUR),
        ("containment.plan_containment", "awaiting_input", 30 * HOUR),
        ("investigation.analyse_disk", "up_for_retry", 2 * HOUR),
    ],
)
def test_each_task_has_the_time_that_its_own_limits_give(task: str, state: str, longest: timedelta) -> None:
    given = settings(approval_timeout_seconds=30 * 3600, snapshot_timeout_seconds=6 * 3600)
    assert longest_stay(task, state, given) == longest + MARGIN


def test_a_stay_begins_anew_with_the_state_the_run_and_its_end() -> None:
    first = seen(None, {"a": "running", "b": "deferred", "c": None, "d": "success"}, run_id="r", now=NOW)
    assert first.tasks == {"a": TaskStay(state="running", since=NOW), "b": TaskStay(state="deferred", since=NOW)}
    later = NOW + HOUR
    second = seen(first, {"a": "running", "b": "running", "c": "queued"}, run_id="r", now=later)
    assert {task: stay.since for task, stay in second.tasks.items()} == {"a": NOW, "b": later, "c": later}
    assert seen(second, {"a": "running"}, run_id="r-again-1", now=later).tasks["a"].since == later
    assert seen(second, {"a": "success"}, run_id="r", now=later).tasks == {}


def test_a_run_that_has_tasks_left_and_none_on_its_way_stands_too() -> None:
    progress = seen(None, {"a": "success", "b": None}, run_id="r", now=NOW)
    assert list(progress.tasks) == [SCHEDULING]
    assert standing(progress, settings(), now=NOW + 2 * HOUR) == []
    assert standing(progress, settings(), now=NOW + 3 * HOUR) == [SCHEDULING]


def test_what_was_told_is_not_told_again() -> None:
    stay = TaskStay(state="running", since=NOW)
    given = RunProgress(run_id="r", tasks={"a": stay, "b": stay.model_copy(update={"told": True})})
    assert standing(given, settings(), now=NOW + 2 * HOUR + MARGIN) == []
    assert standing(given, settings(), now=NOW + 2 * HOUR + MARGIN + MINUTE) == ["a"]
