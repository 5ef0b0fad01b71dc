"""What the read-back after isolation proves, and what stays open."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.containment.containment_state import RESIDUAL_DNS, RESIDUAL_TRACKED, assess, hardening_options, residuals
from forensics.containment.manual_steps import LABEL, manual_steps
from forensics.containment.plan import ContainmentPolicy, make_plan
from forensics.containment.plan_text import plan_lines
from forensics.models.containment import ContainmentState
from forensics.models.target_facts import AddressFacts, InstanceFacts, InterfaceFacts, ProfileFacts
from tests.unit.builders import ACCOUNT, CASE_ID, INSTANCE, NOW, REGION

GROUP = "sg-quarantine"


def eni(number: int = 0, **changes: Any) -> InterfaceFacts:
    """An interface with one ordinary group."""
    values: dict[str, Any] = {
        "id": f"eni-{number}", "device_index": number, "vpc_id": "vpc-1", "subnet_id": "subnet-1",
        "group_ids": ("sg-app",), "attachment_id": f"eni-attach-{number}",
    }  # fmt: skip
    return InterfaceFacts(**{**values, **changes})


def facts(**changes: Any) -> InstanceFacts:
    """A running instance with one interface."""
    values: dict[str, Any] = {
        "account_id": ACCOUNT, "region": REGION, "instance_id": INSTANCE, "state": "running",
        "interfaces": (eni(),), "termination_protected": False, "stop_protected": False,
        "shutdown_behavior": "terminate", "read_at": NOW,
    }  # fmt: skip
    return InstanceFacts(**{**values, **changes})


def verdict(*interfaces: InterfaceFacts, rules: int = 0, state: str = "running") -> tuple[ContainmentState, list[str]]:
    """What is said of these interfaces when the VPC's group is GROUP."""
    return assess(facts(interfaces=interfaces, state=state), groups={"vpc-1": GROUP}, rules={GROUP: rules})


@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_interface_in_the_empty_group_is_contained(count: int) -> None:
    found = verdict(*[eni(n, group_ids=(GROUP,)) for n in range(count)])
    assert found == (ContainmentState.NEW_FLOWS_BLOCKED, [])


@pytest.mark.parametrize("groups", [("sg-app",), (GROUP, "sg-app"), ("sg-app", GROUP), ()])
def test_one_interface_with_another_group_is_not(groups: tuple[str, ...]) -> None:
    state, problems = verdict(eni(0, group_ids=(GROUP,)), eni(1, group_ids=groups))
    assert state is ContainmentState.FAILED
    assert len(problems) == 1 and "eni-1" in problems[0]


def test_an_interface_in_another_vpc_needs_that_vpcs_group() -> None:
    state, problems = verdict(eni(0, group_ids=(GROUP,)), eni(1, group_ids=(GROUP,), vpc_id="vpc-2"))
    assert state is ContainmentState.FAILED and "eni-1" in problems[0]


def test_nothing_to_read_back_proves_nothing() -> None:
    state, problems = verdict()
    assert state is ContainmentState.FAILED and "no network interfaces" in problems[0]


@pytest.mark.parametrize("rules", [1, 2])
def test_a_group_with_rules_contains_nothing(rules: int) -> None:
    state, problems = verdict(eni(group_ids=(GROUP,)), rules=rules)
    assert state is ContainmentState.FAILED and f"has {rules} rules" in problems[0]


def test_an_elastic_ip_that_is_left_is_a_problem() -> None:
    address = AddressFacts(
        allocation_id="eipalloc-1", association_id="a", public_ip="198.51.100.7", private_ip="10.0.0.4"
    )
    _, problems = verdict(eni(group_ids=(GROUP,), addresses=(address,)))
    assert problems == ["Elastic IP 198.51.100.7 is still associated"]


def test_security_groups_alone_never_verify_that_all_flows_are_gone() -> None:
    closed = eni(group_ids=(GROUP,))
    for state in ("pending", "running", "stopping"):
        assert verdict(closed, state=state)[0] is ContainmentState.NEW_FLOWS_BLOCKED
    assert verdict(closed, state="stopped")[0] is ContainmentState.ALL_FLOWS_VERIFIED


def test_what_stays_open_is_said() -> None:
    assert residuals(facts()) == (RESIDUAL_TRACKED, RESIDUAL_DNS)
    assert residuals(facts(state="stopped")) == ()
    known = ProfileFacts(association_id="a", name="app", arn="arn", role="app")
    assert "minutes" in residuals(facts(profile=known))[-1]
    assert "could not be read" in residuals(facts(profile=known.model_copy(update={"role": None})))[-1]
    special = residuals(
        facts(spot=True, instance_store=True, eks_cluster="shop", interfaces=(eni(public_ip="198.51.100.1"),))
    )
    assert [any(word in r for r in special) for word in ("Spot", "instance-store", "never drain", "198.51.100.1")] == [
        True
    ] * 4


def test_the_last_hardening_option_is_the_only_proof() -> None:
    assert "stop the instance" in hardening_options(facts())[-1]
    assert hardening_options(facts(state="stopped")) == ()


def test_of_an_eks_node_the_cluster_side_is_left_to_a_person_step_by_step() -> None:
    steps = manual_steps(facts(eks_cluster="shop"), case_id=CASE_ID)
    assert [s.id for s in steps] == [
        "eks.node", "eks.cordon", "eks.keep", "eks.label", "eks.network", "eks.credentials"
    ]  # fmt: skip
    commands = "\n".join(s.command or "" for s in steps)
    assert "kubectl cordon $NODE" in commands and "kubectl drain" not in commands
    assert INSTANCE in commands and "--name shop" in commands and f"{LABEL}={CASE_ID}" in commands
    assert "do-not-disrupt" in commands and "list-pod-identity-associations" in commands
    assert manual_steps(facts(), case_id=CASE_ID) == ()


def test_the_plan_of_an_eks_node_shows_what_is_left_to_a_person() -> None:
    node = facts(eks_cluster="shop")
    plan = make_plan(node, original=node, case_id=CASE_ID, token="0" * 12, policy=ContainmentPolicy(), now=NOW)
    assert [s.id for s in plan.manual_steps] == [s.id for s in manual_steps(node, case_id=CASE_ID)]
    text = "\n".join(plan_lines(plan))
    assert "Left to a person" in text and "never drain it" in text
