"""The two containment tasks: what they record, when they wait, how they end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import create_autospec

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskAwaitingInput, TaskDeferred

from forensics import case_keys
from forensics.containment.operators import (
    CLOSED_SECONDS,
    ISOLATE,
    OPEN_SECONDS,
    REFUSE,
    TRY_AGAIN_SECONDS,
    IsolateTargetOperator,
    PlanContainmentOperator,
    last_try,
)
from forensics.containment.triggers import ContainmentWatchTrigger
from forensics.errors import UnreachableError
from forensics.models.approval import Approval, Person
from forensics.models.case import Milestone, Phase
from forensics.models.containment import (
    ContainmentPlan,
    ContainmentResult,
    ContainmentState,
    PlanPreflight,
    ReleaseResult,
)
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Outcome
from forensics.models.finding import CustomAction, FindingSource
from forensics.models.plan import Action, Order
from tests.unit.builders import CASE_ID, decision, finding, said
from tests.unit.containment.case_world import World
from tests.unit.containment.targets import eni
from tests.unit.containment.test_isolation import ENDPOINTS, require_approval
from tests.unit.recorders import TaskInstance, context


class TaskInstanceWithId(TaskInstance):
    """A task instance as human-in-the-loop needs it."""

    id = "01234567-89ab-7def-8123-456789abcdef"


@dataclass
class Run:
    """What is read of a run."""

    run_id: str = "run-1"
    dag_id: str = "forensic_case"
    triggering_user_name: str | None = None
    conf: dict[str, Any] = field(default_factory=dict)


def run_context(user: str | None = None, **run: Any) -> Any:
    """The last try's context, in a run that a person started or that the intake did."""
    ti = TaskInstanceWithId(try_number=3, max_tries=2)
    return {**context(), "ti": ti, "task_instance": ti, "dag_run": Run(triggering_user_name=user, **run)}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What would be written to Airflow's database."""
    seen = create_autospec(hitl.upsert_hitl_detail)
    monkeypatch.setattr(hitl, "upsert_hitl_detail", seen)
    return seen


def isolate() -> Any:
    """Run the isolating task."""
    return IsolateTargetOperator(task_id="containment.isolate_target", case_id=CASE_ID).execute(run_context())


def plan_step() -> PlanContainmentOperator:
    """The planning task."""
    return PlanContainmentOperator(task_id="containment.plan_containment", case_id=CASE_ID)


def deferred(step: Any) -> TaskDeferred:
    """Execute until it waits for AWS."""
    with pytest.raises(TaskDeferred) as caught:
        step.execute(run_context())
    return caught.value


def waits_for_a_person(step: Any) -> TaskAwaitingInput:
    """Execute until it has asked a person; no trigger and no triggerer take part in that."""
    with pytest.raises(TaskAwaitingInput) as caught:
        step.execute(run_context())
    return caught.value


def answer(option: str, *, user: str | None = "bob", name: str | None = None) -> dict[str, Any]:
    """A person's answer as Airflow hands it on: the user's id, and the name that they have now."""
    who = {"id": user, "name": name or user} if user else None
    return {"chosen_options": [option], "params_input": {}, "responded_by_user": who, "timedout": user is None}


def result_of(world: World) -> ContainmentResult:
    """The result on record."""
    found = world.recorder.get(case_keys.CONTAINMENT, ContainmentResult)
    assert found is not None
    return found


# ---------------------------------------------------------------------- isolate_target
def test_the_target_is_isolated_under_the_contain_role(airflow_side: World) -> None:
    summary = isolate()
    (group,) = airflow_side.account.target.own_groups
    assert summary == {"state": "NEW_FLOWS_BLOCKED", "outcome": "DONE", "group_id": group.id}
    assert airflow_side.phases == ["contain"]
    recorder = airflow_side.recorder
    assert recorder.case_now().phase is Phase.CONTAINMENT
    assert recorder.store.has(CASE_ID, f"{case_keys.MILESTONE}{Milestone.CONTAINED.value}")
    assert recorder.subjects == [said("Target isolated: NEW_FLOWS_BLOCKED")]
    assert recorder.ledger.signed == ["restore-point", "containment"]


def test_a_case_that_does_not_isolate_touches_nothing(airflow_side: World) -> None:
    airflow_side.decide(isolate=decision(Action.ISOLATE, wanted=False))
    with pytest.raises(AirflowSkipException, match="not isolated: because"):
        isolate()
    assert result_of(airflow_side).outcome is Outcome.SKIPPED
    assert airflow_side.phases == [], "no role is assumed"


