"""Roles and code cannot drift: permissions.yaml is what the templates allow and what the gateways call, both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.deployment import templates
from tests.templates import gateway_calls

ROLES: dict[str, dict[str, Any]] = yaml.safe_load(
    (Path(__file__).resolve().parents[2] / "infra" / "permissions.yaml").read_text("utf-8")
)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def allowed(role: str) -> set[str]:
    """Every action that a role's policies in its template allow."""
    entry = ROLES[role]
    policies = templates.committed()[entry["template"]]["Resources"][entry["resource"]]["Properties"]["Policies"]
    chosen = [p for p in policies if entry.get("policy") in (None, p["PolicyName"])]
    assert chosen, f"{role}: policy {entry.get('policy')} is not in the template"
    return {
        action
        for policy in chosen
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
        for action in listed(statement["Action"])
    }


@pytest.mark.parametrize("role", sorted(ROLES))
def test_template_allows_what_the_list_says_and_no_more(role: str) -> None:
    entry = ROLES[role]
    assert allowed(role) == set(entry["calls"]) | set(entry.get("implied", {}))


def test_every_call_of_the_code_is_allowed_somewhere() -> None:
    granted = {action for entry in ROLES.values() for action in entry["calls"]}
    missing = {a: place for a, place in gateway_calls.calls().items() if a not in granted}
    assert not missing, (
        f"no role may call {missing}: add it to the role that needs it, in template and permissions.yaml"
    )


def test_every_allowed_call_is_in_the_code() -> None:
    made = set(gateway_calls.calls())
    unused = {f"{role}: {action}" for role, entry in ROLES.items() for action in entry["calls"] if action not in made}
    assert not unused, f"no gateway makes these calls any more: {sorted(unused)}"


def test_the_walk_knows_every_client() -> None:
    assert not gateway_calls.unknown_clients()


def test_the_walk_finds_calls_of_every_kind() -> None:
    found = gateway_calls.calls()
    # a direct call, a paginator, a presigned URL, and one under another name
    assert {"ec2:RunInstances", "ec2:DescribeVolumes", "s3:GetObject", "s3:ListMultipartUploadParts"} <= set(found)
