"""The triage tasks: what they return, announce and skip."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from forensics import case_keys
from forensics.aws.hook import CaseSessions, ForensicsHook
from forensics.errors import AwsError
from forensics.models.case import Phase
from forensics.models.plan import Action, ApprovalRequirement, ResponsePlan
from forensics.models.target import SsmStatus, Target
from forensics.models.verification import Standing, Verification
from forensics.triage import operators
from forensics.triage.isolation_guard import IsolationGuard
from forensics.triage.operators import DescribeTargetOperator, ExtendPlanOperator, PlanResponseOperator
from tests.unit.builders import NOW, case, plan, said, target
from tests.unit.recorders import FakeRecorder, context

pytestmark = pytest.mark.usefixtures("settings_environment")


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> FakeRecorder:
    """A case for a task, without a guard: what it decides is tested with the planning."""
    monkeypatch.setattr(IsolationGuard, "of", lambda sessions: None)
    return FakeRecorder(case(run_id="run-1"))


def act(task: Any, recorder: FakeRecorder) -> Any:
    task._sessions = CaseSessions(ForensicsHook(), recorder.case)
    return task.act(recorder, context())


class Describer:
    """Describes a target that SSM does not reach."""

    @classmethod
    def of(cls, session: object) -> Describer:
        return cls()

    def describe(self, recorder: FakeRecorder) -> Target:
        return target(ssm=SsmStatus())


@pytest.mark.parametrize("fails", [False, True])
def test_the_target_is_described_while_the_findings_are_looked_up(
    monkeypatch: pytest.MonkeyPatch, recorder: FakeRecorder, fails: bool
) -> None:
    def look_up(recorder: object, guard: object, settings: object, *, settle: float) -> list[Verification]:
        assert settle == operators.SETTLE_SECONDS
        if fails:
            raise AwsError("the table is away")
        return [Verification(finding_key="k" * 16, standing=Standing.CONFIRMED, reason="x", at=NOW)]

    monkeypatch.setattr(operators, "look_up", look_up)
    monkeypatch.setattr(operators, "TargetDescriber", Describer)
    monkeypatch.setattr(CaseSessions, "target", lambda self, phase: phase)
    result = act(DescribeTargetOperator(task_id="describe_target"), recorder)
    assert result == {
        "state": "running",
        "ssm_online": False,
        "volumes": 1,
        "interfaces": 1,
        "findings": {} if fails else {"k" * 16: "confirmed"},
    }
    assert recorder.case_now().phase is Phase.TRIAGE


def test_other_faults_of_the_look_up_are_not_hidden(monkeypatch: pytest.MonkeyPatch, recorder: FakeRecorder) -> None:
    def look_up(*_: object, **__: object) -> list[Verification]:
        raise ValueError("a defect")

    monkeypatch.setattr(operators, "look_up", look_up)
    monkeypatch.setattr(operators, "TargetDescriber", Describer)
    monkeypatch.setattr(CaseSessions, "target", lambda self, phase: phase)
    with pytest.raises(ValueError, match="a defect"):
        act(DescribeTargetOperator(task_id="describe_target"), recorder)


@pytest.mark.parametrize(("warnings", "headline"), [((), "Triage done"), (("x",), "Triage done, WITH WARNINGS")])
def test_the_plan_is_announced(
    monkeypatch: pytest.MonkeyPatch, recorder: FakeRecorder, warnings: tuple[str, ...], headline: str
) -> None:
    decided = plan(disk=False).model_copy(update={"warnings": warnings})
    monkeypatch.setattr(operators, "plan_response", lambda recorder, guard, settings: decided)
    result = act(PlanResponseOperator(task_id="plan_response"), recorder)
    assert result == {"memory": True, "disk": False, "isolate": True}
    assert recorder.subjects == [said(f"{headline}")]
    assert recorder.mailbox.mail[0].facts["disk"] is False
    assert recorder.case_now().phase is Phase.ACQUISITION


def extend(
    monkeypatch: pytest.MonkeyPatch, recorder: FakeRecorder, after: ResponsePlan, *added: Action, before: bool = True
) -> Any:
    """Extend the case's plan to ``after``."""
    known = plan(isolate=False)
    if before:
        recorder.put(case_keys.PLAN, known)

    def extend_plan(
        recorder: object, guard: object, settings: object, *, before: ResponsePlan
    ) -> tuple[ResponsePlan, tuple[Action, ...]]:
        assert before == known
        return (before if after == known else after), added

    monkeypatch.setattr(operators, "extend_plan", extend_plan)
    return act(ExtendPlanOperator(task_id="extend_plan"), recorder)


def test_an_isolation_that_is_new_is_carried_out_by_this_run(
    monkeypatch: pytest.MonkeyPatch, recorder: FakeRecorder
) -> None:
    after = plan().model_copy(update={"revision": 2})
    assert extend(monkeypatch, recorder, after, Action.DISK, Action.ISOLATE) == {"added": ["disk", "isolate"]}
    (mail,) = recorder.mailbox.mail
    assert (mail.event, mail.subject) == (
        "plan_extended:2",
        said("Response plan extended: disk, isolate"),
    )
    assert mail.facts["added"] == ["disk", "isolate"]
    assert "If disk.snapshot_volumes of run run-1 has already ended" in mail.lines[-1]


@pytest.mark.parametrize(
    ("added", "approval", "said"),
    [
        ((Action.DISK,), False, "extended by disk; nothing is isolated by this run"),
        ((), False, "extended by questions and reasons; nothing is isolated by this run"),
        ((Action.ISOLATE,), True, "extended by isolate; nothing is isolated by this run"),
    ],
)
def test_what_isolates_nothing_ends_skipped(
    monkeypatch: pytest.MonkeyPatch, recorder: FakeRecorder, added: tuple[Action, ...], approval: bool, said: str
) -> None:
    after = plan().model_copy(update={"revision": 2, "approval": ApprovalRequirement(required=approval)})
    with pytest.raises(AirflowSkipException, match=said):
        extend(monkeypatch, recorder, after, *added)
    assert len(recorder.mailbox.mail) == 1


def test_without_an_addition_or_a_plan_it_is_skipped_and_nobody_notified(
    monkeypatch: pytest.MonkeyPatch, recorder: FakeRecorder
) -> None:
    with pytest.raises(AirflowSkipException, match="triage has not ended"):
        extend(monkeypatch, recorder, plan(), before=False)
    with pytest.raises(AirflowSkipException, match="nothing beyond the plan"):
        extend(monkeypatch, recorder, plan(isolate=False))
    assert recorder.mailbox.mail == [] and recorder.notes == [
        "the findings that joined ask for nothing beyond the plan"
    ]