def test_without_a_response_plan_the_task_skips(airflow_side: World) -> None:
    airflow_side.recorder.store.held.pop((CASE_ID, case_keys.PLAN))
    with pytest.raises(AirflowSkipException, match="no response plan"):
        isolate()


def test_an_incomplete_isolation_fails_and_is_announced(airflow_side: World) -> None:
    airflow_side.account.refused = {"put_role_policy"}
    with pytest.raises(AirflowFailException, match=r"\(NEW_FLOWS_BLOCKED\): network closed; credentials of") as caught:
        isolate()
    assert "leave the network as it is, it is closed; end the credentials" in str(caught.value)
    assert "manually" not in str(caught.value)
    assert result_of(airflow_side).outcome is Outcome.PARTIAL
    assert any("Network closed, credentials still valid" in s for s in airflow_side.recorder.subjects)
    assert airflow_side.recorder.store.failures()
    airflow_side.account.refused.clear()
    assert isolate()["outcome"] == "DONE"
    assert airflow_side.recorder.store.failures() == {}


def test_a_plan_that_waits_for_a_person_is_left_to_the_planning_task(airflow_side: World) -> None:
    require_approval(airflow_side)
    with pytest.raises(AirflowSkipException, match=r"not isolated yet: .*approval \(containment.plan_containment\)"):
        isolate()
    assert result_of(airflow_side).outcome is Outcome.PENDING


def test_a_target_that_has_ended_is_skipped(airflow_side: World) -> None:
    airflow_side.account.change(state="terminated")
    with pytest.raises(AirflowSkipException, match="ended before it could be isolated"):
        isolate()


# ---------------------------------------------------------------------- plan_containment
def test_the_plan_is_recorded_with_its_preflight_and_the_deadline_watched(airflow_side: World) -> None:
    airflow_side.decide(decided_at=datetime.now(UTC))
    wait = deferred(plan_step())
    assert isinstance(wait.trigger, ContainmentWatchTrigger) and wait.trigger.ends_task
    seconds = airflow_side.settings.isolation_deadline_seconds
    assert wait.trigger.due == airflow_side.response.decided_at.timestamp() + seconds
    assert wait.trigger.deadline == wait.trigger.due + 3600
    plan = airflow_side.recorder.get(case_keys.CONTAINMENT_PLAN, ContainmentPlan)
    preflight = airflow_side.recorder.get(case_keys.PLAN_PREFLIGHT, PlanPreflight)
    assert plan is not None and preflight is not None and preflight.digest == plan.digest
    assert airflow_side.account.calls == []


def test_an_isolation_that_is_not_wanted_is_a_dry_run(airflow_side: World) -> None:
    airflow_side.decide(isolate=decision(Action.ISOLATE, wanted=False))
    summary = plan_step().execute(run_context())
    assert summary["carried_out"] is False and summary["steps"] > 10
    assert airflow_side.recorder.get(case_keys.CONTAINMENT_PLAN, ContainmentPlan) is not None


def test_where_isolation_is_not_possible_there_is_nothing_to_plan(airflow_side: World) -> None:
    airflow_side.decide(isolate=decision(Action.ISOLATE, possible=False))
    with pytest.raises(AirflowSkipException, match="nothing to plan: because"):
        plan_step().execute(run_context())
    assert airflow_side.recorder.get(case_keys.CONTAINMENT_PLAN, ContainmentPlan) is None


@pytest.mark.parametrize(("default", "option"), [("isolate", ISOLATE), ("refuse", REFUSE)])
def test_a_person_is_asked_with_the_policys_default(airflow_side: World, asked: Any, default: str, option: str) -> None:
    require_approval(airflow_side)
    airflow_side.settings = airflow_side.settings.model_copy(update={"approval_default": default})
    wait = waits_for_a_person(plan_step())
    assert wait.method_name == "execute_complete"
    detail = asked.call_args.kwargs
    assert detail["defaults"] == [option] and "**You are asked because:**\n\n* production" in detail["body"]
    (mail,) = airflow_side.recorder.mailbox.mail
    assert mail.event.startswith("approval:") and f"no answer means: {option}" in mail.lines[-1]


