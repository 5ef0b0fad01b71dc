"""Finds open cases whose run has ended or was deleted, tells people, and starts them again from where they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.case.recorder import CaseRecorder
from forensics.correlation import case_context
from forensics.errors import ForensicsError
from forensics.intake.annotation import annotate
from forensics.intake.dag_run import RunState
from forensics.intake.messages import RunOrder
from forensics.intake.resume_rules import Resumption, RunLoss, is_settling, next_resumption, run_of
from forensics.intake.run_orders import resume_order
from forensics.intake.standing_runs import StandingRuns
from forensics.intake.write_back import FindingWriteBack
from forensics.models.case import Case, CaseStatus, Milestone, StepFailure, TimelineKind
from forensics.models.custody import CustodyAction
from forensics.settings import Settings

WATCHDOG = "case_watchdog"
_WHAT = {
    RunLoss.NEVER_STARTED: "its DAG run {run} was never started",
    RunLoss.DELETED: "its DAG run {run} was deleted in Airflow before the case was closed",
    RunLoss.ENDED: "its DAG run {run} ended before the case was closed",
}
_HEADLINE = {
    RunLoss.NEVER_STARTED: "The run of an open case was never started",
    RunLoss.DELETED: "The run of an open case was deleted",
    RunLoss.ENDED: "The run of an open case has ended",
}
_WHO = {
    RunLoss.NEVER_STARTED: "The intake was stopped between opening the case and starting its run, or could not start it.",
    RunLoss.DELETED: "Who deleted it is in Airflow: Browse, Audit Log.",
    RunLoss.ENDED: "Why is in the run's page: a step that no worker finished, or a person who marked it (Browse, Audit Log).",
}


@dataclass(frozen=True)
class CaseRuns:
    """The runs of the case DAG: what has become of one, the states of its tasks, how one is started (False: it existed already)."""

    dag_id: str
    state: Callable[[str], RunState]
    start: Callable[[RunOrder], bool]
    tasks: Callable[[str], Mapping[str, str | None]]


class LostRuns:
    """One look at all open cases.

    :param recorder: opens the recorder of a case
    :param write_back: the way to a case's findings in the services that sent them
    :param settings: how often a case is started again, and how long its tasks may take
    """

    def __init__(
        self,
        store: CaseStore,
        runs: CaseRuns,
        *,
        recorder: Callable[[str], CaseRecorder],
        write_back: Callable[[Case], FindingWriteBack],
        settings: Settings,
    ) -> None:
        self._store = store
        self._runs = runs
        self._recorder = recorder
        self._write_back = write_back
        self._settings = settings
        self._limit = settings.case_restarts
        self._standing = StandingRuns(store, settings, recorder=recorder)

    def look(self, now: datetime) -> tuple[list[str], list[str]]:
        """See to every open case; returns a line for each that had lost its run, and one for each that could not be seen to."""
        done, failed = [], []
        for case_id in self._store.open_cases():
            try:
                with case_context(case_id, step=WATCHDOG):
                    if line := self._see_to(self._store.case(case_id), now):
                        done.append(f"{case_id}: {line}")
            except ForensicsError as error:
                failed.append(f"{case_id}: {error}")
        return done, failed

    def _see_to(self, case: Case, now: datetime) -> str | None:
        if case.status is not CaseStatus.OPEN:
            return None  # it has ended since the index said so
        last = self._store.get(case.case_id, case_keys.RESUMED, Resumption)
        if is_settling(case, last, now=now):
            return None
        state = self._runs.state(run_of(case))
        if state is RunState.LIVE:
            return self._standing.look(case, self._runs.tasks(run_of(case)), now=now)
        if state is RunState.QUEUED:
            return None  # forensic_pulse says when runs do not start
        recorder, lost = self._recorder(case.case_id), self._loss(case, state)
        following = next_resumption(case, last, lost=lost, now=now, limit=self._limit)
        if following is None:
            return self._give_up(recorder, run_of(case), lost=lost, now=now)
        return self._resume(recorder, following)

    def _loss(self, case: Case, state: RunState) -> RunLoss:
        if state is RunState.ENDED:
            return RunLoss.ENDED
        began = self._store.has(case.case_id, f"{case_keys.MILESTONE}{Milestone.OPENED.value}")
        return RunLoss.DELETED if began else RunLoss.NEVER_STARTED

    def _resume(self, recorder: CaseRecorder, following: Resumption) -> str:
        recorder.put(case_keys.RESUMED, following)
        what = _WHAT[following.lost].format(run=following.lost_run)
        again = f"started again as {following.run_id} (try {following.tries} of {self._limit})"
        recorder.note(f"{what}; {again}", kind=TimelineKind.FAILURE, at=following.at)
        recorder.custody(
            CustodyAction.CASE_RESUMED,
            detail={"lost": following.lost.value, "run": following.lost_run, "new_run": following.run_id},
            once=f"resumed-{following.number}",
        )
        order = resume_order(self._runs.dag_id, recorder.case, run_id=following.run_id, why=what)
        self._runs.start(order)
        recorder.case = self._store.update_case(recorder.case_id, run_id=following.run_id)
        recorder.announce(
            f"run_{following.lost.value}:{following.number}",
            f"{_HEADLINE[following.lost]}; the case is started again",
            lines=[
                f"What happened: {what}.",
                f"What was done: it is {again}. Each step finds what was done already and continues from there.",
                _WHO[following.lost],
                *self._failures(recorder.case_id),
            ],
            facts={"lost_run": following.lost_run, "new_run": following.run_id, "try": following.tries},
        )
        recorder.put(case_keys.RESUMED, following.model_copy(update={"started": True}))
        return f"{what}; {again}"

    def _give_up(self, recorder: CaseRecorder, run_id: str, *, lost: RunLoss, now: datetime) -> str:
        """Nothing starts the case again; it holds its instance no more, so that a new finding opens a new case."""
        what = f"{_WHAT[lost].format(run=run_id)}; it was started again {self._limit} times in a day and is given up"
        recorder.note(what, kind=TimelineKind.FAILURE, at=now)
        recorder.custody(
            CustodyAction.CASE_GIVEN_UP, detail={"lost": lost.value, "run": run_id}, once=f"given-up-{run_id}"
        )
        recorder.announce(
            f"case_given_up:{run_id}",
            "CASE GIVEN UP: its run does not get to its end",
            lines=[
                f"What happened: {what}.",
                "What it means: nothing more is acquired, contained or examined in this case. Evidence that it has is kept. A new"
                " finding on the instance opens a new case. Its findings say that it was given up, and stay open.",
                "What to do next: remove the cause, then trigger forensic_case with this case's id and instance: it continues.",
                *self._failures(recorder.case_id),
            ],
            facts={"lost_run": run_id},
        )
        # before the end: afterwards nobody looks at the case again
        given_up = recorder.case.model_copy(update={"status": CaseStatus.FAILED})
        annotate(
            recorder.findings(),
            case=given_up,
            store=self._store,
            write_back=lambda: self._write_back(given_up),
            settings=self._settings,
            step=WATCHDOG,
        )
        self._store.end_case(recorder.case_id, status=CaseStatus.FAILED, closed_at=now)
        return what

    def _failures(self, case_id: str) -> list[str]:
        found = [StepFailure.stored(data) for _, data in self._store.items(case_id, case_keys.FAILURE)]
        return [f"Failed before: {f.step}: {f.cause[:300]} (next: {f.next_action[:200]})" for f in found[:10]]
