"""What the read-back after isolation proves."""

from __future__ import annotations

import re

import pytest

from forensics.domain.containment import RESIDUAL_CREDENTIALS, assess, group_name, residuals
from forensics.models.containment import ContainmentState
from tests.unit.domain.builders import CASE_ID, interface

GROUP = "sg-quarantine"


@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_interface_in_the_empty_group_is_contained(count: int) -> None:
    interfaces = [interface(n, group_ids=(GROUP,)) for n in range(count)]
    assert assess(interfaces, group_id=GROUP, rules=0) == (ContainmentState.NEW_FLOWS_BLOCKED, [])


@pytest.mark.parametrize("groups", [("sg-app",), (GROUP, "sg-app"), ("sg-app", GROUP), ()])
def test_one_interface_with_another_group_is_not(groups: tuple[str, ...]) -> None:
    state, problems = assess(
        [interface(0, group_ids=(GROUP,)), interface(1, group_ids=groups)], group_id=GROUP, rules=0
    )
    assert state is ContainmentState.FAILED
    assert len(problems) == 1 and "eni-1" in problems[0]
    assert "eni-0" not in problems[0]


def test_nothing_to_read_back_proves_nothing() -> None:
    state, problems = assess([], group_id=GROUP, rules=0)
    assert state is ContainmentState.FAILED and "no network interfaces" in problems[0]


@pytest.mark.parametrize("rules", [1, 2])
def test_a_group_with_rules_contains_nothing(rules: int) -> None:
    state, problems = assess([interface(group_ids=(GROUP,))], group_id=GROUP, rules=rules)
    assert state is ContainmentState.FAILED and f"has {rules} rules" in problems[0]


def test_what_stays_open_is_always_said() -> None:
    assert len(residuals(has_profile=False)) == 2
    assert residuals(has_profile=True)[-1] == RESIDUAL_CREDENTIALS


def test_group_names_differ_by_attempt_and_suit_ec2() -> None:
    names = [group_name(CASE_ID, attempt) for attempt in range(5)]
    assert len(set(names)) == 5
    assert all(re.fullmatch(r"[\w .:/()#,@\[\]+=&;{}!$*-]{1,255}", n) and not n.startswith("sg-") for n in names)