def test_an_approved_plan_is_isolated_when_the_capture_has_ended(airflow_side: World, asked: Any) -> None:
    require_approval(airflow_side)
    step = plan_step()
    waits_for_a_person(step)
    with pytest.raises(AirflowSkipException):
        isolate()
    assert step.execute_complete(run_context(), answer(ISOLATE))["outcome"] == "DONE"
    approval = airflow_side.recorder.get(case_keys.APPROVAL, Approval)
    assert approval is not None and approval.by == "bob"


def test_an_approval_before_the_capture_has_ended_watches_the_deadline(airflow_side: World, asked: Any) -> None:
    require_approval(airflow_side)
    step = plan_step()
    waits_for_a_person(step)
    with pytest.raises(TaskDeferred) as caught:
        step.execute_complete(run_context(), answer(ISOLATE))
    assert isinstance(caught.value.trigger, ContainmentWatchTrigger)
    assert airflow_side.account.calls == []


def still_asked(step: Any, answered: dict[str, Any], **run: Any) -> TaskAwaitingInput:
    """Answer, and find the question open again."""
    with pytest.raises(TaskAwaitingInput) as caught:
        step.execute_complete(run_context(**run), answered)
    return caught.value


def add_request(world: World, **changes: Any) -> None:
    """A person's request is a finding of the case."""
    found = finding(source=FindingSource.MANUAL, key="manual-1", **changes)
    world.recorder.put(case_keys.finding(found), found)


def test_whoever_asked_for_the_isolation_does_not_approve_it(airflow_side: World, asked: Any) -> None:
    """The request joined the case later, and its person answers under another display name."""
    require_approval(airflow_side)
    add_request(airflow_side, asked_by=Person(login="alice"))
    step = plan_step()
    waits_for_a_person(step)
    until = airflow_side.recorder.get(case_keys.APPROVAL, Approval)
    wait = still_asked(step, answer(ISOLATE, user="alice", name="Alice Liddell"))
    assert until is not None and until.until is not None
    assert wait.timeout is not None and timedelta(0) < wait.timeout <= until.until - until.at
    assert asked.call_count == 2, "Airflow takes the answer off the question"
    (_, told) = airflow_side.recorder.mailbox.mail
    assert told.event == "approval_still_open" and "alice" in told.lines[2] and "may not approve it" in told.lines[2]
    assert "Answer until" in told.lines[3]
    with pytest.raises(AirflowSkipException, match="not isolated yet: isolation waits for a person's approval"):
        isolate()
    assert airflow_side.account.calls == []
    assert step.execute_complete(run_context(), answer(ISOLATE, user="bob"))["outcome"] == "DONE"


def test_an_isolation_that_only_its_asker_approved_ends_red(airflow_side: World, asked: Any) -> None:
    require_approval(airflow_side)
    step = plan_step()
    with pytest.raises(TaskAwaitingInput):
        step.execute(run_context("alice"))
    still_asked(step, answer(ISOLATE, user="alice"), user="alice")
    with pytest.raises(AirflowFailException, match=r"nobody else answered in time .alice asked for it.*it asks again"):
        step.execute_complete(run_context("alice"), answer(REFUSE, user=None))
    assert "containment.plan_containment" in airflow_side.recorder.store.failures()
    assert airflow_side.account.calls == []


def test_an_order_that_nobody_is_known_to_have_given_takes_two_people(airflow_side: World, asked: Any) -> None:
    require_approval(airflow_side)
    pressed = finding(action=CustomAction.ISOLATE, press="event-1")
    airflow_side.recorder.put(case_keys.finding(pressed), pressed)
    step = plan_step()
    waits_for_a_person(step)
    assert "Two different people have to choose “Isolate”" in asked.call_args.kwargs["body"]
    still_asked(step, answer(ISOLATE, user="7", name="bob"))
    still_asked(step, answer(ISOLATE, user="7", name="robert"))
    with pytest.raises(TaskDeferred):
        step.execute_complete(run_context(), answer(ISOLATE, user="8", name="carol"))
    found = airflow_side.recorder.get(case_keys.APPROVAL, Approval)
    assert found is not None and [p.id for p in found.approvers] == ["7", "8"]
    event = airflow_side.recorder.ledger.last(CustodyAction.CONTAINMENT_APPROVED)
    assert [p["id"] for p in event.detail["approvers"]] == ["7", "8"]  # type: ignore[attr-defined, index]


