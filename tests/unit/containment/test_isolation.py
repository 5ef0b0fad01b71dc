"""Isolation of a case's target, try by try."""

from __future__ import annotations

import pytest

from forensics import case_keys
from forensics.containment import isolation
from forensics.containment.isolation import TargetIsolation, record_failure, record_not_isolated
from forensics.containment.planner import recorded_plan
from forensics.errors import ContainmentError, ResourceGoneError
from forensics.models.containment import Approval, ContainmentResult, ContainmentState
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Outcome
from forensics.models.plan import Action, Order
from forensics.models.target_facts import EndpointFacts
from tests.unit.builders import CASE_ID, NOW, decision
from tests.unit.containment.account import EVERYWHERE
from tests.unit.containment.case_world import World


def isolation_of(world: World) -> TargetIsolation:
    """The isolation of a task."""
    return TargetIsolation(world.recorder, world.gateway, world.settings, response=world.response)


def recorded(world: World) -> ContainmentResult | None:
    """The result on record."""
    return world.recorder.get(case_keys.CONTAINMENT, ContainmentResult)


def require_approval(world: World) -> None:
    """Make the response plan ask a person."""
    approval = world.response.approval.model_copy(update={"required": True, "reasons": ("production",)})
    world.decide(approval=approval)


def test_a_target_is_isolated_recorded_and_logged(world: World) -> None:
    result = isolation_of(world).isolate()
    assert (result.outcome, result.state) == (Outcome.DONE, ContainmentState.NEW_FLOWS_BLOCKED)
    assert recorded(world) == result
    assert world.recorder.ledger.actions() == [CustodyAction.RESTORE_POINT_TAKEN, CustodyAction.TARGET_CONTAINED]
    assert world.recorder.ledger.last(CustodyAction.TARGET_CONTAINED).detail["state"] == "NEW_FLOWS_BLOCKED"
    assert world.recorder.store.leases == {}, "the lease is given back"


def test_isolating_again_changes_nothing_and_keeps_the_steps(world: World) -> None:
    first = isolation_of(world).isolate()
    world.account.calls.clear()
    again = isolation_of(world).isolate()
    assert world.account.calls == []
    assert again.steps == first.steps and again.outcome is Outcome.DONE


def test_a_retry_does_what_the_failed_try_left(world: World) -> None:
    world.account.refused = {"put_role_policy"}
    first = isolation_of(world).isolate()
    assert (first.outcome, first.state) == (Outcome.PARTIAL, ContainmentState.NEW_FLOWS_BLOCKED)
    assert first.reason is not None and first.reason.startswith("credentials.deny is open")
    world.account.refused.clear()
    world.account.calls.clear()
    again = isolation_of(world).isolate()
    assert world.account.operations == ["put_role_policy"]
    assert again.outcome is Outcome.DONE and len(again.steps) == len(first.steps)


def test_without_the_approval_that_policy_wants_nothing_is_changed(world: World) -> None:
    require_approval(world)
    result = isolation_of(world).isolate()
    assert (result.outcome, result.state) == (Outcome.PENDING, ContainmentState.NOT_CONTAINED)
    plan = recorded_plan(world.recorder)
    assert plan is not None
    refused = Approval(digest=plan.digest, granted=False, by="bob", at=NOW, reason="refused by bob")
    world.recorder.put(case_keys.APPROVAL, refused)
    assert isolation_of(world).isolate().outcome is Outcome.SKIPPED
    assert world.account.calls == []
    world.recorder.put(case_keys.APPROVAL, refused.model_copy(update={"granted": True}))
    assert isolation_of(world).isolate().outcome is Outcome.DONE


def test_a_group_that_somebody_opened_is_replaced_and_announced(world: World) -> None:
    first = isolation_of(world).isolate()
    assert first.group_id is not None
    world.account.change_group(first.group_id, ingress=EVERYWHERE)
    again = isolation_of(world).isolate()
    assert again.outcome is Outcome.DONE and again.group_id not in (None, first.group_id)
    assert {i.group_ids for i in world.account.target.interfaces} == {(again.group_id,)}
    assert any("ALERT: the quarantine group" in subject for subject in world.recorder.subjects)


