"""What a read-back of the target proves about its containment. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from forensics.models.containment import ContainmentState
from forensics.models.target_facts import InstanceFacts


def assess(
    facts: InstanceFacts, *, groups: Mapping[str, str], rules: Mapping[str, int]
) -> tuple[ContainmentState, list[str]]:
    """State from what AWS says after the change.

    ``groups`` is the quarantine group of each VPC, ``rules`` the number of rules each group has now. Every interface
    must have only its VPC's group, no group may have a rule, and no Elastic IP may be left. Flows are verified to be
    gone only when the instance does not run: security groups alone never prove it.
    """
    problems = []
    for interface in facts.interfaces:
        wanted = groups.get(interface.vpc_id)
        if wanted is None or interface.group_ids != (wanted,):
            others = ", ".join(g for g in interface.group_ids if g != wanted) or "none"
            problems.append(f"interface {interface.id} still has groups {others}")
    if not facts.interfaces:
        problems.append("the instance has no network interfaces to read back")
    problems += [f"quarantine group {g} has {n} rules; it must have none" for g, n in sorted(rules.items()) if n]
    if problems:
        return ContainmentState.FAILED, problems
    left = [a.public_ip for i in facts.interfaces for a in i.addresses]
    problems += [f"Elastic IP {address} is still associated" for address in left]
    if facts.state == "stopped":
        return ContainmentState.ALL_FLOWS_VERIFIED, problems
    return ContainmentState.NEW_FLOWS_BLOCKED, problems


def unreadable(facts: InstanceFacts) -> list[str]:
    """What could not be read and so may be open; each makes the outcome PARTIAL.

    What IAM did not answer is not here: it is named by the credentials that it leaves open.
    """
    return [f"not known: {what}" for what in facts.unknown]


def has_ended(facts: InstanceFacts) -> bool:
    """Whether the instance is gone: there is nothing left to contain."""
    return facts.state in {"terminated", "shutting-down"}
