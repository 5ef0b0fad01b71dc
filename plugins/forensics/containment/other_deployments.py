"""Whether another deployment in the account has contained the target, and which. Pure.

A mark alone is no proof, for whoever may tag instances could keep a target open with one: only a group that is named and tagged as a
deployment's quarantine group, has no rule and is the interface's only group counts. Even that can be made by whoever may make groups, and
leaves connections that are open as they are: only deployments that the setting ``other_deployments`` names are believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from forensics.containment.quarantine_groups import ACCESS, CONVERSION, QUARANTINE
from forensics.deployment import DEPLOYMENT, is_id
from forensics.models.base import CASE_ID_FORM
from forensics.models.target_facts import GroupFacts, InstanceFacts, InterfaceFacts, OtherContainment
from forensics.settings import Settings, names

NAME = re.compile(
    rf"(?P<deployment>[a-z][a-z0-9]+)-(?P<purpose>{QUARANTINE}|{CONVERSION}|{ACCESS})-(?P<case>{CASE_ID_FORM.pattern})-[0-9a-zA-Z_-]+"
)


def other_containments(
    interfaces: Iterable[InterfaceFacts], *, groups: Mapping[str, GroupFacts], own: str = DEPLOYMENT
) -> tuple[OtherContainment, ...]:
    """The interfaces that another deployment's quarantine groups close, by deployment and case."""
    return _by_holder(interfaces, groups, own=own, closed=True)


def others_under_way(
    interfaces: Iterable[InterfaceFacts], *, groups: Mapping[str, GroupFacts], own: str = DEPLOYMENT
) -> tuple[OtherContainment, ...]:
    """The interfaces that another deployment's containment has begun to move and not closed, by deployment and case."""
    return _by_holder(interfaces, groups, own=own, closed=False)


def _by_holder(
    interfaces: Iterable[InterfaceFacts], groups: Mapping[str, GroupFacts], *, own: str, closed: bool
) -> tuple[OtherContainment, ...]:
    found: dict[tuple[str, str], list[str]] = {}
    for interface in interfaces:
        group = groups.get(interface.group_ids[0]) if len(interface.group_ids) == 1 else None
        holder = _holder(group, own=own) if group else None
        if group and holder and closed is _closes(group):
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


def entered(facts: InstanceFacts, settings: Settings) -> OtherContainment | None:
    """The deployment that this one knows and whose containment of the target has begun and not ended: some interfaces are in its groups."""
    known = names(settings.other_deployments)
    begun = (*facts.under_way, *(() if facts.held else facts.elsewhere))
    return next((other for other in begun if other.deployment in known), None)


def _closes(group: GroupFacts) -> bool:
    named = NAME.fullmatch(group.name)
    return named is not None and named["purpose"] == QUARANTINE and not group.rules


def _holder(group: GroupFacts, *, own: str) -> tuple[str, str] | None:
    named = NAME.fullmatch(group.name)
    if named is None or not is_id(named["deployment"]) or named["deployment"] == own:
        return None
    if group.tags.get(f"{named['deployment']}:case") != named["case"]:
        return None
    return named["deployment"], named["case"]
