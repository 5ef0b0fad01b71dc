"""Whether another deployment in the account has contained the target, and which. Pure.

A mark alone is no proof, for whoever may tag instances could keep a target open with one: only a group that is named and tagged as a
deployment's quarantine group, has no rule and is the interface's only group counts. Then the interface is closed whoever made the group.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from forensics.containment.quarantine_groups import QUARANTINE
from forensics.deployment import DEPLOYMENT, is_id
from forensics.models.base import CASE_ID_FORM
from forensics.models.target_facts import GroupFacts, InterfaceFacts, OtherContainment

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


def _holder(group: GroupFacts, *, own: str) -> tuple[str, str] | None:
    named = NAME.fullmatch(group.name)
    if named is None or not is_id(named["deployment"]) or named["deployment"] == own or group.rules:
        return None
    if group.tags.get(f"{named['deployment']}:case") != named["case"]:
        return None
    return named["deployment"], named["case"]