@pytest.mark.parametrize("end", ["terminated", "gone"])
def test_a_target_that_ended_is_not_isolated_and_people_hear_of_it(world: World, end: str) -> None:
    isolation_of(world)._planner.prepare()
    if end == "gone":
        world.account.gone = True
    else:
        world.account.change(state=end)
    result = isolation_of(world).isolate()
    assert (result.outcome, result.state) == (Outcome.NOT_APPLICABLE, ContainmentState.NOT_CONTAINED)
    assert result.reason == f"the instance is {end}: it ended before it could be isolated"
    assert recorded(world) == result
    assert world.recorder.subjects == [f"[{CASE_ID}] The target is {end}: it ended before isolation"]


def test_a_target_that_ends_during_the_change_has_no_containment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(*_: object, **__: object) -> None:
        world.account.gone = True
        raise ResourceGoneError("terminated")

    monkeypatch.setattr("forensics.containment.read_back.ReadBack.result", ended)
    assert isolation_of(world).isolate().outcome is Outcome.NOT_APPLICABLE
    assert world.recorder.store.leases == {}


def test_two_tasks_do_not_isolate_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "LEASE_SECONDS", -1)
    store = world.recorder.store
    assert store.lease(CASE_ID, isolation.LEASE, holder="ISOLATING#another", seconds=60)
    with pytest.raises(ContainmentError, match="another task of case"):
        isolation_of(world).isolate()
    assert world.account.calls == []
    store.release_lease(CASE_ID, isolation.LEASE)
    assert isolation_of(world).isolate().outcome is Outcome.DONE


ENDPOINTS = tuple(
    EndpointFacts(id=f"vpce-{s}", service=s, kind="Interface", vpc_id="vpc-1", group_ids=("sg-endpoint",))
    for s in ("ssm", "ssmmessages", "s3")
)


def test_contain_first_leaves_the_endpoints_and_isolation_closes_them(world: World) -> None:
    world.decide(order=Order.CONTAIN_FIRST)
    world.account.change(endpoints=ENDPOINTS)
    assert isolation_of(world).restrict_to_endpoints() == []
    ((access,),) = {i.group_ids for i in world.account.target.interfaces}
    (rule,) = world.account.group(access).egress
    assert (rule["FromPort"], rule["UserIdGroupPairs"]) == (443, [{"GroupId": "sg-endpoint"}])
    result = isolation_of(world).isolate()
    assert result.outcome is Outcome.DONE and result.group_id != access
    world.account.calls.clear()
    assert isolation_of(world).restrict_to_endpoints() == []
    assert world.account.calls == [], "an isolated target is not opened again"


def test_contain_first_without_endpoints_changes_nothing(world: World) -> None:
    world.decide(order=Order.CONTAIN_FIRST)
    (left,) = isolation_of(world).restrict_to_endpoints()
    assert left.startswith("there is no VPC endpoint for s3 in vpc-1, ssm in vpc-1") and "goes first" in left
    assert world.account.calls == []


@pytest.mark.parametrize(
    ("wanted", "outcome"), [(True, Outcome.NOT_APPLICABLE), (False, Outcome.SKIPPED)], ids=["impossible", "unwanted"]
)
def test_why_a_target_is_not_isolated_is_recorded_once(world: World, wanted: bool, outcome: Outcome) -> None:
    why = decision(Action.ISOLATE, wanted=wanted, possible=not wanted)
    assert record_not_isolated(world.recorder, why) == "because"
    result = recorded(world)
    assert result is not None
    assert (result.outcome, result.state, result.reason) == (outcome, ContainmentState.NOT_CONTAINED, "because")


def test_a_final_failure_says_that_the_target_may_be_reachable(world: World) -> None:
    record_failure(world.recorder, "no role")
    result = recorded(world)
    assert result is not None
    assert (result.outcome, result.state, result.reason) == (Outcome.FAILED, ContainmentState.FAILED, "no role")


def test_a_failure_after_some_steps_is_partial_and_one_after_success_changes_nothing(world: World) -> None:
    world.account.refused = {"put_role_policy"}
    isolation_of(world).isolate()
    record_failure(world.recorder, "no more tries")
    result = recorded(world)
    assert result is not None
    assert (result.outcome, result.state) == (Outcome.PARTIAL, ContainmentState.NEW_FLOWS_BLOCKED)
    world.account.refused.clear()
    done = isolation_of(world).isolate()
    record_failure(world.recorder, "later")
    assert recorded(world) == done
