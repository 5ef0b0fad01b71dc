"""IAM: the policy simulator (``SimulatePrincipalPolicy``) for roles; it reads the role's inline policies and no others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.iam.exceptions import NoSuchEntity
from moto.iam.models import iam_backends
from moto.iam.responses import IamResponse

from lab.iam.policy import Request, about, decide, listed
from lab.mends.patching import add


def _policies(role_arn: str) -> dict[str, Mapping[str, Any]]:
    account = role_arn.split(":")[4]
    role = next((r for r in iam_backends[account]["aws"].roles.values() if r.arn == role_arn), None)
    if role is None:
        raise NoSuchEntity(f"{role_arn} cannot be found.")
    return {name: json.loads(text) if isinstance(text, str) else text for name, text in role.policies.items()}


def _missing(policies: Mapping[str, Mapping[str, Any]], request: Request) -> list[str]:
    """Condition keys that a statement about this action and resource asks for and nobody gave."""
    given = {name.lower() for name in request.context}
    statements = [s for document in policies.values() for s in listed(document.get("Statement", []))]
    named = [
        name
        for statement in statements
        if about(statement, request)
        for tests in (statement.get("Condition") or {}).values()
        for name in tests
    ]
    return [name for name in dict.fromkeys(named) if name.lower() not in given]


def simulate_principal_policy(self: Any) -> ActionResult:
    """Judge every action on every resource; source: IAM API reference, SimulatePrincipalPolicy.

    A role without any policy is one of a lab that was seeded by hand, where nothing is enforced: it may do everything.
    """
    everything = {"lab": {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}}
    policies = _policies(self._get_param("PolicySourceArn")) or everything
    entries = self._get_param("ContextEntries", [])
    context = {e["ContextKeyName"]: e["ContextKeyValues"][0] for e in entries}
    results = []
    for action in self._get_param("ActionNames", []):
        for resource in self._get_param("ResourceArns") or ["*"]:
            request = Request(action, resource, context)
            decision = decide(policies, request)
            refused = "explicitDeny" if decision.by.startswith("explicit deny") else "implicitDeny"
            results.append(
                {
                    "EvalActionName": action,
                    "EvalResourceName": resource,
                    "EvalDecision": "allowed" if decision.allowed else refused,
                    "MissingContextValues": _missing(policies, request),
                }
            )
    return ActionResult({"EvaluationResults": results, "IsTruncated": False})


def apply() -> None:
    """Install the mend."""
    add(IamResponse, "simulate_principal_policy", simulate_principal_policy)
