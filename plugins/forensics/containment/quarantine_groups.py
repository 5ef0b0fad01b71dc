"""The security groups that containment makes for a case: their names, what they must hold, whether they were altered. Pure.

``quarantine`` has no rule. ``conversion`` (the open group) allows everything, so that connections are not tracked.
``access`` (the forensic-access group of contain-first cases) reaches only the VPC endpoints that an acquisition needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from forensics.deployment import DEPLOYMENT
from forensics.models.target_facts import EndpointFacts, InstanceFacts, OwnGroup

QUARANTINE, CONVERSION, ACCESS = "quarantine", "conversion", "access"
SSM_SERVICES = frozenset({"ssm", "ssmmessages", "ec2messages"})
NEEDED_SERVICES = frozenset({"ssm", "s3"})
ACCESS_SERVICES = SSM_SERVICES | {"s3", "kms", "logs"}


@dataclass(frozen=True)
class CaseGroups:
    """The groups of one case; ``token`` is drawn at random when the plan is made and is secret until then."""

    case_id: str
    token: str

    def name(self, purpose: str) -> str:
        """Name of a group."""
        return f"{DEPLOYMENT}-{purpose}-{self.case_id}-{self.token}"

    @classmethod
    def named(cls, name: str) -> Self:
        """The groups to which one of this name belongs."""
        _, _, rest = name.removeprefix(f"{DEPLOYMENT}-").partition("-")
        case_id, _, token = rest.rpartition("-")
        return cls(case_id, token)

    def find(self, facts: InstanceFacts, *, purpose: str, vpc_id: str) -> OwnGroup | None:
        """The group that an earlier try made."""
        name = self.name(purpose)
        return next((g for g in facts.own_groups if g.name == name and g.vpc_id == vpc_id), None)

    def reference(self, facts: InstanceFacts, *, purpose: str, vpc_id: str) -> str:
        """The group's id, or the placeholder that its creation fills."""
        found = self.find(facts, purpose=purpose, vpc_id=vpc_id)
        return found.id if found else placeholder(purpose, vpc_id)

    def quarantine_by_vpc(self, facts: InstanceFacts) -> dict[str, str]:
        """Id of the quarantine group of each VPC of the target, where there is one."""
        found = {v: self.find(facts, purpose=QUARANTINE, vpc_id=v) for v in {i.vpc_id for i in facts.interfaces}}
        return {vpc_id: group.id for vpc_id, group in sorted(found.items()) if group}

    def problem_of(self, group: OwnGroup | None, *, endpoints: Sequence[EndpointFacts]) -> str:
        """Why an interface may not be put into a group now; empty when the group is exactly what it should be."""
        if group is None:
            return "it does not exist, or is not this case's any more"
        purpose = {self.name(p): p for p in (QUARANTINE, CONVERSION, ACCESS)}.get(group.name)
        if purpose is None:
            return f"its name {group.name} is none of this case's"
        if purpose == QUARANTINE and (group.ingress or group.egress):
            return "it has rules and must have none"
        if purpose == CONVERSION and not (group.ingress and group.egress):
            return "it does not allow everything, so connections would stay tracked"
        if purpose == ACCESS and not _has_access_rules(group, endpoints):
            return "its rules are not the ones it was given"
        return ""


def placeholder(purpose: str, vpc_id: str) -> str:
    """Stands for the id of a group that does not exist yet."""
    return f"${{{purpose}:{vpc_id}}}"


def altered_groups(facts: InstanceFacts, *, groups: CaseGroups) -> list[OwnGroup]:
    """Quarantine groups of the case that somebody gave rules: they are not used again.

    The rule that EC2 gives every new group (all egress) is not a sign of that: a killed try leaves it.
    """
    found = (groups.find(facts, purpose=QUARANTINE, vpc_id=vpc) for vpc in {i.vpc_id for i in facts.interfaces})
    return [g for g in found if g and (g.ingress or any(not _is_default(r) for r in g.egress))]


def _is_default(permission: Mapping[str, object]) -> bool:
    """Whether an egress permission is only 'everything', as EC2 makes it (also for ::/0 in an IPv6 VPC)."""
    return permission.get("IpProtocol") == "-1" and not (
        permission.get("UserIdGroupPairs") or permission.get("PrefixListIds")
    )


def access_rules(endpoints: Sequence[EndpointFacts], *, vpc_id: str) -> list[dict[str, object]]:
    """Egress of the forensic-access group: https to the endpoints' groups and to S3's prefix list."""
    here = [e for e in endpoints if e.vpc_id == vpc_id and e.service in ACCESS_SERVICES]
    pairs = sorted({g for e in here if e.kind == "Interface" for g in e.group_ids})
    lists = sorted({e.prefix_list_id for e in here if e.kind == "Gateway" and e.prefix_list_id})
    if not pairs and not lists:
        return []
    rule: dict[str, object] = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
    if pairs:
        rule["UserIdGroupPairs"] = [{"GroupId": g} for g in pairs]
    if lists:
        rule["PrefixListIds"] = [{"PrefixListId": p} for p in lists]
    return [rule]


def _has_access_rules(group: OwnGroup, endpoints: Sequence[EndpointFacts]) -> bool:
    wanted = access_rules(endpoints, vpc_id=group.vpc_id)
    ports = {(r.get("FromPort"), r.get("ToPort")) for r in group.egress}
    return not group.ingress and len(group.egress) == len(wanted) and ports <= {(443, 443)}


def missing_endpoints(facts: InstanceFacts) -> list[str]:
    """Endpoints without which a command cannot reach a contained target, by VPC; empty when it can."""
    vpc_ids = {i.vpc_id for i in facts.interfaces if i.device_index == 0} or {i.vpc_id for i in facts.interfaces}
    missing = []
    for vpc_id in sorted(vpc_ids):
        have = {e.service for e in facts.endpoints if e.vpc_id == vpc_id}
        missing += [f"{service} in {vpc_id}" for service in sorted(NEEDED_SERVICES - have)]
        if not have & {"ssmmessages", "ec2messages"}:
            missing.append(f"ssmmessages in {vpc_id}")
    return missing
