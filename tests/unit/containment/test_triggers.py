"""The planning task's wait: isolation's result, a closed case, or the deadline."""

from __future__ import annotations

import time

import pytest

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.containment import triggers
from forensics.containment.triggers import ContainmentWatchTrigger
from forensics.models.case import CaseStatus
from forensics.models.containment import ContainmentResult, ContainmentState
from forensics.models.evidence import Outcome
from tests.unit.builders import CASE_ID
from tests.unit.recorders import FakeRecorder


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch, settings_environment: dict[str, str]) -> FakeRecorder:
    """An open case whose store the trigger finds."""
    made = FakeRecorder()
    monkeypatch.setattr(CaseStore, "of", lambda *_: made.store)
    return made


def watch(due: float) -> ContainmentWatchTrigger:
    """A watch until a time."""
    return ContainmentWatchTrigger(case_id=CASE_ID, due=due, poll=1, deadline=due + 3600, ends_task=True)


def test_it_waits_until_the_deadline_and_then_wakes_the_task(recorder: FakeRecorder) -> None:
    assert watch(time.time() + 60).check() is None
    late = watch(time.time() - 1).check()
    assert late is not None and not late.ok
    assert late.payload["due"] is True and late.payload["cause"] == "the isolation deadline has passed"


def test_a_result_ends_the_task_also_after_the_deadline(recorder: FakeRecorder) -> None:
    result = ContainmentResult(outcome=Outcome.DONE, state=ContainmentState.NEW_FLOWS_BLOCKED)
    recorder.put(case_keys.CONTAINMENT, result)
    found = watch(time.time() - 1).check()
    assert found is not None and found.ok
    assert found.payload == {"outcome": "DONE", "state": "NEW_FLOWS_BLOCKED"}


def test_a_closed_case_is_not_watched_any_longer(recorder: FakeRecorder) -> None:
    recorder.store.update_case(CASE_ID, status=CaseStatus.CLOSED)
    found = watch(time.time() - 1).check()
    assert found is not None and found.ok and found.payload == {"outcome": "case closed"}


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.PARTIAL, Outcome.PENDING])
def test_a_result_that_stays_incomplete_wakes_the_task_and_does_not_end_the_watch(
    recorder: FakeRecorder, monkeypatch: pytest.MonkeyPatch, outcome: Outcome
) -> None:
    """The step that recorded it has its own tries first; then nobody else would go on."""
    incomplete = ContainmentResult(outcome=outcome, state=ContainmentState.FAILED, reason="eni-0 still has groups")
    recorder.put(case_keys.CONTAINMENT, incomplete)
    waiting = watch(time.time() + 3600)
    assert waiting.check() is None, "not at once"
    monkeypatch.setattr(triggers, "PATIENCE_SECONDS", 0.0)
    woken = waiting.check()
    assert woken is not None and not woken.ok and woken.payload["due"] is True
    assert woken.payload["cause"] == f"isolation is {outcome.value}: eni-0 still has groups"


def test_a_result_that_is_completed_meanwhile_ends_the_task(recorder: FakeRecorder) -> None:
    incomplete = ContainmentResult(outcome=Outcome.PARTIAL, state=ContainmentState.NEW_FLOWS_BLOCKED)
    recorder.put(case_keys.CONTAINMENT, incomplete)
    waiting = watch(time.time() + 3600)
    assert waiting.check() is None
    recorder.put(case_keys.CONTAINMENT, incomplete.model_copy(update={"outcome": Outcome.DONE}))
    ended = waiting.check()
    assert ended is not None and ended.ok
