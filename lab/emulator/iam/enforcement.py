"""Evaluates every call of a role's session against the policies that IAM, S3 and KMS hold, and records what was asked.

Root keys (the lab's own seeding, and tests that look from outside) are not evaluated: on AWS they are the account's administrators.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moto.iam.models import iam_backends

from lab.emulator.iam import keys, organization, s3
from lab.emulator.iam.policy import Context, Decision, Request, decide
from lab.emulator.iam.sessions import ORGANIZATION, Session
from lab.emulator.network.routes import region_of
from lab.emulator.patches.spreading import policies_in_effect

KEPT = 200_000
# A service role of AWS's own making carries these; for policies, calls to the lab count as TLS.
ALWAYS = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3", "aws:PrincipalIsAWSService": "false"}


@dataclass(frozen=True)
class Asked:
    """One authorization question with its answer: the input of ``make iam-check``."""

    role: str
    account: str
    session: str
    call: str
    request: Request
    allowed: bool
    by: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "role": self.role, "account": self.account, "session": self.session, "call": self.call,
            "action": self.request.action, "resource": self.request.resource, "context": dict(self.request.context),
            "allowed": self.allowed, "by": self.by,
        }  # fmt: skip


def policies_of(role_arn: str, *, in_effect: bool = False) -> dict[str, Mapping[str, Any]] | None:
    """The role's inline policies by name, as IAM holds them or as AWS acts by them now; None when there is no such role."""
    backend = iam_backends[role_arn.split(":")[4]]["aws"]
    role = next((r for r in backend.roles.values() if r.arn == role_arn), None)
    if role is None:
        return None
    held = policies_in_effect(role) if in_effect else role.policies
    return {name: json.loads(text) if isinstance(text, str) else text for name, text in held.items()}


def policies() -> dict[str, dict[str, Any]]:
    """``account/role`` → policies by name, of the product's roles."""
    found = {}
    for account, partitions in list(iam_backends.items()):
        for backend in list(partitions.values()):
            for role in backend.roles.values():
                if role.name.startswith("forensics-"):
                    found[f"{account}/{role.name}"] = {n: json.loads(t) for n, t in role.policies.items()}
    return found


def _context(session: Session, request: Request) -> Context:
    return {
        **ALWAYS,
        "aws:PrincipalArn": session.role_arn,
        "aws:PrincipalAccount": session.account,
        "aws:PrincipalOrgID": ORGANIZATION,
        "aws:SourceIdentity": session.source_identity or None,
        **request.context,
    }


def evaluate(session: Session, request: Request) -> tuple[Decision, str]:
    """The decision of the first policy that does not allow the request, or of the role's own; and the kind of that policy.

    Asked are the organization's policies, the role's, the session's, and those of the bucket or key that the request is about.
    """
    full = Request(request.action, request.resource, _context(session, request))
    above = organization.decision(session.account, session.role_arn, full)
    if above is not None:
        return above, "service control"
    decision = decide(policies_of(session.role_arn, in_effect=True) or {}, full)
    granted = not decision.by.startswith("explicit deny") and keys.granted(full, session.role_arn)
    if not decision.allowed and not granted:
        return decision, "identity-based"
    if session.policy is not None and not (own := decide({"session policy": session.policy}, full)).allowed:
        return own, "session"
    if granted:
        return Decision(True, "grant of the key"), "grant"
    resource = _resource_policy(session, full)
    return (decision, "identity-based") if resource is None or resource.allowed else (resource, "resource-based")


def words(decision: Decision, kind: str, action: str) -> str:
    """How AWS's message ends. IAM user guide, "Troubleshoot access denied error messages"."""
    if decision.by.startswith("explicit deny"):
        return f"with an explicit deny in {'an' if kind.startswith('i') else 'a'} {kind} policy"
    return f"because no {kind} policy allows the {action} action"


def _resource_policy(session: Session, request: Request) -> Decision | None:
    """None when the resource's policy has nothing against it."""
    names = [session.role_arn, session.arn, f"arn:aws:iam::{session.account}:root", session.account]
    if request.resource.startswith("arn:aws:s3:::"):
        text = s3.policy_of(session.account, request.resource.removeprefix("arn:aws:s3:::").split("/")[0])
        if text is None:
            return None
        decision = decide({"bucket policy": json.loads(text)}, request, principals=names)
        return decision if decision.by.startswith("explicit deny") else None
    if request.action.startswith("kms:") and request.resource.startswith("arn:"):
        text = keys.policy_of(request.resource)
        # a key's policy must allow by itself: nothing is delegated to IAM that it does not name
        return None if text is None else decide({"key policy": json.loads(text)}, request, principals=names)
    return None


class Enforcement:
    """The authorization in front of the lab's services, with its record."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # off until the templates are deployed: in a lab that is seeded through boto3 roles have no policies
        self.on = False
        self._asked: dict[tuple[Any, ...], Asked] = {}

    def refusal(self, session: Session, given: Any, questions: list[Request]) -> tuple[Request, str] | None:
        """The question that is refused, and how AWS's message ends; None when the call is allowed."""
        for question in questions:
            where = {"aws:RequestedRegion": region_of(given.service, given.region), **question.context}
            request = Request(question.action, question.resource, where)
            decision, kind = evaluate(session, request)
            self._keep(session, given, request, decision)
            if not decision.allowed:
                return request, words(decision, kind, request.action)
        return None

    def _keep(self, session: Session, given: Any, request: Request, decision: Decision) -> None:
        context = _context(session, request)
        full = Request(request.action, request.resource, context)
        marks = (
            session.role_arn,
            session.name,
            request.action,
            request.resource,
            json.dumps(dict(context), sort_keys=True),
        )
        call = f"{given.service}:{given.action}"
        with self._lock:
            if len(self._asked) < KEPT:
                kept = Asked(session.role, session.account, session.name, call, full, decision.allowed, decision.by)
                self._asked.setdefault((*marks, decision.allowed), kept)

    def asked(self) -> list[dict[str, Any]]:
        """Every different question so far, in the order of their first time."""
        with self._lock:
            return [item.as_dict() for item in self._asked.values()]

    def take(self) -> list[dict[str, Any]]:
        """Every different question since the last taking, which are then forgotten."""
        with self._lock:
            taken = [item.as_dict() for item in self._asked.values()]
            self._asked.clear()
        return taken