def test_an_approval_that_has_ended_is_asked_for_again(airflow_side: World, asked: Any) -> None:
    require_approval(airflow_side)
    step = plan_step()
    waits_for_a_person(step)
    with pytest.raises(TaskDeferred):
        step.execute_complete(run_context(), answer(ISOLATE))
    known = airflow_side.recorder.get(case_keys.APPROVAL, Approval)
    assert known is not None and known.expires_at is not None
    assert known.expires_at - known.at == timedelta(seconds=airflow_side.settings.approval_valid_seconds)
    airflow_side.recorder.put(case_keys.APPROVAL, known.model_copy(update={"expires_at": datetime.now(UTC)}))
    with pytest.raises(AirflowSkipException, match=r"the approval ended at .*waits for another approval"):
        isolate()
    with pytest.raises(TaskAwaitingInput):
        resume(step)
    assert asked.call_count == 2 and airflow_side.account.calls == []
    assert step.execute_complete(run_context(), answer(ISOLATE))["outcome"] == "DONE"


def test_a_target_that_changed_after_the_approval_is_asked_about_again(airflow_side: World, asked: Any) -> None:
    require_approval(airflow_side)
    step = plan_step()
    waits_for_a_person(step)
    with pytest.raises(TaskDeferred):
        step.execute_complete(run_context(), answer(ISOLATE))
    airflow_side.account.change(interfaces=(*airflow_side.account.target.interfaces, eni(2)))
    with pytest.raises(AirflowSkipException, match="the plan changed after approval, these steps are new"):
        isolate()
    with pytest.raises(TaskAwaitingInput):
        resume(step)
    assert "`eni-2`" in asked.call_args.kwargs["body"] and airflow_side.account.calls == []
    assert step.execute_complete(run_context(), answer(ISOLATE))["outcome"] == "DONE"


def test_a_used_approval_is_asked_for_again_and_whoever_cleared_the_step_is_not_known(
    airflow_side: World, asked: Any
) -> None:
    require_approval(airflow_side)
    step = plan_step()
    waits_for_a_person(step)
    with pytest.raises(AirflowSkipException):
        isolate()
    step.execute_complete(run_context(), answer(ISOLATE))
    airflow_side.account.change(interfaces=(eni(0), eni(1)))
    airflow_side.account.calls.clear()
    released = ReleaseResult(outcome=Outcome.DONE, released_at=datetime.now(UTC))
    airflow_side.recorder.put(case_keys.RELEASE, released)
    with pytest.raises(AirflowSkipException, match="the approval was used at"):
        isolate()
    assert result_of(airflow_side).state is ContainmentState.NOT_CONTAINED
    waits_for_a_person(plan_step())
    found = airflow_side.recorder.get(case_keys.APPROVAL, Approval)
    assert found is not None and found.open and found.needed == 2
    assert airflow_side.account.calls == []


def test_a_refused_plan_ends_the_task(airflow_side: World, asked: Any) -> None:
    require_approval(airflow_side)
    step = plan_step()
    waits_for_a_person(step)
    assert step.execute_complete(run_context(), answer(REFUSE))["approved"] is False
    with pytest.raises(AirflowSkipException, match="not approved: refused by bob"):
        isolate()
    assert airflow_side.account.calls == []


def test_an_answer_to_a_plan_that_is_gone_is_an_error(airflow_side: World) -> None:
    with pytest.raises(AirflowFailException, match="gone from the case store"):
        plan_step().execute_complete(run_context(), answer(ISOLATE))


def test_the_deadline_isolates_while_the_capture_runs(airflow_side: World) -> None:
    airflow_side.decide(decided_at=datetime.now(UTC))
    step = plan_step()
    deferred(step)
    summary = step.resume_after_wait(run_context(), {"ok": False, "due": True, "cause": "the deadline has passed"})
    assert summary["outcome"] == "DONE"
    assert any("the memory capture still runs: isolating now" in note for note in airflow_side.recorder.notes)


def test_a_try_after_a_failed_isolation_at_the_deadline_isolates(airflow_side: World) -> None:
    airflow_side.decide(decided_at=datetime.now(UTC) - timedelta(days=1))
    airflow_side.account.refused = {"put_role_policy"}
    with pytest.raises(AirflowFailException):
        isolate()
    airflow_side.account.refused.clear()
    assert plan_step().execute(run_context())["outcome"] == "DONE"
    assert airflow_side.recorder.store.failures() == {}, "the step that failed has nothing left to do"


def resume(step: PlanContainmentOperator) -> Any:
    """The trigger has fired."""
    return step.resume_after_wait(run_context(), {"ok": False, "due": True, "cause": "isolation is FAILED"})


