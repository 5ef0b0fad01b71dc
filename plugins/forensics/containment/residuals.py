"""What containment leaves open on a target, and how that can be closed. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from forensics.models.plan import Measure
from forensics.models.target_facts import InstanceFacts, ProfileFacts

RESIDUAL_TRACKED = (
    "connections that were open and tracked before the change may continue until they end or time out "
    "(always so through NAT gateways, load balancers and PrivateLink)"
)
RESIDUAL_DNS = "DNS queries to the VPC's Route 53 Resolver are not stopped by security groups"
RESIDUAL_SPREAD = (
    "the deny on the role takes effect within seconds to about a minute (IAM is eventually consistent): until then sessions"
    " that were issued before go on"
)
RESIDUAL_ROLE = (
    "IAM has not said which role the instance profile holds: the credentials that it has issued are not denied"
)


def residuals(facts: InstanceFacts, *, deny_profile: str = "") -> tuple[str, ...]:
    """What containment leaves open on this target; stated in every result."""
    found = []
    if facts.state == "running":
        found += [RESIDUAL_TRACKED, RESIDUAL_DNS]
    if facts.profile and facts.profile.name != deny_profile:
        found += _of_role(facts.profile)
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


def _of_role(profile: ProfileFacts) -> tuple[str, ...]:
    if profile.role_unread:
        return (RESIDUAL_ROLE,)
    return (RESIDUAL_SPREAD,) if profile.role else ()


def hardening_options(facts: InstanceFacts, *, measures: Sequence[Measure] = ()) -> tuple[str, ...]:
    """How a person can close what stays open, cheapest first; what containment does by itself is not listed.

    ``measures`` are those of the case's playbook: their options say that the playbook asks for them.
    """
    if facts.state != "running":
        return ()
    subnets = ", ".join(sorted({i.subnet_id for i in facts.interfaces if i.subnet_id}))
    options: tuple[tuple[Measure | None, str], ...] = (
        (None, "deny everything in the guest's own firewall (needs SSM, so before isolation) or by your EDR"),
        (
            None,
            "let EC2 forget idle tracked connections after 60 s (setting idle_flow_seconds; it cannot be unset exactly)",
        ),
        (None, "detach secondary interfaces"),
        (None, f"network ACL that denies everything on {subnets or 'the subnet'}: also hits its neighbours there"),
        (Measure.DNS_FIREWALL, "Route 53 Resolver DNS Firewall that blocks everything: for the whole VPC"),
        (
            Measure.STOP_AFTER_ACQUISITION,
            "stop the instance when memory is acquired and verified: the only option that proves that no flow is left",
        ),
    )
    return tuple(f"{text} (the playbook asks for this)" if name in measures else text for name, text in options)
