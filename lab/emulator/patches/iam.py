"""IAM: the policy simulator (``SimulatePrincipalPolicy``) for roles; it reads the role's inline policies and no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.iam.exceptions import NoSuchEntity
from moto.iam.models import iam_backends
from moto.iam.responses import IamResponse

from lab.emulator.iam.enforcement import policies_of
from lab.emulator.iam.policy import Request, about, decide, listed
from lab.emulator.patches import state
from lab.emulator.patches.patching import add, replace
from lab.emulator.patches.spreading import in_effect_at, policy_changed


def _missing(policies: Mapping[str, Mapping[str, Any]], request: Request) -> list[str]:
    """Condition keys that a statement about this action and resource asks for and the request lacks."""
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
    """Evaluate every action on every resource; source: IAM API reference, SimulatePrincipalPolicy.

    A role without any policy belongs to a lab that was seeded through boto3, where nothing is enforced: it may do everything.
    """
    everything = {"lab": {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}}
    role_arn = self._get_param("PolicySourceArn")
    found = policies_of(role_arn)
    if found is None:
        raise NoSuchEntity(f"{role_arn} cannot be found.")
    policies = found or everything
    entries = self._get_param("ContextEntries", [])
    context = {e["ContextKeyName"]: e["ContextKeyValues"][0] for e in entries}
    results = []
    for action in self._get_param("ActionNames", []):
        for resource in self._get_param("ResourceArns") or ["*"]:
            request = Request(action, resource, context)
            decision = decide(policies, request)
            refused = "explicitDeny" if decision.by.startswith("explicit deny") else "implicitDeny"
            result = {"EvalResourceName": resource}
            answer = "allowed" if decision.allowed else refused
            # when resources are named, what is missing is reported for each of them and not above
            each = {**result, "EvalResourceDecision": answer, "MissingContextValues": _missing(policies, request)}
            results.append(
                {**result, "EvalActionName": action, "EvalDecision": answer, "ResourceSpecificResults": [each]}
            )
    return ActionResult({"EvaluationResults": results, "IsTruncated": False})


def _spreading(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A policy that is put or deleted is in effect after a moment (``spreading.py``)."""

    def call(self: Any) -> Any:
        role_name, name = self._get_param("RoleName"), self._get_param("PolicyName")
        roles = list(iam_backends[self.current_account]["aws"].roles.values())
        role = next((r for r in roles if r.name == role_name), None)
        before = role.policies.get(name) if role is not None else None
        answer = original(self)
        until = in_effect_at("policy", state.current().config.iam_policy_seconds, access_key=self.get_access_key())
        if role is not None and until:
            policy_changed(role, name, before=before, until=until)
        return answer

    return call


def apply() -> None:
    """Install the patch."""
    replace(IamResponse, "put_role_policy", _spreading)
    replace(IamResponse, "delete_role_policy", _spreading)
    add(IamResponse, "simulate_principal_policy", simulate_principal_policy)
