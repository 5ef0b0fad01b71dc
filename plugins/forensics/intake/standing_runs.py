"""Finds runs of open cases that live and stand still, and tells people, once for each task that does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.case.recorder import CaseRecorder
from forensics.intake.resume_rules import run_of
from forensics.intake.standing_rules import (
    RUNNING,
    SCHEDULING,
    WAITING,
    RunProgress,
    TaskStay,
    longest_stay,
    seen,
    standing,
)
from forensics.models.base import format_utc
from forensics.models.case import Case, TimelineEntry, TimelineKind
from forensics.settings import Settings

_NEXT = {
    "running": "look at the task's log and at the worker; when nothing works on it any more, clear the task: it finds what was done",
    "waiting": "look at the triggerer (runbook triggerer-silent); then clear the task: it finds what was done and waits again",
    "coming": "look at scheduler and workers: none of them takes the task; a restart of them loses nothing",
}


class StandingRuns:
    """One look at the tasks of a live run; what is known of them is an item of the case."""

    def __init__(self, store: CaseStore, settings: Settings, *, recorder: Callable[[str], CaseRecorder]) -> None:
        self._store = store
        self._settings = settings
        self._recorder = recorder

    def look(self, case: Case, states: Mapping[str, str | None], *, now: datetime) -> str | None:
        """Returns what was told, if anything is new."""
        before = self._store.get(case.case_id, case_keys.RUN_PROGRESS, RunProgress)
        progress = seen(before, states, run_id=run_of(case), now=now)
        late = standing(progress, self._settings, now=now)
        if late:
            progress = self._with_tries(case.case_id, progress, late)
            late = standing(progress, self._settings, now=now)
        # told first: a worker that is killed in between tells again, and never keeps it to itself
        told = self._tell(case, progress, late, now=now) if late else None
        stays = {t: s.model_copy(update={"told": True}) if t in late else s for t, s in progress.tasks.items()}
        progress = progress.model_copy(update={"tasks": stays})
        if progress != before:
            self._store.put(case.case_id, case_keys.RUN_PROGRESS, progress)
        return told

    def _with_tries(self, case_id: str, progress: RunProgress, late: list[str]) -> RunProgress:
        """A try that failed and was repeated between two looks left the state as it was, and a line in the timeline."""
        newest: dict[str, datetime] = {}
        for _, data in self._store.items(case_id, case_keys.TIMELINE):
            entry = TimelineEntry.stored(data)
            if entry.source in late:
                newest[entry.source] = max(entry.time, newest.get(entry.source, entry.time))
        stays = dict(progress.tasks)
        for task, at in newest.items():
            if at > stays[task].since:
                stays[task] = TaskStay(state=stays[task].state, since=at)
        return progress.model_copy(update={"tasks": stays})

    def _tell(self, case: Case, progress: RunProgress, late: list[str], *, now: datetime) -> str:
        recorder = self._recorder(case.case_id)
        lines = [self._sentence(task, progress.tasks[task], now) for task in late]
        recorder.note(
            f"run {progress.run_id} stands still: {'; '.join(lines)}"[:1500], kind=TimelineKind.FAILURE, at=now
        )
        first = late[0]
        recorder.announce(
            f"run_stands_still:{progress.run_id}:{first}:{format_utc(progress.tasks[first].since)}",
            "The case's run stands still",
            lines=[
                *(f"What happened: {line}." for line in lines),
                "What it means: what follows these tasks does not begin; Airflow has not ended them.",
                *dict.fromkeys(f"What to do next: {_NEXT[_kind(progress.tasks[task].state)]}." for task in late),
            ],
            facts={"run_id": progress.run_id, "tasks": late},
        )
        return f"run {progress.run_id} stands still: {'; '.join(lines)}"

    def _sentence(self, task: str, stay: TaskStay, now: datetime) -> str:
        limit = longest_stay(task, stay.state, self._settings)
        since = (
            f"for {_hours(now - stay.since)} (since {stay.since:%Y-%m-%d %H:%MZ}), at most {_hours(limit)} are expected"
        )
        if task == SCHEDULING:
            return f"the run has tasks left and none of them has been on its way {since}"
        return f"task {task} has been {stay.state} {since}"


def _kind(state: str) -> str:
    return "running" if state in RUNNING else "waiting" if state in WAITING else "coming"


def _hours(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"
