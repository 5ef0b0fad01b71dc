"""Which names resolve in a VPC: the rules of Route 53 Resolver DNS Firewall, as the stacks made them.

Route 53 developer guide, "How Route 53 Resolver DNS Firewall works" (rules in the order of their priority, the first list that has the
name decides, a name in no list resolves) and "Rule group and rule settings" (a list's ``*`` stands alone or as the first label). moto has
no DNS firewall: the lab's CloudFormation keeps what it makes here.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import botocore.loaders
import botocore.regions


@dataclass(frozen=True)
class Rule:
    """One rule of a group: what happens to the names of a list."""

    priority: int
    domains: tuple[str, ...]
    allows: bool


_lock = threading.Lock()
_lists: dict[str, tuple[str, ...]] = {}
_groups: dict[str, tuple[Rule, ...]] = {}
_associations: dict[str, list[tuple[int, str]]] = {}


def forget() -> None:
    """Drop everything, for another lab in the same process."""
    with _lock:
        for kept in (_lists, _groups, _associations):
            kept.clear()


def keep_list(list_id: str, domains: Sequence[str]) -> None:
    """A list of domains."""
    with _lock:
        _lists[list_id] = tuple(domains)


def keep_group(group_id: str, rules: Sequence[tuple[int, str, str]]) -> None:
    """A rule group: priority, id of the list, action of each rule. Raises KeyError for a list that is not there."""
    with _lock:
        made = [Rule(priority, _lists[list_id], action == "ALLOW") for priority, list_id, action in rules]
        _groups[group_id] = tuple(sorted(made, key=lambda rule: rule.priority))


def associate(vpc_id: str, group_id: str, *, priority: int) -> None:
    """Let a group decide for a VPC, after those of lower priority."""
    with _lock:
        _associations.setdefault(vpc_id, []).append((priority, group_id))


def resolves(vpc_id: str, name: str) -> bool:
    """Whether a name resolves in a VPC."""
    rules = [rule for _, group in sorted(_associations.get(vpc_id, [])) for rule in _groups.get(group, ())]
    return next((rule.allows for rule in rules if any(_is_under(name, d) for d in rule.domains)), True)


def _is_under(name: str, domain: str) -> bool:
    domain = domain.rstrip(".")
    return domain == "*" or name == domain or (domain.startswith("*.") and name.endswith(domain[1:]))


@cache
def _resolver() -> botocore.regions.EndpointResolver:
    return botocore.regions.EndpointResolver(botocore.loaders.Loader().load_data("endpoints"))


@cache
def endpoint(service: str, region: str) -> tuple[str, str]:
    """Host name of a service's API, and the Region that answers (botocore's endpoint data: IAM has one in each partition)."""
    found = _resolver().construct_endpoint(service, region) or {}
    name = str(found.get("hostname") or f"{service}.{region}.amazonaws.com")
    return name, str((found.get("credentialScope") or {}).get("region", region))
