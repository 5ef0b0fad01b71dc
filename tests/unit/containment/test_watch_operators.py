"""The step that looks at contained targets: oldest look first, one that fails keeps none of the others waiting."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from forensics import case_keys
from forensics.containment import watch_operators
from forensics.containment.drift_rules import Drift
from forensics.containment.watch_list import watch
from forensics.containment.watch_operators import STEP, LookAtContainedOperator
from forensics.errors import AwsError, ForensicsError
from forensics.models.case import StepFailure
from forensics.models.plan import ResponsePlan
from tests.unit.accounts import HookInMemory, settings
from tests.unit.builders import NOW, case
from tests.unit.containment.test_watch_list import CLOSED
from tests.unit.recorders import FakeRecorder, StoreInMemory

CASES = [f"fc-20261124-{n:010x}" for n in range(3)]


class World:
    """Three contained cases; what a look answers is set by case."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.recorders = {case_id: FakeRecorder(case(case_id=case_id), step=STEP) for case_id in CASES}
        self.looked: list[str] = []
        self.answers: dict[str, Any] = dict.fromkeys(CASES, "as it was")
        self.list = StoreInMemory()
        for case_id in CASES:
            watch(self.list, case_id, CLOSED)
        world = self

        class Watch:
            def __init__(self, recorder: Any, gateway: Any, settings: Any, *, response: Any) -> None:
                self.case_id = recorder.case_id

            def look(self, now: datetime) -> str:
                world.looked.append(self.case_id)
                answer = world.answers[self.case_id]
                if isinstance(answer, Exception):
                    raise answer
                return str(answer)

        def opened(hook: Any, case_id: str, *, step: str) -> FakeRecorder:
            assert step == STEP
            if world.answers[case_id] is None:
                raise ForensicsError("the custodian's role was refused")
            return world.recorders[case_id]

        hook = HookInMemory(settings())
        monkeypatch.setattr(watch_operators, "ForensicsHook", lambda: hook)
        monkeypatch.setattr(watch_operators.CaseStore, "of", lambda *_: self.list)
        monkeypatch.setattr(watch_operators, "list_cases", lambda _: [])
        monkeypatch.setattr(watch_operators, "open_recorder", opened)
        monkeypatch.setattr(watch_operators.ContainmentGateway, "of", lambda session: session)
        monkeypatch.setattr(FakeRecorder, "plan", lambda _: ResponsePlan.model_construct())
        monkeypatch.setattr(watch_operators, "DriftWatch", Watch)

    def look(self, **arguments: float) -> dict[str, int]:
        return LookAtContainedOperator(task_id="look_at_contained", **arguments).execute({})  # type: ignore[typeddict-item]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_the_target_looked_at_longest_ago_is_first(world: World) -> None:
    for number, case_id in enumerate(CASES):
        world.list.put(case_id, case_keys.DRIFT, Drift(looked_at=NOW - timedelta(minutes=number)))
    assert world.look() == {"as it was": 3}
    assert world.looked == CASES[::-1]


def test_a_target_that_cannot_be_looked_at_is_told_once_until_it_can(world: World) -> None:
    world.answers[CASES[0]] = AwsError("forensics-contain was refused")
    for _ in range(2):
        assert world.look() == {"unseen": 1, "as it was": 2}
    recorder = world.recorders[CASES[0]]
    assert [mail.event for mail in recorder.mailbox.mail] == [f"failed:{STEP}"]
    failure = recorder.get(f"{case_keys.FAILURE}{STEP}", StepFailure)
    assert failure is not None and "forensics-contain was refused" in failure.cause
    world.answers[CASES[0]] = "drifted"
    assert world.look() == {"drifted": 1, "as it was": 2}
    assert recorder.get(f"{case_keys.FAILURE}{STEP}", StepFailure) is None


def test_a_case_that_cannot_be_read_fails_the_step_after_the_others(world: World) -> None:
    world.answers[CASES[0]] = None
    with pytest.raises(
        AirflowFailException, match=f"1 contained targets could not be looked at: {CASES[0]}: the custodian"
    ):
        world.look()
    assert world.looked == CASES[1:]


def test_time_that_is_over_is_said(world: World) -> None:
    with pytest.raises(AirflowFailException, match="3 of 3 contained targets were not looked at"):
        world.look(budget_seconds=-1.0)
