"""Least privilege, proven from what a case really asked: each statement taken away in turn, and who then fails.

Works on what ``GET /_lab/iam`` answers: every different question of every session, in order, and the roles' policies.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.iam.policy import Request, decide, listed

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


def statements(policies: Policies) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    """(policy, position, statement) of every allowing statement."""
    for name, document in policies.items():
        for number, statement in enumerate(listed(document["Statement"])):
            if statement["Effect"] == "Allow":
                yield name, number, statement


def without(policies: Policies, name: str, number: int) -> Policies:
    """The policies with one statement taken away."""
    changed = {n: copy.copy(dict(d)) for n, d in policies.items()}
    changed[name]["Statement"] = [s for i, s in enumerate(listed(policies[name]["Statement"])) if i != number]
    return changed


def check(answer: Mapping[str, Any], *, skip_policies: frozenset[str] = frozenset({"mwaa-service"})) -> Report:
    """Judge a record. ``skip_policies`` are used by AWS's services themselves, which the lab has not."""
    report = Report()
    asked = answer["asked"]
    report.denied = [f"{step_of(item)}: {item['by']}" for item in asked if not item["allowed"]]
    for place, policies in sorted(answer["policies"].items()):
        account, _, role = place.partition("/")
        mine = [i for i in asked if i["role"] == role and i["account"] == account and i["allowed"]]
        if not mine:
            continue
        for name, number, statement in statements(policies):
            if name in skip_policies:
                continue
            where = f"{place}.{name}.{statement.get('Sid', number)}"
            fewer = without(policies, name, number)
            first = next((i for i in mine if not decide(fewer, _request(i)).allowed), None)
            if first is None:
                report.unused.append(where)
                continue
            report.needed[where] = step_of(first)
            used = {
                i["action"].lower() for i in mine if decide({name: {"Statement": [statement]}}, _request(i)).allowed
            }
            idle = [a for a in listed(statement["Action"]) if "*" not in a and a.lower() not in used]
            report.unused_actions += [f"{where}: {action}" for action in idle]
    return report
