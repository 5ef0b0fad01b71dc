"""A finding that joins while the plan is being made is not forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.models.finding import Finding
from forensics.models.plan import ResponsePlan
from forensics.operators import triage
from forensics.operators.triage import PlanResponseOperator
from tests.unit.domain.builders import CASE_ID, finding, plan

JOINED = finding(key="joined-meanwhile")


class Desk:
    """A case whose findings change while it is looked at."""

    case_id = CASE_ID

    def __init__(self, looks: list[list[Finding]]) -> None:
        self._looks = looks
        self.plans: list[ResponsePlan] = []
        self.gw = self
        self.store = self

    def findings(self) -> list[Finding]:
        """What is there at this look."""
        return self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]

    def put(self, case_id: str, sk: str, value: ResponsePlan) -> None:
        """Only the plan is written."""
        assert (case_id, sk) == (CASE_ID, "PLAN")
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

    def make_plan(desk: Any, hook: Any, *, before: ResponsePlan | None = None) -> ResponsePlan:
        asked.append(before)
        return plan(isolate=before is not None)

    monkeypatch.setattr(triage, "make_plan", make_plan)
    desk = Desk(looks)
    task = PlanResponseOperator(task_id="plan_response")
    monkeypatch.setattr(PlanResponseOperator, "hook", None)
    result = task.act(desk, {})  # type: ignore[arg-type]
    assert asked == befores
    assert desk.plans[-1].isolate.go is result["isolate"] is (len(befores) == 2)  # type: ignore[index]
