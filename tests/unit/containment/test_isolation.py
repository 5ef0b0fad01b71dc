"""Isolation of a case's target, try by try."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from forensics import case_keys
from forensics.case.containment_advice import next_action
from forensics.containment import isolation
from forensics.containment.isolation import TargetIsolation, record_failure, record_not_isolated
from forensics.containment.planner import recorded_plan
from forensics.containment.restore_points import RestorePoints
from forensics.errors import ContainmentError, ResourceGoneError, UnreachableError
from forensics.models.approval import Approval
from forensics.models.containment import ApiCall, ContainmentResult, ContainmentState
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Outcome
from forensics.models.plan import Action, Measure, Order
from forensics.models.target_facts import EndpointFacts, InstanceFacts, ProfileFacts
from tests.unit.builders import CASE_ID, decision, said
from tests.unit.containment.account import EVERYWHERE, Account, ReaderInMemory
from tests.unit.containment.case_world import World
from tests.unit.containment.targets import eni, everything, granted

TAKEN, SEALED = CustodyAction.RESTORE_POINT_TAKEN, CustodyAction.RESTORE_POINT_SEALED
# the target as EC2 knows it, then what IAM says of it; both are sealed when the network has been closed
TAKEN_AND_CONTAINED = [TAKEN, TAKEN, SEALED, SEALED, CustodyAction.TARGET_CONTAINED]
IAM_OUT = "read instance profile app in account 333344445555: AWS could not be reached: https://iam.amazonaws.com did not answer"


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
    assert world.recorder.ledger.actions() == TAKEN_AND_CONTAINED
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
    assert first.reason is not None and first.reason.startswith("network closed; credentials of role app that the")
    assert first.credentials_open and "refused by the test" in first.credentials_open[0]
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
    world.recorder.put(case_keys.APPROVAL, granted(plan.digest, granted=False, reason="refused by bob"))
    assert isolation_of(world).isolate().outcome is Outcome.SKIPPED
    assert world.account.calls == []
    world.recorder.put(case_keys.APPROVAL, granted(plan.digest))
    assert isolation_of(world).isolate().outcome is Outcome.DONE


def test_an_approval_is_used_up_by_the_isolation_and_an_isolated_target_looked_at_again(world: World) -> None:
    require_approval(world)
    plan, _ = isolation_of(world)._planner.prepare()
    world.recorder.put(case_keys.APPROVAL, granted(plan.digest))
    assert isolation_of(world).isolate().outcome is Outcome.DONE
    used = world.recorder.get(case_keys.APPROVAL, Approval)
    assert used is not None and used.used_at and used.spent_at
    assert isolation_of(world).isolate().outcome is Outcome.DONE, "nothing is left to change"
    world.account.change(interfaces=(eni(0), eni(1)))
    world.account.calls.clear()
    again = isolation_of(world).isolate()
    assert again.reason is not None and "the approval was used at" in again.reason
    assert world.account.calls == []


def test_an_isolation_that_is_not_complete_goes_on_under_its_approval(world: World) -> None:
    require_approval(world)
    plan, _ = isolation_of(world)._planner.prepare()
    world.recorder.put(case_keys.APPROVAL, granted(plan.digest))
    world.account.refused = {"disassociate_address"}
    assert isolation_of(world).isolate().outcome is Outcome.PARTIAL
    world.account.refused.clear()
    assert isolation_of(world).isolate().outcome is Outcome.DONE


def test_an_approval_that_another_task_took_meanwhile_is_not_used(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_approval(world)
    plan, _ = isolation_of(world)._planner.prepare()
    world.recorder.put(case_keys.APPROVAL, granted(plan.digest))
    real = world.recorder.swap

    def first_another(key: str, value: Any) -> bool:
        monkeypatch.setattr(world.recorder, "swap", real)
        assert real(key, value.model_copy(update={"void": "the target was released", "used_at": None}))
        return real(key, value)

    monkeypatch.setattr(world.recorder, "swap", first_another)
    result = isolation_of(world).isolate()
    assert result.outcome is Outcome.PENDING and world.account.calls == []
    assert result.reason is not None and "the target was released" in result.reason


def test_an_isolation_ends_the_approval_of_a_release(world: World) -> None:
    world.recorder.put(case_keys.RELEASE_APPROVAL, granted("d" * 64))
    isolation_of(world).isolate()
    found = world.recorder.get(case_keys.RELEASE_APPROVAL, Approval)
    assert found is not None and found.void == "the target was contained again"


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
    assert world.recorder.subjects == [said(f"The target is {end}: it ended before isolation")]


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
    store.release_lease(CASE_ID, isolation.LEASE, holder="ISOLATING#another")
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


def test_contain_first_also_holds_for_a_target_that_starts(world: World) -> None:
    world.decide(order=Order.CONTAIN_FIRST)
    world.account.change(endpoints=ENDPOINTS, state="pending")
    before = {i.group_ids for i in world.account.target.interfaces}
    assert isolation_of(world).restrict_to_endpoints() == []
    assert not before & {i.group_ids for i in world.account.target.interfaces}


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


# ---------------------------------------------------------------------- network first (requirement R125)
CLOSE = "modify_network_interface_attribute"


def closed_at(world: World) -> int:
    """Where in the order of questions and changes the last interface went into its group."""
    return max(n for n, what in enumerate(world.account.order) if what == CLOSE)


def test_the_network_is_closed_before_iam_is_asked(world: World) -> None:
    """IAM is a global service with one home Region (IAM user guide, "Create a VPC endpoint for IAM"): it may be out of reach."""
    assert isolation_of(world).isolate().outcome is Outcome.DONE
    assert closed_at(world) < world.account.order.index("iam")


def test_without_iam_the_network_is_closed_the_profile_taken_off_and_the_role_named(world: World) -> None:
    world.account.iam_down = IAM_OUT
    result = isolation_of(world).isolate()
    assert (result.outcome, result.state) == (Outcome.PARTIAL, ContainmentState.NEW_FLOWS_BLOCKED)
    assert "disassociate_iam_instance_profile" in world.account.operations and world.account.target.profile is None
    assert "put_role_policy" not in world.account.operations
    (line,) = result.credentials_open
    assert line.startswith("credentials of the role of app that the instance was issued are still valid")
    assert line.endswith(IAM_OUT)
    assert result.reason is not None and result.reason.startswith("network closed; credentials of")
    assert result.contained_at is not None


def test_when_iam_answers_again_only_the_denial_is_left(world: World) -> None:
    world.account.iam_down = IAM_OUT
    isolation_of(world).isolate()
    world.account.iam_down = None
    world.account.calls.clear()
    again = isolation_of(world).isolate()
    assert world.account.operations == ["put_role_policy"]
    assert world.account.calls[0].params["RoleName"] == "app"
    assert again.outcome is Outcome.DONE and again.credentials_open == ()
    point = RestorePoints(world.recorder).verified()
    assert point.profile is not None and point.profile.role == "app", "a release knows the role"


def test_credentials_first_ends_them_beside_the_network_and_keeps_it_open_for_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question to IAM is not answered before the network has been closed: neither may wait for the other."""
    world.decide(containment=(Measure.CREDENTIALS_FIRST,))
    closed = threading.Event()
    real, ask = Account.carry_out, ReaderInMemory.with_identity

    def carry_out(self: Account, call: ApiCall, params: Any) -> str | None:
        made = real(self, call, params)
        if call.operation == "delete_security_group":
            closed.set()
        return made

    def answer_late(self: ReaderInMemory, *given: Any, **named: Any) -> InstanceFacts:
        assert closed.wait(30), "the network waited for IAM"
        return ask(self, *given, **named)

    monkeypatch.setattr(Account, "carry_out", carry_out)
    monkeypatch.setattr(ReaderInMemory, "with_identity", answer_late)
    result = isolation_of(world).isolate()
    assert result.outcome is Outcome.DONE
    assert result.steps[0].name.startswith("credentials."), "credentials are first in the record"


