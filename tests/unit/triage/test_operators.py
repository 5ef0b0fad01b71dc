"""A finding that joins while the plan is being made is not forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.models.finding import Finding
from forensics.models.plan import ResponsePlan
from forensics.triage import operators as triage
from forensics.triage.isolation_guard import IsolationGuard
from forensics.triage.operators import PlanResponseOperator
from tests.unit.builders import CASE_ID, finding, plan

JOINED = finding(key="joined-meanwhile")
pytestmark = pytest.mark.usefixtures("settings_environment")


class Desk:
    """A case whose findings change while it is looked at."""

    case_id = CASE_ID

    def __init__(self, looks: list[list[Finding]]) -> None:
        self._looks = looks
        self.plans: list[ResponsePlan] = []

    def findings(self) -> list[Finding]:
        """What is there at this look."""
        return self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]

    def put(self, key: str, value: ResponsePlan) -> None:
        """Only the plan is written."""
        assert key == "PLAN"
        self.plans.append(value)

    def __getattr__(self, name: str) -> Any:
        if name not in {"custody", "note", "milestone", "phase", "announce"}:
            raise AttributeError(name)
        return lambda *_, **__: None


@pytest.mark.parametrize(
    ("looks", "befores"),
    [([[finding()], [finding()]], [None]), ([[finding()], [finding(), JOINED]], [None, plan(isolate=False)])],
    ids=["nothing joined", "one joined"],
)
def test_the_plan_knows_every_finding_that_saw_no_plan(
    monkeypatch: pytest.MonkeyPatch, looks: list[list[Finding]], befores: list[ResponsePlan | None]
) -> None:
    asked: list[ResponsePlan | None] = []

    def make_plan(recorder: Any, guard: Any, settings: Any, *, before: ResponsePlan | None = None) -> ResponsePlan:
        asked.append(before)
        return plan(isolate=before is not None)

    monkeypatch.setattr(triage, "make_plan", make_plan)
    recorder = Desk(looks)
    task = PlanResponseOperator(task_id="plan_response")
    monkeypatch.setattr(PlanResponseOperator, "sessions", None)
    monkeypatch.setattr(IsolationGuard, "of", lambda sessions: None)
    result = task.act(recorder, {})  # type: ignore[arg-type]
    assert asked == befores
    assert recorder.plans[-1].isolate.go is result["isolate"] is (len(befores) == 2)  # type: ignore[index]
