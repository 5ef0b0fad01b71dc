"""The steps of forensic_preflight: a broken line is a red task with what to do, and the result is kept before that."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from forensics.errors import ConfigurationError
from forensics.models.preflight import CheckResult, CheckStatus, PreflightReport, ReadinessReport
from forensics.preflight import operators
from forensics.preflight.leftovers import Leftovers
from forensics.preflight.operators import ListReadinessOperator, RemoveLeftoversOperator, RunPreflightOperator
from forensics.preflight.scope import PreflightScope
from tests.unit.builders import NOW
from tests.unit.preflight.conftest import MEMBER, REGION, FakeHook
from tests.unit.recorders import context


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, hook: FakeHook) -> dict[str, Any]:
    """What the step recorded and announced, and the scope that it tried."""
    found: dict[str, Any] = {"status": CheckStatus.OK}

    def run(scope: PreflightScope, *, say: Any) -> PreflightReport:
        line = CheckResult(check="reach", subject="iam", status=found["status"], detail="closed", next_action="open it")
        say(line)
        found["scope"] = scope
        return PreflightReport.of([line], run=scope.run, part="quick", at=NOW, seconds=1)

    monkeypatch.setattr(operators, "ForensicsHook", lambda: hook)
    monkeypatch.setattr(operators, "run_preflight", run)
    monkeypatch.setattr(operators, "record_report", lambda _, report: found.update(recorded=report))
    monkeypatch.setattr(operators, "announce", lambda _, report: found.update(announced=report))
    return found


def operator(**asked: str) -> RunPreflightOperator:
    given = {"part": "quick", "account_id": "", "region": "", "instance_id": "", **asked}
    return RunPreflightOperator(task_id="run_preflight", **given)


def test_a_preflight_without_a_broken_line_returns_its_counts(kept: dict[str, Any]) -> None:
    assert operator().execute(context()) == {"broken": 0, "not tried": 0, "ok": 1}
    assert "announced" not in kept
    assert (kept["scope"].full, kept["scope"].target) == (False, None)


def test_a_broken_line_is_kept_told_and_fails_the_task(kept: dict[str, Any]) -> None:
    kept["status"] = CheckStatus.BROKEN
    with pytest.raises(AirflowFailException, match="What to do next: open it"):
        operator().execute(context())
    assert kept["recorded"] is kept["announced"]


def test_a_named_instance_means_the_full_part(kept: dict[str, Any]) -> None:
    operator(account_id=MEMBER, instance_id="i-0123456789abcdef0").execute(context())
    scope = kept["scope"]
    assert (scope.full, scope.target.region) == (True, REGION)
    with pytest.raises(ConfigurationError, match="without its account"):
        operator(instance_id="i-0123456789abcdef0").execute(context())


def test_the_readiness_list_is_recorded(monkeypatch: pytest.MonkeyPatch, hook: FakeHook) -> None:
    recorded: list[ReadinessReport] = []
    report = ReadinessReport(at=NOW, instances=3, unready=(), unready_count=0)
    monkeypatch.setattr(operators, "ForensicsHook", lambda: hook)
    monkeypatch.setattr(operators, "readiness", lambda _: report)
    monkeypatch.setattr(operators, "record_readiness", lambda _, r: recorded.append(r))
    assert ListReadinessOperator(task_id="r").execute(context()) == {"instances": 3, "not_capturable": 0}
    assert recorded == [report]


def test_accounts_that_all_refuse_are_a_failure(monkeypatch: pytest.MonkeyPatch, hook: FakeHook) -> None:
    report = ReadinessReport(at=NOW, instances=0, unready=(), unready_count=0, problems=("x: denied",))
    monkeypatch.setattr(operators, "ForensicsHook", lambda: hook)
    monkeypatch.setattr(operators, "readiness", lambda _: report)
    monkeypatch.setattr(operators, "record_readiness", lambda *_: None)
    with pytest.raises(AirflowFailException, match="x: denied"):
        ListReadinessOperator(task_id="r").execute(context())


@pytest.mark.parametrize("failed", [[], ["groups of x: denied"]])
def test_what_could_not_be_removed_is_named(monkeypatch: pytest.MonkeyPatch, hook: FakeHook, failed: list[str]) -> None:
    monkeypatch.setattr(operators, "ForensicsHook", lambda: hook)
    monkeypatch.setattr(Leftovers, "remove", lambda _: (["snap-1"], failed))
    task = RemoveLeftoversOperator(task_id="l")
    if failed:
        with pytest.raises(AirflowFailException, match="groups of x"):
            task.execute(context())
    else:
        assert task.execute(context()) == ["snap-1"]
