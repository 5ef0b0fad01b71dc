"""Least privilege, proven from what a case really asked: each statement taken away in turn, and who then fails.

Works on what ``GET /_lab/iam`` answers: every different question of every session, in order, and the roles' policies.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from forensics.aws.denials import Cause
from forensics.preflight.reach_check import MEMBER_QUESTIONS
from lab.emulator.iam.policy import Request, applies, listed

# What the preflight asks about a thing that cannot be: a refusal there shows that the way is open.
PROBES = frozenset(
    f"{q.service}:{q.operation.replace('_', '')}" for q in MEMBER_QUESTIONS if Cause.ROLE_POLICY in q.fine
)

# Roles that the product itself becomes; the others are for AWS's services.
PHASES = (
    "-triage", "-acquire", "-logs", "-contain", "-release", "-findings", "-custodian", "-reader", "-analyse", "-holds", "-summary", "-execution",
)  # fmt: skip
Policies = Mapping[str, Mapping[str, Any]]


@dataclass
class Report:
    """What the check found."""

    denied: list[str] = field(default_factory=list)
    needed: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    unused_actions: list[str] = field(default_factory=list)


def _request(item: Mapping[str, Any]) -> Request:
    return Request(item["action"], item["resource"], item["context"])


def step_of(item: Mapping[str, Any]) -> str:
    """A question as a person reads it: whose session, which call, what it asked for."""
    return f"{item['session']}: {item['call']} ({item['action']} on {item['resource']})"


def refusals(asked: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """What was not allowed and should have been.

    Not the preflight's own probes, which a refusal answers, and not what was allowed when it was asked again: a grant or a
    policy that the product waits for takes a while (KMS developer guide, *Grants*, eventual consistency).
    """
    items = list(asked)
    allowed_at = {_question(item): place for place, item in enumerate(items) if item["allowed"]}
    for place, item in enumerate(items):
        probe = item["session"].startswith("fc-preflight-") and item["call"].lower() in PROBES
        if not item["allowed"] and not probe and allowed_at.get(_question(item), -1) < place:
            yield item


def _question(item: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(item[name]) for name in ("account", "role", "session", "action", "resource"))


@dataclass(frozen=True, order=True)
class Place:
    """A statement of a role: ``account/role``, the policy's name, its position in it, and its Sid."""

    role: str
    policy: str
    number: int
    sid: str = ""

    def __str__(self) -> str:
        return f"{self.role}.{self.policy}.{self.sid or self.number}"


def statements(role: str, policies: Policies) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Every allowing statement of a role."""
    for name, document in policies.items():
        for number, statement in enumerate(listed(document["Statement"])):
            if statement["Effect"] == "Allow":
                yield Place(role, name, number, str(statement.get("Sid", ""))), statement


def without(policies: Policies, place: Place) -> dict[str, dict[str, Any]]:
    """The role's policies with one statement taken away."""
    changed = {n: copy.copy(dict(d)) for n, d in policies.items()}
    kept = [s for i, s in enumerate(listed(policies[place.policy]["Statement"])) if i != place.number]
    changed[place.policy]["Statement"] = kept
    return changed


def allowing(policies: Policies, role: str, item: Mapping[str, Any]) -> list[Place]:
    """Statements that allow what was asked; one alone is needed for it."""
    request = _request(item)
    return [place for place, statement in statements(role, policies) if applies(statement, request)]


def check(answer: Mapping[str, Any], *, skip_policies: frozenset[str] = frozenset({"mwaa-service"})) -> Report:
    """Check a record. ``skip_policies`` are used by AWS's services themselves, which the lab does not have."""
    report = Report()
    asked = answer["asked"]
    report.denied = [f"{step_of(item)}: {item['by']}" for item in refusals(asked)]
    for role, policies in sorted(answer["policies"].items()):
        mine = [i for i in asked if f"{i['account']}/{i['role']}" == role and i["allowed"]]
        if not role.endswith(PHASES):
            continue
        by = [(item, allowing(policies, role, item)) for item in mine]
        for place, statement in statements(role, policies):
            if place.policy in skip_policies:
                continue
            first = next((item for item, places in by if places == [place]), None)
            if first is None:
                report.unused.append(str(place))
                continue
            report.needed[str(place)] = step_of(first)
            used = {item["action"].lower() for item, places in by if place in places}
            idle = [a for a in listed(statement["Action"]) if "*" not in a and a.lower() not in used]
            report.unused_actions += [f"{place}:{action}" for action in idle]
    return report
