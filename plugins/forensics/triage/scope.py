"""The policy's scope: which targets are acquired and isolated without a person's order. Pure.

Tags come from EC2 and AWS Organizations, as the triage role read them, never from a finding. A target outside the scope gets its case
all the same, and a person's order is carried out whatever the scope says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from forensics.deployment import action_name
from forensics.models.organization import OrganizationTags
from forensics.models.policy import InScope, Scope, ScopeEntry, ScopeKind

# How people order what the scope leaves to them; part of the plan's reasons, and so of report and message.
ORDER_EVIDENCE = f"a custom action on the finding ({action_name('ForensicTriage')}) or the DAG forensic_case orders it"
ORDER_ISOLATION = (
    f"a custom action on the finding ({action_name('ForensicIsolate')}) or the DAG forensic_case orders it"
)
_OF_ORGANIZATION = frozenset({ScopeKind.ACCOUNT_TAG, ScopeKind.UNIT_TAG})


class Scoped(Protocol):
    """What the scope is held against: an instance, or an artifact, which has no groups."""

    @property
    def account_id(self) -> str: ...
    @property
    def tags(self) -> Mapping[str, str]: ...
    @property
    def group_tags(self) -> Mapping[str, Mapping[str, str]]: ...


@dataclass(frozen=True)
class ScopeVerdict:
    """``outside``: why nothing is done without an order; empty when it is. ``reasons``: what AWS Organizations had to do with it."""

    outside: str = ""
    reasons: tuple[str, ...] = ()


def of_acquisition(scope: Scope, *, target: Scoped, organization: OrganizationTags) -> ScopeVerdict:
    """Whether evidence is acquired without an order. Where tags could not be read it is: evidence does not come back."""
    found = _verdict(scope.acquire, scope=scope, target=target, organization=organization, order=ORDER_EVIDENCE)
    if found is not None:
        return found
    return ScopeVerdict(reasons=(f"{_unread(target, organization)}: evidence is acquired to be safe",))


def of_isolation(scope: Scope, *, target: Scoped, organization: OrganizationTags) -> ScopeVerdict:
    """Whether the target is isolated without an order. Where tags could not be read a person says so."""
    found = _verdict(scope.isolate, scope=scope, target=target, organization=organization, order=ORDER_ISOLATION)
    if found is not None:
        return found
    said = _unread(target, organization)
    again = "clear triage.plan_response when they can be"
    return ScopeVerdict(
        outside=f"whether the target is in the policy's scope is not known: {said}; {again}, or {ORDER_ISOLATION}"
    )


def asks_for_accounts(scope: Scope) -> bool:
    """Whether the tags of accounts have to be read."""
    return _asks(scope, ScopeKind.ACCOUNT_TAG)


def asks_for_units(scope: Scope) -> bool:
    """Whether the tags of organizational units have to be read."""
    return _asks(scope, ScopeKind.UNIT_TAG)


def scope_lines(scope: Scope) -> list[str]:
    """The scope for people, one line for each part that is not ``all``."""
    parts = (("acquire", scope.acquire), ("isolate", scope.isolate))
    return [f"scope of {name}: {', '.join(map(_name, lines))}" for name, lines in parts if lines != "all"]


def _asks(scope: Scope, kind: ScopeKind) -> bool:
    return any(line.kind is kind for lines in (scope.acquire, scope.isolate) if lines != "all" for line in lines)


def _verdict(
    lines: InScope, *, scope: Scope, target: Scoped, organization: OrganizationTags, order: str
) -> ScopeVerdict | None:
    """None when it depends on tags that could not be read."""
    if lines == "all" or any(_names(line, scope=scope, target=target) for line in lines):
        return ScopeVerdict()
    above = [line for line in lines if line.kind in _OF_ORGANIZATION]
    if above and organization.unread:
        return None
    if why := next((said for line in above if (said := _carrier(line, target, organization))), ""):
        return ScopeVerdict(reasons=(f"in the policy's scope: {why} (AWS Organizations)",))
    return ScopeVerdict(outside=f"the target is outside the policy's scope ({_listed(lines)}); {order}")


def _listed(lines: Sequence[ScopeEntry]) -> str:
    shown = ", ".join(map(_name, lines[:6]))
    return shown if len(lines) <= 6 else f"{shown} and {len(lines) - 6} more"


def _name(line: ScopeEntry) -> str:
    return f"{line.kind.value} {line.value}"


def _unread(target: Scoped, organization: OrganizationTags) -> str:
    return f"the tags of account {target.account_id} in AWS Organizations could not be read ({organization.unread})"


def _carrier(line: ScopeEntry, target: Scoped, organization: OrganizationTags) -> str:
    """Who in the organization carries the line's tag; empty when nobody does."""
    if line.kind is ScopeKind.ACCOUNT_TAG:
        return (
            f"account {target.account_id} has the tag {line.value}" if _tagged(organization.account, line.value) else ""
        )
    units = organization.units or {}
    return next((f"{unit} has the tag {line.value}" for unit, tags in units.items() if _tagged(tags, line.value)), "")


def _names(line: ScopeEntry, *, scope: Scope, target: Scoped) -> bool:
    """Whether a line names the target by what is known without the organization."""
    if line.kind is ScopeKind.ACCOUNT:
        return target.account_id == line.value
    if line.kind is ScopeKind.ACCOUNT_GROUP:
        return target.account_id in scope.account_groups[line.value]
    if line.kind is ScopeKind.INSTANCE_TAG:
        return _tagged(target.tags, line.value)
    return line.kind is ScopeKind.SECURITY_GROUP_TAG and any(
        _tagged(tags, line.value) for tags in target.group_tags.values()
    )


def _tagged(tags: Mapping[str, str], wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in tags and (not equals or tags[key] == value)
