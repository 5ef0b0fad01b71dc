"""Containment: what the read-back proves, what stays open, and how that is closed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from forensics.models.containment import ContainmentState
from forensics.models.target_facts import InstanceFacts

RESIDUAL_TRACKED = (
    "connections that were open and tracked before the change may go on until they end or time out "
    "(always so through NAT gateways, load balancers and PrivateLink)"
)
RESIDUAL_DNS = "DNS queries to the VPC's Route 53 Resolver are not stopped by security groups"
RESIDUAL_SPREAD = "the end of credentials takes minutes to reach all of AWS (IAM is eventually consistent)"
RESIDUAL_ROLE = "the role could not be read: credentials that the instance profile has issued are not revoked"


def residuals(facts: InstanceFacts, *, deny_profile: str = "") -> tuple[str, ...]:
    """What containment leaves open on this target, said in every result."""
    found = []
    if facts.state == "running":
        found += [RESIDUAL_TRACKED, RESIDUAL_DNS]
    if facts.profile and facts.profile.name != deny_profile:
        found.append(RESIDUAL_SPREAD if facts.profile.role else RESIDUAL_ROLE)
    found += [
        f"{i.id} has the public address {i.public_ip}, which is not an Elastic IP: it stays on the interface"
        for i in facts.interfaces
        if i.public_ip
    ]
    if facts.spot:
        found.append("a Spot instance cannot be protected from termination or stop: AWS may take it at any time")
    if facts.instance_store:
        found.append("it has instance-store volumes: a stop loses them")
    if facts.eks_cluster:
        found.append(
            f"it is a node of EKS cluster {facts.eks_cluster}: cordon it, never drain it (draining ends the pods)"
        )
    found += [
        f"{i.id} is a trunk interface: branch interfaces of pods are not changed"
        for i in facts.interfaces
        if i.kind == "trunk"
    ]
    return tuple(found)


def hardening_options(facts: InstanceFacts, *, asked: Sequence[str] = ()) -> tuple[str, ...]:
    """How to close what stays open, cheapest first (R39); what containment does by itself is not listed.

    ``asked`` are measures of the case's playbook (R40): those rungs say that policy asks for them.
    """
    if facts.state != "running":
        return ()
    subnets = ", ".join(sorted({i.subnet_id for i in facts.interfaces if i.subnet_id}))
    rungs = (
        ("", "deny everything in the guest's own firewall (needs SSM, so before isolation) or by your EDR"),
        (
            "",
            "let EC2 forget idle tracked connections after 60 s (setting idle_flow_seconds; it cannot be unset exactly)",
        ),
        ("", "detach secondary interfaces"),
        ("", f"network ACL that denies everything on {subnets or 'the subnet'}: also hits its neighbours there"),
        ("dns_firewall", "Route 53 Resolver DNS Firewall that blocks everything: for the whole VPC"),
        (
            "stop_after_acquisition",
            "stop the instance when memory is acquired and verified: the only rung that proves that no flow is left",
        ),
    )
    return tuple(f"{text} (the playbook asks for this)" if name in asked else text for name, text in rungs)


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
    """What could not be read and so may be open; each makes the outcome PARTIAL."""
    return [f"not known: {what}" for what in facts.unknown]


def ended(facts: InstanceFacts) -> bool:
    """Whether the instance is gone: there is nothing left to contain."""
    return facts.state in {"terminated", "shutting-down"}


def due(planned_at: datetime, *, seconds: int) -> float:
    """Unix time at which isolation starts even if the capture still runs."""
    return planned_at.timestamp() + seconds
