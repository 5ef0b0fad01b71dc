"""What the read-back after isolation proves."""

from __future__ import annotations

import pytest

from forensics.containment.containment_state import assess, has_ended, unreadable
from forensics.models.containment import ContainmentState
from forensics.models.target_facts import AddressFacts, InterfaceFacts
from tests.unit.containment.targets import eni, facts

GROUP = "sg-quarantine"


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


@pytest.mark.parametrize(
    ("state", "ended"), [("terminated", True), ("shutting-down", True), ("stopped", False), ("running", False)]
)
def test_a_stopped_instance_has_not_ended(state: str, ended: bool) -> None:
    assert has_ended(facts(state=state)) is ended


def test_what_could_not_be_read_may_be_open() -> None:
    assert unreadable(facts(unknown=("IAM said no",))) == ["not known: IAM said no"]
    assert unreadable(facts()) == []
