"""The steps of a drill without AWS: what is said where nothing was begun (whole drills: tests/integration/test_drill.py)."""

from __future__ import annotations

from typing import Any
from unittest.mock import create_autospec

import pytest

from forensics.aws.case_store import CaseStore
from forensics.aws.hook import ForensicsHook
from forensics.drill import operators
from forensics.drill.operators import AwaitDrillCaseOperator, OpenDrillCaseOperator, drill_name
from forensics.errors import DrillError
from tests.integration.steps import DagRun, TaskInstance


def context(run_id: str) -> Any:
    return {"dag_run": DagRun(run_id), "ti": TaskInstance("step")}


def test_a_drill_is_named_by_its_run() -> None:
    assert drill_name(context("a")) == drill_name(context("a")) != drill_name(context("b"))


@pytest.mark.parametrize("kind", [OpenDrillCaseOperator, AwaitDrillCaseOperator])
def test_without_a_canary_a_step_says_where_the_reason_is(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store = create_autospec(CaseStore, instance=True)
    store.get.return_value = None
    monkeypatch.setattr(CaseStore, "of", lambda *_: store)
    monkeypatch.setattr(
        operators, "ForensicsHook", lambda: create_autospec(ForensicsHook, instance=True, settings=None)
    )
    with pytest.raises(DrillError, match="no canary was launched") as error:
        kind(task_id="step").execute(context("a"))
    assert "launch_canary" in error.value.next_action


def test_a_wait_that_failed_is_a_failed_step() -> None:
    with pytest.raises(DrillError, match="timed out"):
        AwaitDrillCaseOperator(task_id="step").ended(context("a"), {"ok": False, "cause": "timed out"})
