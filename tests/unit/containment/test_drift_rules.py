"""Whether a contained target is still as containment left it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from forensics.containment.drift_rules import DriftItem, drift_items, open_from_the_beginning
from forensics.models.containment import ApiCall, ContainmentResult, ContainmentState, ContainmentStep, PlanStep, Stage
from forensics.models.evidence import Outcome
from forensics.models.target_facts import AddressFacts, InstanceFacts, InterfaceFacts, ProfileFacts

ENI, VPC, QUARANTINE, DENY = "eni-1", "vpc-1", "sg-q", "forensics-isolated"
RESULT = ContainmentResult(outcome=Outcome.DONE, state=ContainmentState.NEW_FLOWS_BLOCKED, groups={VPC: QUARANTINE})
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def interface(**changes: Any) -> InterfaceFacts:
    given = {"id": ENI, "device_index": 0, "vpc_id": VPC, "group_ids": (QUARANTINE,), **changes}
    return InterfaceFacts.model_validate(given)


def facts(*interfaces: InterfaceFacts, **changes: Any) -> InstanceFacts:
    return InstanceFacts.model_validate(
        {
            "account_id": "333344445555",
            "region": "eu-central-1",
            "instance_id": "i-0123456789abcdef0",
            "state": "running",
            "interfaces": interfaces or (interface(),),
            "read_at": NOW,
            **changes,
        }
    )


BEFORE = facts(interface(group_ids=("sg-app",)))


def step(name: str, stage: Stage, target: str = "web") -> PlanStep:
    call = ApiCall(service="iam", operation="put_role_policy", params={})
    return PlanStep(id=name, stage=stage, target=target, call=call, reason="why")


def found(now: InstanceFacts | None, *left: PlanStep, was_stopped: bool = False, **rules: int) -> dict[str, str]:
    items = drift_items(
        now,
        result=RESULT,
        original=BEFORE,
        rules={name.replace("_", "-"): number for name, number in rules.items()},
        left=left,
        deny_profile=DENY,
        was_stopped=was_stopped,
    )
    return {item.key: item.what for item in items}


def test_a_target_as_it_was_has_no_drift() -> None:
    assert found(facts(profile=ProfileFacts(association_id="a", name=DENY, arn="arn")), sg_q=0) == {}


@pytest.mark.parametrize(
    ("now", "keys"),
    [
        (facts(interface(group_ids=(QUARANTINE, "sg-app"))), {"groups:eni-1"}),
        (facts(interface(group_ids=())), {"groups:eni-1"}),
        (facts(interface(), interface(id="eni-2", group_ids=(QUARANTINE,))), set()),
        (facts(interface(), interface(id="eni-2", vpc_id="vpc-2", group_ids=(QUARANTINE,))), {"groups:eni-2"}),
        (facts(interface(public_ip="198.51.100.7")), {"public:eni-1"}),
        (
            facts(
                interface(
                    addresses=[AddressFacts(allocation_id="e", association_id="a", public_ip="1.2.3.4", private_ip="x")]
                )
            ),
            {"address:1.2.3.4"},
        ),
        (facts(profile=ProfileFacts(association_id="a", name="admin", arn="arn")), {"credentials.profile"}),
        (facts(state="terminated"), {"gone"}),
        (None, {"gone"}),
    ],
)
def test_each_way_back_is_named(now: InstanceFacts | None, keys: set[str]) -> None:
    assert set(found(now)) == keys


def test_an_interface_that_containment_did_not_know_is_called_new() -> None:
    new = found(facts(interface(), interface(id="eni-2", group_ids=("sg-app",))))
    assert new == {"groups:eni-2": "interface eni-2 is new and has sg-app"}


def test_a_group_with_rules_is_named_with_their_number() -> None:
    assert found(facts(), sg_q=2) == {"rules:sg-q": "quarantine group sg-q has 2 rules; it must have none"}


def test_only_a_target_that_was_stopped_can_be_started_again() -> None:
    assert set(found(facts(), was_stopped=True)) == {"started"}
    assert found(facts(state="stopped"), was_stopped=True) == {} == found(facts())


def test_what_a_plan_would_still_do_is_a_drift_but_for_its_groups_and_what_iam_does_not_say() -> None:
    left = (
        step("credentials.deny", Stage.CREDENTIALS),
        step("credentials.metadata", Stage.CREDENTIALS),
        step("protect.DisableApiStop", Stage.PROTECT),
        step("isolate.cleanup.vpc-1", Stage.CLEANUP),
    )
    assert set(found(facts(), *left)) == {"credentials.deny", "credentials.metadata", "protect.DisableApiStop"}
    blind = facts(iam_unknown=("IAM does not answer",))
    assert set(found(blind, *left)) == {"credentials.metadata", "protect.DisableApiStop"}


def test_what_an_incomplete_containment_left_open_is_excused_and_nothing_of_the_network() -> None:
    first = [
        DriftItem(key=k, what=k) for k in ("credentials.deny", "protect.DisableApiStop", "groups:eni-1", "rules:sg-q")
    ]
    failed = ContainmentStep(name="protect.DisableApiStop", target="i", done=False, detail="refused")
    partial = RESULT.model_copy(update={"outcome": Outcome.PARTIAL, "steps": (failed,)})
    assert open_from_the_beginning(RESULT, first) == ()
    assert open_from_the_beginning(partial, first) == ("protect.DisableApiStop",)
    credentials = RESULT.model_copy(update={"credentials_open": ("role web",)})
    assert open_from_the_beginning(credentials, first) == ("credentials.deny",)
