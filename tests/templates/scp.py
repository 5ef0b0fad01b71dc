"""The shipped service control policies as AWS Organizations gets them, and what they say about one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.deployment import templates
from lab.emulator.iam.policy import Request, decide

MEMBER = "333344445555"
DEFAULTS = {
    name: str(given.get("Default", ""))
    for name, given in templates.committed()["organization-policies"]["Parameters"].items()
}


def rendered(**parameters: str) -> dict[str, dict[str, Any]]:
    """The policies by name, with every parameter filled in."""
    values = {**DEFAULTS, **parameters}

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            if set(value) == {"Fn::Sub"}:
                return fill(value["Fn::Sub"])
            return {key: fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [fill(item) for item in value]
        if isinstance(value, str):
            for name, text in values.items():
                value = value.replace(f"${{{name}}}", text)
        return value

    found = {}
    for resource in templates.committed()["organization-policies"]["Resources"].values():
        properties = resource["Properties"]
        found[properties["Name"]] = fill(properties["Content"])
    return found


def denied(
    policies: Mapping[str, Mapping[str, Any]],
    *,
    principal: str,
    action: str,
    resource: str,
    context: Mapping[str, Any] | None = None,
) -> str:
    """``policy.Sid`` of the statement that denies the call; empty when none does.

    Held is everybody of member accounts but service-linked roles (AWS Organizations user guide, *Tasks and entities not
    restricted by SCPs*).
    """
    if ":role/aws-service-role/" in principal:
        return ""
    known = {"aws:PrincipalArn": principal, "aws:PrincipalAccount": principal.split(":")[4], **(context or {})}
    decision = decide(policies, Request(action, resource, known))
    return decision.by.removeprefix("explicit deny by ") if decision.by.startswith("explicit deny") else ""