def test_an_isolation_that_fails_is_tried_until_half_an_hour_after_the_deadline(airflow_side: World) -> None:
    airflow_side.decide(decided_at=datetime.now(UTC))
    step = plan_step()
    deferred(step)
    airflow_side.account.refused = {"create_security_group", "modify_network_interface_attribute"}
    with pytest.raises(AirflowFailException):
        isolate()
    for _ in range(5):
        with pytest.raises(TaskDeferred) as caught:
            resume(step)
        again = caught.value.trigger
        assert isinstance(again, ContainmentWatchTrigger)
        assert 0 < again.due - datetime.now(UTC).timestamp() <= TRY_AGAIN_SECONDS
    assert sum("this task tries it again" in note for note in airflow_side.recorder.notes) == 5
    airflow_side.account.refused.clear()
    assert resume(step)["outcome"] == "DONE"
    assert airflow_side.recorder.store.failures() == {}, "the failure of the case's own step is made good"


def test_the_last_try_ends_as_a_failure_that_people_hear_of(airflow_side: World) -> None:
    seconds = airflow_side.settings.isolation_deadline_seconds + OPEN_SECONDS
    airflow_side.decide(decided_at=datetime.now(UTC) - timedelta(seconds=seconds))
    step = plan_step()
    deferred(step)
    airflow_side.account.refused = {"create_security_group", "modify_network_interface_attribute"}
    with pytest.raises(AirflowFailException, match="isolate the instance manually now"):
        resume(step)
    assert result_of(airflow_side).outcome is Outcome.PARTIAL
    assert any("FAILED: containment.plan_containment" in s for s in airflow_side.recorder.subjects)


def test_what_aws_does_not_answer_at_the_deadline_is_asked_again(airflow_side: World, monkeypatch: Any) -> None:
    airflow_side.decide(decided_at=datetime.now(UTC))
    step = plan_step()
    deferred(step)

    def out(*_: Any, **__: Any) -> None:
        raise UnreachableError("describe i-0123456789abcdef0: AWS could not be reached")

    with monkeypatch.context() as patch:
        patch.setattr("tests.unit.containment.account.ReaderInMemory.network", out)
        with pytest.raises(TaskDeferred):
            resume(step)
    assert resume(step)["outcome"] == "DONE"


def test_when_tries_end() -> None:
    due = 1_000_000.0
    closed = ContainmentResult(
        outcome=Outcome.PARTIAL,
        state=ContainmentState.NEW_FLOWS_BLOCKED,
        contained_at=datetime.fromtimestamp(due - 3000, UTC),
    )
    assert last_try(None, due=due) == due + OPEN_SECONDS
    assert last_try(closed.model_copy(update={"state": ContainmentState.FAILED}), due=due) == due + OPEN_SECONDS
    assert last_try(closed, due=due) == due - 3000 + CLOSED_SECONDS


def test_contain_first_changes_the_network_before_iam_is_asked(airflow_side: World) -> None:
    airflow_side.decide(order=Order.CONTAIN_FIRST)
    airflow_side.account.change(endpoints=ENDPOINTS)
    deferred(plan_step())
    order = airflow_side.account.order
    assert order.index("modify_network_interface_attribute") < order.index("iam")


def test_planning_without_kms_goes_on_and_the_missing_seal_is_a_gap(airflow_side: World, monkeypatch: Any) -> None:
    def out(phase: str) -> dict[str, str]:
        raise UnreachableError("sign the ledger head: AWS could not be reached")

    monkeypatch.setattr(airflow_side.recorder, "sign_ledger", out)
    deferred(plan_step())
    assert list(airflow_side.recorder.store.failures()) == ["containment.restore_point"]


def test_contain_first_moves_the_target_before_the_acquisition_ends(airflow_side: World) -> None:
    airflow_side.decide(order=Order.CONTAIN_FIRST)
    airflow_side.account.change(endpoints=ENDPOINTS)
    deferred(plan_step())
    ((access,),) = {i.group_ids for i in airflow_side.account.target.interfaces}
    assert "-access-" in airflow_side.account.group(access).name
    assert any("only the VPC endpoints" in note for note in airflow_side.recorder.notes)


def test_contain_first_without_endpoints_says_so(airflow_side: World) -> None:
    airflow_side.decide(order=Order.CONTAIN_FIRST)
    deferred(plan_step())
    assert airflow_side.recorder.subjects == [said("The target could not be contained first")]
    assert airflow_side.account.calls == []
