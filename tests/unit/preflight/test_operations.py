"""The product's figures: each is zero while all is well, and counts what the product's own code has recorded (moto)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.case.waiting import begin_waiting, end_waiting
from forensics.containment.drift_rules import Drift, DriftItem
from forensics.containment.watch_list import unwatch, watch
from forensics.intake.standing_runs import StandingRuns
from forensics.models.containment import ContainmentResult, ContainmentState
from forensics.models.custody import Retention
from forensics.models.evidence import Outcome
from forensics.models.notices import Waiting, WaitingKind
from forensics.preflight.operations import figures
from tests.unit.accounts import settings
from tests.unit.builders import CASE_ID, NOW, case, finding
from tests.unit.recorders import FakeRecorder

DAYS = 365
QUIET = {"OldestOpenCaseHours", "OpenCases"}


@pytest.fixture
def opened(store: CaseStore) -> CaseStore:
    """One open case, as the intake opens it."""
    store.open_case(case(opened_at=NOW - timedelta(hours=2)), finding=finding())
    return store


def measured(store: CaseStore, **later: float) -> dict[str, float]:
    return figures(store, retention_days=DAYS, now=NOW + timedelta(**later))


def test_an_empty_store_has_nothing(store: CaseStore) -> None:
    assert set(measured(store).values()) == {0}


def test_an_open_case_is_counted_and_nothing_else_rings(opened: CaseStore) -> None:
    found = measured(opened)
    assert (found["OpenCases"], found["OldestOpenCaseHours"]) == (1, 2)
    assert {name for name, value in found.items() if value} == QUIET


def test_what_waits_is_counted_with_the_longest_wait_until_it_ends(opened: CaseStore) -> None:
    waiting = Waiting(
        kind=WaitingKind.SEAL, name="c/ledger", case_id=CASE_ID, what="no seal", next_action="clear", since=NOW
    )
    begin_waiting(opened, waiting)
    over = waiting.model_copy(update={"kind": WaitingKind.QUESTION, "name": "q", "until": NOW + timedelta(minutes=30)})
    begin_waiting(opened, over)
    found = measured(opened, minutes=10)
    assert (found["WaitsForPerson"], found["WaitsForPersonMinutes"]) == (2, 10)
    # a question whose time is over waits for nobody any more
    found = measured(opened, minutes=61)
    assert (found["WaitsForPerson"], found["WaitsForPersonMinutes"]) == (1, 61)
    end_waiting(opened, WaitingKind.SEAL, "c/ledger")
    assert measured(opened, minutes=61)["WaitsForPerson"] == 0


def test_a_run_that_stands_still_counts_until_its_task_moves(opened: CaseStore) -> None:
    look = StandingRuns(opened, settings(), recorder=lambda _: FakeRecorder()).look
    look(case(), {"triage.describe_target": "running"}, now=NOW)
    assert measured(opened)["RunsStandStill"] == 0
    assert look(case(), {"triage.describe_target": "running"}, now=NOW + timedelta(days=2))
    assert measured(opened)["RunsStandStill"] == 1
    look(case(), {"triage.describe_target": "success", "triage.plan_response": "running"}, now=NOW + timedelta(days=2))
    assert measured(opened)["RunsStandStill"] == 0


def test_a_drifted_target_counts_while_it_is_watched(opened: CaseStore) -> None:
    watch(opened, CASE_ID, ContainmentResult(outcome=Outcome.DONE, state=ContainmentState.ALL_FLOWS_VERIFIED))
    opened.put(CASE_ID, case_keys.DRIFT, Drift(looked_at=NOW))
    assert measured(opened)["TargetsDrifted"] == 0
    opened.put(CASE_ID, case_keys.DRIFT, Drift(looked_at=NOW, items=(DriftItem(key="g", what="another group"),)))
    assert measured(opened)["TargetsDrifted"] == 1
    unwatch(opened, CASE_ID)
    assert measured(opened)["TargetsDrifted"] == 0


def test_a_lock_that_nobody_renews_counts_before_it_ends(opened: CaseStore) -> None:
    assert measured(opened, days=200)["LocksEndSoon"] == 0
    assert measured(opened, days=300)["LocksEndSoon"] == 1
    kept = Retention(basis="open", until=NOW + timedelta(days=300 + DAYS), at=NOW + timedelta(days=300))
    opened.put(CASE_ID, case_keys.RETENTION, kept)
    assert measured(opened, days=300)["LocksEndSoon"] == 0
