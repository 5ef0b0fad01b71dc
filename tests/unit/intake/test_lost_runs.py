"""Open cases without a live run: told once, started again a few times, given up with their instance free."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast
from unittest.mock import create_autospec

import pytest

from forensics import case_keys
from forensics.errors import AccessDeniedError, ForensicsError
from forensics.intake.dag_run import RunState
from forensics.intake.lost_runs import CaseRuns, LostRuns
from forensics.intake.messages import RunOrder
from forensics.intake.write_back import FindingWriteBack, WriteBackStage
from forensics.models.case import Case, CaseStatus, Milestone, StepFailure
from forensics.models.custody import CustodyAction
from forensics.models.finding import Finding
from tests.unit.accounts import settings
from tests.unit.builders import ACCOUNT, CASE_ID, INSTANCE, NOW, REGION, case, finding
from tests.unit.recorders import FakeRecorder, StoreInMemory

HOUR = timedelta(hours=1)


@dataclass
class Airflow:
    """The runs that exist and those that were started."""

    states: dict[str, RunState] = field(default_factory=dict)
    started: list[RunOrder] = field(default_factory=list)
    broken: bool = False
    tasks: dict[str, str | None] = field(default_factory=dict)

    def state(self, run_id: str) -> RunState:
        return self.states.get(run_id, RunState.MISSING)

    def start(self, order: RunOrder) -> bool:
        if self.broken:
            raise ForensicsError("the API server does not answer")
        created = order.run_id not in self.states
        if created:
            self.started.append(order)
            self.states[order.run_id] = RunState.LIVE
        return created


@dataclass
class World:
    """One open case, Airflow, and a watchdog that looks when a test says so."""

    recorder: FakeRecorder = field(default_factory=lambda: FakeRecorder(case(run_id="run-1"), step="case_watchdog"))
    airflow: Airflow = field(default_factory=Airflow)
    written: list[tuple[str, WriteBackStage]] = field(default_factory=list)
    broken: bool = False

    def write_back(self, _: Case) -> FindingWriteBack:
        """The service that sent the case's finding."""
        if self.broken:
            raise AccessDeniedError("assume role forensics-findings: denied")
        made = create_autospec(FindingWriteBack, instance=True, spec_set=True)

        def annotate(finding: Finding, *, text: str, stage: WriteBackStage) -> None:
            self.written.append((text, stage))

        made.annotate.side_effect = annotate
        return cast("FindingWriteBack", made)

    def __post_init__(self) -> None:
        self.store.milestone(CASE_ID, Milestone.OPENED, NOW)
        self.store.locks.add(CASE_ID)

    @property
    def store(self) -> StoreInMemory:
        return self.recorder.store

    def look(self, at: datetime, *, limit: int = 2) -> tuple[list[str], list[str]]:
        def fresh(_: str) -> FakeRecorder:
            self.recorder.case = self.recorder.case_now()
            return self.recorder

        runs = CaseRuns("forensic_case", self.airflow.state, self.airflow.start, lambda _: self.airflow.tasks)
        given = settings(case_restarts=limit)
        return LostRuns(self.store, runs, recorder=fresh, write_back=self.write_back, settings=given).look(at)

    @property
    def mail(self) -> list[str]:
        return [mail.event for mail in self.recorder.mailbox.mail]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World()

    def open_cases(store: Any) -> list[str]:
        return [CASE_ID]

    monkeypatch.setattr(StoreInMemory, "open_cases", open_cases)
    yield made


def test_a_case_whose_run_lives_or_is_new_is_left_alone(world: World) -> None:
    assert world.look(NOW + timedelta(minutes=5)) == ([], [])
    for state in (RunState.LIVE, RunState.QUEUED):
        world.airflow.states["run-1"] = state
        for hours in (1, 100):
            assert world.look(NOW + hours * HOUR) == ([], [])
    assert world.mail == [] and world.airflow.started == []


def test_a_case_that_has_ended_meanwhile_is_left_alone(world: World) -> None:
    world.store.update_case(CASE_ID, status=CaseStatus.CLOSED)
    assert world.look(NOW + HOUR) == ([], [])
    assert world.airflow.started == []


@pytest.mark.parametrize(
    ("state", "began", "event", "says"),
    [
        (RunState.ENDED, True, "run_ended:1", "its DAG run run-1 ended before the case was closed"),
        (
            RunState.MISSING,
            True,
            "run_deleted:1",
            "its DAG run run-1 was deleted in Airflow before the case was closed",
        ),
        (RunState.MISSING, False, "run_never_started:1", "its DAG run run-1 was never started"),
    ],
)
def test_a_lost_run_is_told_once_and_the_case_started_again(
    world: World, state: RunState, began: bool, event: str, says: str
) -> None:
    if state is RunState.ENDED:
        world.airflow.states["run-1"] = state
    if not began:
        del world.store.held[CASE_ID, f"{case_keys.MILESTONE}opened"]
    world.store.fail(CASE_ID, StepFailure(step="triage.plan_response", cause="boom", next_action="look", at=NOW))
    (line,) = world.look(NOW + HOUR)[0]
    assert says in line and world.look(NOW + HOUR + timedelta(minutes=5)) == ([], [])
    (order,) = world.airflow.started
    assert (order.dag_id, order.run_id) == ("forensic_case", f"{CASE_ID}-again-1")
    assert order.conf == {"case_id": CASE_ID, "account_id": ACCOUNT, "region": REGION, "instance_id": INSTANCE}
    assert world.mail == [event]
    (mail,) = world.recorder.mailbox.mail
    assert any(says in text for text in mail.lines) and any("triage.plan_response: boom" in text for text in mail.lines)
    assert any("Audit Log" in text or "intake" in text for text in mail.lines)
    assert world.recorder.ledger.actions() == [CustodyAction.CASE_RESUMED]
    assert world.recorder.case_now().run_id == order.run_id and CASE_ID in world.store.locks


