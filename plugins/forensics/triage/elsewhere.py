"""Whether the target looks as if another deployment had contained it, by its groups' tags: for people to read, nothing is decided by it. Pure.

Whether it is so the containment sees, which reads the groups' rules (containment/other_deployments.py).
"""

from __future__ import annotations

import re

from forensics.deployment import DEPLOYMENT, is_id
from forensics.models.base import CASE_ID_FORM
from forensics.models.target import NetworkInterface, Target

_CASE_TAG = re.compile(r"(?P<deployment>[a-z][a-z0-9]+):case")
WHAT_FOLLOWS = "where that proves true and other_deployments names it, it is not contained a second time, and nothing of it is undone"


def contained_elsewhere(target: Target, *, own: str = DEPLOYMENT) -> str:
    """A warning when every interface is in one group alone that carries another deployment's tag of a case; else empty."""
    holders = [_holder(interface, target.group_tags, own=own) for interface in target.interfaces]
    named = sorted({f"deployment {h[0]} (its case {h[1]})" for h in holders if h})
    if not holders or None in holders:
        return ""
    return f"{', '.join(named)} seems to have contained the target already: {WHAT_FOLLOWS}"


def _holder(interface: NetworkInterface, tags: dict[str, dict[str, str]], *, own: str) -> tuple[str, str] | None:
    if len(interface.group_ids) != 1:
        return None
    for key, value in sorted(tags.get(interface.group_ids[0], {}).items()):
        named = _CASE_TAG.fullmatch(key)
        if named and is_id(named["deployment"]) and named["deployment"] != own and CASE_ID_FORM.fullmatch(value):
            return named["deployment"], value
    return None
