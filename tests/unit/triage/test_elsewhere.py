"""Triage names another deployment whose tags are on the target's groups; the decision stays what it was."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.models.target import NetworkInterface
from forensics.triage.decision import decide
from forensics.triage.elsewhere import contained_elsewhere
from forensics.triage.policy import packaged
from tests.unit.builders import NOW, finding, target

THEIRS = "fc-20261130-0123456789"


def at(*groups: str) -> NetworkInterface:
    return NetworkInterface(id="eni-1", device_index=0, vpc_id="vpc-1", subnet_id="subnet-1", group_ids=groups)


def held(**changes: Any) -> Any:
    return target(
        **{"interfaces": (at("sg-b"),), "group_tags": {"sg-b": {"blue:case": THEIRS, "Name": "x"}}, **changes}
    )


def test_the_other_deployment_and_its_case_are_named_and_nothing_else_changes() -> None:
    said = contained_elsewhere(held())
    assert f"deployment blue (its case {THEIRS})" in said and "not contained a second time" in said
    decided = [decide([finding()], target=t, loaded=packaged(), now=NOW) for t in (held(), held(group_tags={}))]
    assert said in decided[0].warnings and said not in decided[1].warnings
    # a tag keeps nothing from being isolated: whether it is closed the containment sees
    assert decided[0].isolate == decided[1].isolate


@pytest.mark.parametrize(
    "changes",
    [
        {"interfaces": ()},
        {"interfaces": (at("sg-b", "sg-app"),)},
        {"interfaces": (at("sg-b"), at("sg-app"))},
        {"group_tags": {"sg-b": {"forensics:case": THEIRS}}},
        {"group_tags": {"sg-b": {"blue:case": "something"}}},
        {"group_tags": {"sg-b": {"aws:case": THEIRS}}},
    ],
)
def test_anything_less_names_nobody(changes: dict[str, Any]) -> None:
    assert contained_elsewhere(held(**changes)) == ""
