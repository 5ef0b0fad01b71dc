"""Service control policies: what nobody in a member account may do, whatever its own policies say.

AWS Organizations user guide, "Service control policies" and "SCP evaluation": they hold every principal of member accounts except
service-linked roles, and nobody of the management account; an explicit deny anywhere above the account wins. The lab evaluates them for
sessions of roles. Its root keys are the lab's own hand and are held by no policy, which is friendlier than AWS.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from moto.organizations.models import organizations_backends

from lab.accounts import MANAGEMENT_ACCOUNT
from lab.emulator.iam.policy import Decision, Request, decide

KIND = "SERVICE_CONTROL_POLICY"
_attached: dict[str, Mapping[str, Any]] = {}


def attach(policies: Mapping[str, Mapping[str, Any]]) -> None:
    """Attach policies to the root beside the deployed ones, in place of those attached before; by name."""
    _attached.clear()
    _attached.update(policies)


@lru_cache(maxsize=64)
def _parsed(content: str) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(content)
    return document


def attached() -> dict[str, Mapping[str, Any]]:
    """Every policy above the member accounts, by name. The lab's accounts are directly under the root, or under a unit that has it all."""
    backend: Any = organizations_backends[MANAGEMENT_ACCOUNT]["aws"]
    found: dict[str, Mapping[str, Any]] = {}
    for unit in backend.ou:
        for policy in unit.attached_policies:
            if policy.type == KIND:
                found[policy.name] = _parsed(policy.content)
    return found | _attached


def decision(account: str, role_arn: str, request: Request) -> Decision | None:
    """What the policies say about a request of a role; None when they do not hold it, or allow it."""
    if account == MANAGEMENT_ACCOUNT or ":role/aws-service-role/" in role_arn:
        return None
    policies = attached()
    if not policies:
        return None  # a lab without an organization
    found = decide(policies, request)
    if found.allowed or (found.by == "no statement allows it" and not _has_list(policies)):
        return None
    return found


def _has_list(policies: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the deployed policies allow anything: without the organization's own (FullAWSAccess), only a test's denials are there."""
    return len(policies) > len(_attached)
