"""Live runs that stand still: told once for each task, not while tries are repeated, again for a new stand."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from forensics import case_keys
from forensics.intake.standing_rules import RunProgress
from forensics.intake.standing_runs import StandingRuns
from forensics.models.case import TimelineKind
from tests.unit.accounts import settings
from tests.unit.builders import CASE_ID, NOW, case
from tests.unit.recorders import FakeRecorder

HOUR = timedelta(hours=1)
COPY = "disk.copy_snapshots"


class World:
    """One case, its run's tasks, and a watchdog."""

    def __init__(self) -> None:
        self.recorder = FakeRecorder(case(run_id="run-1"), step="case_watchdog")

    def look(self, at: datetime, **states: str | None) -> str | None:
        runs = StandingRuns(self.recorder.store, settings(), recorder=lambda _: self.recorder)
        tasks = {task.replace("__", "."): state for task, state in states.items()}
        return runs.look(self.recorder.case, tasks, now=at)

    @property
    def mail(self) -> list[str]:
        return [mail.event for mail in self.recorder.mailbox.mail]


@pytest.fixture
def world() -> World:
    return World()


def test_a_task_is_told_once_with_what_to_do_next(world: World) -> None:
    assert world.look(NOW, disk__copy_snapshots="running", report__close_case=None) is None
    said = world.look(NOW + 3 * HOUR, disk__copy_snapshots="running", report__close_case=None)
    assert said is not None and f"task {COPY} has been running for 3 h 00 min" in said and "at most 2 h 20 min" in said
    for hours in (4, 40):
        assert world.look(NOW + hours * HOUR, disk__copy_snapshots="running", report__close_case=None) is None
    (mail,) = world.recorder.mailbox.mail
    assert any("clear the task" in line for line in mail.lines) and mail.facts["tasks"] == [COPY]
    assert world.recorder.notes[-1].startswith("run run-1 stands still")


@pytest.mark.parametrize(
    ("state", "next_step"), [("deferred", "triggerer-silent"), ("queued", "none of them takes the task")]
)
def test_where_it_stands_decides_what_to_do(world: World, state: str, next_step: str) -> None:
    world.look(NOW, disk__copy_snapshots=state)
    assert world.look(NOW + 7 * HOUR, disk__copy_snapshots=state)
    (mail,) = world.recorder.mailbox.mail
    assert any(next_step in line for line in mail.lines)


def test_a_task_that_moves_is_not_told(world: World) -> None:
    for hour, state in enumerate(("queued", "running", "deferred", "running", "deferred", "success")):
        assert world.look(NOW + 2 * hour * HOUR, disk__copy_snapshots=state) is None
    assert world.mail == []


def test_a_try_that_was_repeated_between_two_looks_is_progress(world: World) -> None:
    world.look(NOW, disk__copy_snapshots="running")
    note = f"try 1 of {COPY} failed and is repeated: no way"
    world.recorder.store.note(CASE_ID, note, kind=TimelineKind.CASE, source=COPY, at=NOW + 2 * HOUR)
    assert world.look(NOW + 3 * HOUR, disk__copy_snapshots="running") is None
    progress = world.recorder.get(case_keys.RUN_PROGRESS, RunProgress)
    assert progress is not None and progress.tasks[COPY].since == NOW + 2 * HOUR
    assert world.look(NOW + 5 * HOUR, disk__copy_snapshots="running")


def test_lines_of_others_are_no_progress(world: World) -> None:
    world.look(NOW, disk__copy_snapshots="running")
    world.recorder.store.note(
        CASE_ID, "a finding joined", kind=TimelineKind.CASE, source="finding_intake", at=NOW + 2 * HOUR
    )
    assert world.look(NOW + 3 * HOUR, disk__copy_snapshots="running")


def test_a_task_that_went_on_and_stands_again_is_told_again(world: World) -> None:
    for hour, state in ((0, "running"), (3, "running"), (4, "deferred"), (5, "running"), (8, "running")):
        world.look(NOW + hour * HOUR, disk__copy_snapshots=state)
    assert len(world.mail) == 2 and len(set(world.mail)) == 2
