"""The policy's scope: which targets are acquired and isolated without a person's order. Pure.

Tags come from EC2, as the triage role read them, never from a finding. A target outside the scope gets its case all the same, and a
person's order is carried out whatever the scope says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from forensics.models.policy import InScope, Scope, ScopeEntry, ScopeKind
from forensics.models.target import Target

# How people order what the scope leaves to them; part of the plan's reasons, and so of report and message.
ORDER_EVIDENCE = "a custom action on the finding (ForensicTriage) or the DAG forensic_case orders it"
ORDER_ISOLATION = "a custom action on the finding (ForensicIsolate) or the DAG forensic_case orders it"


def outside_acquisition(scope: Scope, *, target: Target) -> str:
    """Why evidence of the target is not acquired without an order; empty when it is."""
    return _outside(scope.acquire, scope=scope, target=target, order=ORDER_EVIDENCE)


def outside_isolation(scope: Scope, *, target: Target) -> str:
    """Why the target is not isolated without an order; empty when it is."""
    return _outside(scope.isolate, scope=scope, target=target, order=ORDER_ISOLATION)


def scope_lines(scope: Scope) -> list[str]:
    """The scope for people, one line for each part that is not ``all``."""
    parts = (("acquire", scope.acquire), ("isolate", scope.isolate))
    return [f"scope of {name}: {', '.join(map(_name, lines))}" for name, lines in parts if lines != "all"]


def _outside(lines: InScope, *, scope: Scope, target: Target, order: str) -> str:
    if lines == "all" or any(_names(line, scope=scope, target=target) for line in lines):
        return ""
    return f"the target is outside the policy's scope ({_listed(lines)}); {order}"


def _listed(lines: Sequence[ScopeEntry]) -> str:
    shown = ", ".join(map(_name, lines[:6]))
    return shown if len(lines) <= 6 else f"{shown} and {len(lines) - 6} more"


def _name(line: ScopeEntry) -> str:
    return f"{line.kind.value} {line.value}"


def _names(line: ScopeEntry, *, scope: Scope, target: Target) -> bool:
    if line.kind is ScopeKind.ACCOUNT:
        return target.account_id == line.value
    if line.kind is ScopeKind.ACCOUNT_GROUP:
        return target.account_id in scope.account_groups[line.value]
    if line.kind is ScopeKind.INSTANCE_TAG:
        return _tagged(target.tags, line.value)
    return any(_tagged(tags, line.value) for tags in target.group_tags.values())


def _tagged(tags: Mapping[str, str], wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in tags and (not equals or tags[key] == value)
