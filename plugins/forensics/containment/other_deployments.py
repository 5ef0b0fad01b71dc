"""Whether another deployment in the account has contained the target, and which. Pure.

A mark alone is no proof, for whoever may tag instances could keep a target open with one: only a group that is named and tagged as a
deployment's quarantine group, has no rule and is the interface's only group counts. Even that can be made by whoever may make groups, and
leaves connections that are open as they are: only deployments that the setting ``other_deployments`` names are believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from forensics.containment.quarantine_groups import QUARANTINE
from forensics.deployment import DEPLOYMENT, is_id
from forensics.models.base import CASE_ID_FORM
from forensics.models.target_facts import GroupFacts, InstanceFacts, InterfaceFacts, OtherContainment
from forensics.settings import Settings, names

NAME = re.compile(rf"(?P<deployment>[a-z][a-z0-9]+)-{QUARANTINE}-(?P<case>{CASE_ID_FORM.pattern})-[0-9a-zA-Z_-]+")


def other_containments(
    interfaces: Iterable[InterfaceFacts], *, groups: Mapping[str, GroupFacts], own: str = DEPLOYMENT
) -> tuple[OtherContainment, ...]:
    """The interfaces that another deployment's quarantine groups close, by deployment and case."""
    found: dict[tuple[str, str], list[str]] = {}
    for interface in interfaces:
        group = groups.get(interface.group_ids[0]) if len(interface.group_ids) == 1 else None
        holder = _holder(group, own=own) if group else None
        if holder:
            found.setdefault(holder, []).append(interface.id)
    return tuple(
        OtherContainment(deployment=deployment, case_id=case_id, interface_ids=tuple(sorted(ids)))
        for (deployment, case_id), ids in sorted(found.items())
    )


def holder(facts: InstanceFacts, settings: Settings) -> OtherContainment | None:
    """The other deployment that has closed every interface, where each of those that did is one that this one knows."""
    known = set(names(settings.other_deployments))
    return facts.held if {other.deployment for other in facts.elsewhere} <= known else None


def believed(facts: InstanceFacts, settings: Settings) -> tuple[OtherContainment, ...]:
    """What deployments that this one knows have closed of the target."""
    known = names(settings.other_deployments)
    return tuple(other for other in facts.elsewhere if other.deployment in known)


def imitation(facts: InstanceFacts, settings: Settings) -> OtherContainment | None:
    """What looks as if another deployment had closed the target, by a deployment that this one does not know."""
    return facts.held if facts.held and not holder(facts, settings) else None


def _holder(group: GroupFacts, *, own: str) -> tuple[str, str] | None:
    named = NAME.fullmatch(group.name)
    if named is None or not is_id(named["deployment"]) or named["deployment"] == own or group.rules:
        return None
    if group.tags.get(f"{named['deployment']}:case") != named["case"]:
        return None
    return named["deployment"], named["case"]