def test_a_watchdog_that_is_killed_before_the_run_exists_starts_that_run_and_tells_once(world: World) -> None:
    world.airflow.broken = True
    done, failed = world.look(NOW + HOUR)
    assert done == [] and "does not answer" in failed[0] and world.mail == []
    world.airflow.broken = False
    for minutes in (5, 10):
        world.look(NOW + HOUR + timedelta(minutes=minutes))
    assert [order.run_id for order in world.airflow.started] == [f"{CASE_ID}-again-1"]
    assert world.mail == ["run_deleted:1"] and world.recorder.ledger.actions() == [CustodyAction.CASE_RESUMED]


def test_after_its_tries_a_case_is_given_up_and_holds_its_instance_no_more(world: World) -> None:
    for hour in range(1, 5):
        world.look(NOW + hour * HOUR)
        world.airflow.states = dict.fromkeys(world.airflow.states, RunState.ENDED)
    assert [order.run_id for order in world.airflow.started] == [f"{CASE_ID}-again-{n}" for n in (1, 2)]
    assert world.mail == ["run_deleted:1", "run_ended:2", f"case_given_up:{CASE_ID}-again-2"]
    ended = world.recorder.case_now()
    assert (ended.status, ended.closed_at) == (CaseStatus.FAILED, NOW + 3 * HOUR)
    assert world.store.locks == set()
    assert world.recorder.ledger.actions()[-1] is CustodyAction.CASE_GIVEN_UP


def test_without_restarts_it_is_told_and_given_up_at_once(world: World) -> None:
    world.look(NOW + HOUR, limit=0)
    assert world.airflow.started == [] and world.mail == ["case_given_up:run-1"]
    assert world.recorder.case_now().status is CaseStatus.FAILED


def test_one_case_that_cannot_be_seen_to_does_not_keep_the_others_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StoreInMemory, "open_cases", lambda _: ["fc-20261124-ffffffffff", CASE_ID])
    done, failed = world.look(NOW + HOUR)
    assert len(done) == 1 and "fc-20261124-ffffffffff does not exist" in failed[0]


def test_a_live_run_whose_task_stands_still_is_told_once(world: World) -> None:
    world.airflow.states["run-1"] = RunState.LIVE
    world.airflow.tasks = {"triage.describe_target": "running", "triage.plan_response": None}
    assert world.look(NOW + HOUR) == ([], []) and world.look(NOW + 3 * HOUR) == ([], [])
    (line,) = world.look(NOW + 4 * HOUR)[0]
    assert "task triage.describe_target has been running for 3 h 00 min" in line
    assert world.look(NOW + 5 * HOUR) == ([], [])
    assert len(world.mail) == 1 and world.mail[0].startswith("run_stands_still:run-1:triage.describe_target:")
    assert world.airflow.started == []


@pytest.mark.parametrize("broken", [False, True])
def test_a_case_that_is_given_up_says_so_on_its_findings_and_ends_whatever_they_answer(
    world: World, broken: bool
) -> None:
    item = finding()
    world.store.put(CASE_ID, case_keys.finding(item), item)
    world.broken = broken
    world.look(NOW + HOUR, limit=0)
    assert world.recorder.case_now().status is CaseStatus.FAILED
    if broken:
        assert world.written == [] and "was not annotated: assume role" in world.recorder.notes[-1]
        return
    ((text, stage),) = world.written
    assert "given up" in text and CASE_ID in text and stage is WriteBackStage.IN_PROGRESS
    (mail,) = world.recorder.mailbox.mail
    assert any("Its findings say that it was given up, and stay open" in line for line in mail.lines)


def test_a_watchdog_that_dies_at_the_end_of_a_case_writes_to_its_findings_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = finding()
    world.store.put(CASE_ID, case_keys.finding(item), item)
    with monkeypatch.context() as patch:
        patch.setattr(StoreInMemory, "end_case", lambda *_, **__: (_ for _ in ()).throw(ForensicsError("killed")))
        assert world.look(NOW + HOUR, limit=0)[1] == [f"{CASE_ID}: killed"]
    world.look(NOW + HOUR, limit=0)
    assert world.recorder.case_now().status is CaseStatus.FAILED
    assert len(world.written) == 1 and world.mail == ["case_given_up:run-1"]