def test_an_approved_plan_is_carried_out_when_iam_has_gone_or_come_back(world: World) -> None:
    """What IAM says changes no step that a person approved: yesterday the whole isolation was refused."""
    require_approval(world)
    planner = isolation_of(world)._planner
    world.account.iam_down = IAM_OUT
    plan = planner.complete(*planner.prepare())
    world.recorder.put(case_keys.APPROVAL, granted(plan.digest))
    world.account.iam_down = None
    assert isolation_of(world).isolate().outcome is Outcome.DONE
    assert "disassociate_iam_instance_profile" in world.account.operations, "as the plan says"


def test_a_revocation_that_concerns_others_waits_for_a_person_and_nothing_else_does(world: World) -> None:
    shared = ProfileFacts(association_id="iip-1", name="app", arn="arn", role="app", shared_with=("i-2",))
    world.account = Account(everything(profile=shared))
    world.settings = world.settings.model_copy(update={"revoke_role_sessions": True})
    result = isolation_of(world).isolate()
    names = [json_name(call) for call in world.account.calls if call.operation == "put_role_policy"]
    assert names == [f"forensics-deny-{CASE_ID}"]
    assert (result.outcome, result.network_closed) == (Outcome.PARTIAL, True)
    assert "sessions of role app that others hold are still valid" in result.credentials_open[0]
    assert "clear containment.plan_containment, which asks" in result.credentials_open[0]


def json_name(call: ApiCall) -> str:
    """Name of the policy that a call writes."""
    return str(call.params["PolicyName"])


def test_a_signature_that_kms_does_not_give_leaves_no_target_open(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A KMS outage: the seal follows when KMS is back, and until then the result says what is missing."""

    def out(phase: str) -> dict[str, str]:
        raise UnreachableError("sign the ledger head: AWS could not be reached")

    with monkeypatch.context() as patch:
        patch.setattr(world.recorder, "sign_ledger", out)
        result = isolation_of(world).isolate()
    assert result.network_closed and result.credentials_open == ()
    assert (result.outcome, recorded(world)) == (Outcome.PARTIAL, result)
    assert result.unsealed is not None and "sign the ledger head" in result.unsealed == result.reason
    assert next_action(result).startswith("leave the target as it is, it is isolated; when KMS")
    assert world.recorder.store.failures(), "a gap until then"
    again = isolation_of(world).isolate()
    assert (again.outcome, again.unsealed) == (Outcome.DONE, None)
    assert world.recorder.store.failures() == {} and world.recorder.ledger.signed == ["restore-point"]


def test_what_was_closed_stays_closed_on_record_when_the_rest_is_withheld(world: World) -> None:
    world.account.refused = {"put_role_policy"}
    isolation_of(world).isolate()
    require_approval(world)
    result = isolation_of(world).isolate()
    assert (result.outcome, result.state) == (Outcome.PARTIAL, ContainmentState.NEW_FLOWS_BLOCKED)
    assert result.reason is not None and result.reason.startswith("network closed; what is left is withheld")


def test_a_withheld_plan_is_not_replaced(world: World) -> None:
    """A group that somebody opened asks for a new token, which is recorded only when the plan may be carried out."""
    first = isolation_of(world).isolate()
    plan = recorded_plan(world.recorder)
    assert first.group_id is not None
    world.account.change_group(first.group_id, ingress=EVERYWHERE)
    require_approval(world)
    isolation_of(world).isolate()
    assert recorded_plan(world.recorder) == plan
    assert not any("ALERT" in subject for subject in world.recorder.subjects)
