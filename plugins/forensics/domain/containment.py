"""Containment: who has to change, and what the read-back proves. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from forensics.models.containment import ContainmentState
from forensics.models.target import NetworkInterface

RESIDUAL_TRACKED = (
    "connections that were open and tracked before the change may go on until they end or time out "
    "(always so through NAT gateways, load balancers and PrivateLink)"
)
RESIDUAL_DNS = "DNS queries to the VPC's Route 53 Resolver are not stopped by security groups"
RESIDUAL_CREDENTIALS = "credentials that the instance profile has already issued are not revoked by this step"


def group_name(case_id: str, attempt: int = 0) -> str:
    """Name of the quarantine group of one case; a later attempt gets its own."""
    return f"forensics-quarantine-{case_id}" + (f"-{attempt}" if attempt else "")


def assess(interfaces: Sequence[NetworkInterface], *, group_id: str, rules: int) -> tuple[ContainmentState, list[str]]:
    """State from what AWS says after the change: every interface has only the group, and the group has no rules."""
    problems = [
        f"interface {i.id} still has groups {', '.join(g for g in i.group_ids if g != group_id) or 'none'}"
        for i in interfaces
        if i.group_ids != (group_id,)
    ]
    if not interfaces:
        problems.append("the instance has no network interfaces to read back")
    if rules:
        problems.append(f"quarantine group {group_id} has {rules} rules; it must have none")
    return (ContainmentState.FAILED if problems else ContainmentState.NEW_FLOWS_BLOCKED), problems


def residuals(*, has_profile: bool) -> tuple[str, ...]:
    """What a security-group change leaves open, said in every result."""
    return (RESIDUAL_TRACKED, RESIDUAL_DNS, *((RESIDUAL_CREDENTIALS,) if has_profile else ()))
