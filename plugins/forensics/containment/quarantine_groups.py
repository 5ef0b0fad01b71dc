"""The network part of a containment plan: quarantine groups per VPC and the two-step change. Pure.

1. An empty group per VPC, known by its id and by a name nobody can guess beforehand (R42).
2. Elastic IPs off, so that nobody comes in by them during step 3 (R47).
3. On a running instance each interface goes through a group that allows everything, v4 and v6: AWS does not track
   connections there, and what is not tracked ends when the rule that allowed it goes (EC2 user guide, "Security group
   connection tracking"). Then into the empty group. When that fails, the rules of the open group are taken away
   instead, which leaves the interface in an empty group all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from forensics.containment import calls
from forensics.models.containment import PlanStep, Stage
from forensics.models.target_facts import EndpointFacts, InstanceFacts, InterfaceFacts, OwnGroup

QUARANTINE, CONVERSION, ACCESS = "quarantine", "conversion", "access"
SSM_SERVICES = frozenset({"ssm", "ssmmessages", "ec2messages"})
NEEDED_SERVICES = frozenset({"ssm", "s3"})
ACCESS_SERVICES = SSM_SERVICES | {"s3", "kms", "logs"}


@dataclass(frozen=True)
class Groups:
    """Names of the groups of one case."""

    case_id: str
    token: str

    def name(self, purpose: str) -> str:
        """Name of a group; the token is drawn at random when the plan is made and is secret until then."""
        return f"forensics-{purpose}-{self.case_id}-{self.token}"

    def find(self, facts: InstanceFacts, *, purpose: str, vpc_id: str) -> OwnGroup | None:
        """The group that an earlier try made."""
        name = self.name(purpose)
        return next((g for g in facts.own_groups if g.name == name and g.vpc_id == vpc_id), None)

    def reference(self, facts: InstanceFacts, *, purpose: str, vpc_id: str) -> str:
        """The group's id, or the placeholder that its creation fills."""
        found = self.find(facts, purpose=purpose, vpc_id=vpc_id)
        return found.id if found else placeholder(purpose, vpc_id)


def placeholder(purpose: str, vpc_id: str) -> str:
    """Stands for the id of a group that does not exist yet."""
    return f"${{{purpose}:{vpc_id}}}"


def altered(facts: InstanceFacts, *, groups: Groups) -> list[OwnGroup]:
    """Quarantine groups of ours that somebody gave rules: they are not used again (R42).

    The rule that EC2 gives every new group (all egress) is no such sign: a killed try leaves it.
    """
    found = (groups.find(facts, purpose=QUARANTINE, vpc_id=vpc) for vpc in {i.vpc_id for i in facts.interfaces})
    return [g for g in found if g and (g.ingress or any(not _is_default(r) for r in g.egress))]


def _is_default(permission: dict[str, object]) -> bool:
    """Whether an egress permission is only 'everything', as EC2 makes it (also for ::/0 in an IPv6 VPC)."""
    return permission.get("IpProtocol") == "-1" and not (
        permission.get("UserIdGroupPairs") or permission.get("PrefixListIds")
    )


def network_steps(
    facts: InstanceFacts,
    *,
    original: InstanceFacts,
    groups: Groups,
    break_flows: bool,
    idle_seconds: int,
    final: str = QUARANTINE,
) -> Iterator[PlanStep]:
    """Everything from the groups to the change of every interface; ``final`` is the group they end in."""
    before = {i.id: i for i in original.interfaces}
    by_vpc: dict[str, list[InterfaceFacts]] = {}
    for interface in facts.interfaces:
        by_vpc.setdefault(interface.vpc_id, []).append(interface)
    for vpc_id, members in sorted(by_vpc.items()):
        end = groups.reference(facts, purpose=final, vpc_id=vpc_id)
        through = groups.reference(facts, purpose=CONVERSION, vpc_id=vpc_id)
        moving = [i for i in members if i.group_ids != (end,)]
        opening = [i for i in moving if i.group_ids != (through,)] if break_flows and facts.state == "running" else []
        if moving:
            yield from _empty_group(facts, groups, vpc_id=vpc_id, purpose=final)
        if opening:
            yield from _open_group(facts, groups, vpc_id=vpc_id)
        for interface in moving:
            yield from _change(
                interface,
                undo=before.get(interface.id, interface),
                end=end,
                through=through if interface in opening else None,
                needs=_made(facts, groups, vpc_id=vpc_id, purpose=final),
                opened=_made(facts, groups, vpc_id=vpc_id, purpose=CONVERSION),
            )
        if opening or groups.find(facts, purpose=CONVERSION, vpc_id=vpc_id):
            yield PlanStep(
                id=f"isolate.cleanup.{vpc_id}",
                stage=Stage.CLEANUP,
                target=through,
                call=calls.delete_group(through),
                reason="the open group is not needed any more",
                needs=tuple(f"isolate.close.{i.id}" for i in moving),
            )
    yield from _addresses(facts)
    if idle_seconds and final == QUARANTINE:
        yield from _idle(facts, before, seconds=idle_seconds)


def _made(facts: InstanceFacts, groups: Groups, *, vpc_id: str, purpose: str) -> tuple[str, ...]:
    """Ids of the steps that make a group; none when it exists and is as it should be."""
    if purpose == CONVERSION:
        steps: Iterator[PlanStep] = _open_group(facts, groups, vpc_id=vpc_id)
    else:
        steps = _empty_group(facts, groups, vpc_id=vpc_id, purpose=purpose)
    return tuple(s.id for s in steps)


def _empty_group(facts: InstanceFacts, groups: Groups, *, vpc_id: str, purpose: str) -> Iterator[PlanStep]:
    found = groups.find(facts, purpose=purpose, vpc_id=vpc_id)
    reference = found.id if found else placeholder(purpose, vpc_id)
    create = f"isolate.group.{purpose}.{vpc_id}"
    if found is None:
        yield PlanStep(
            id=create,
            stage=Stage.GROUPS,
            target=vpc_id,
            call=calls.create_group(groups.case_id, name=groups.name(purpose), vpc_id=vpc_id, purpose=purpose),
            undo=(calls.delete_group(reference),),
            reason="a group of this case's own in the interface's VPC",
            gives=placeholder(purpose, vpc_id),
        )
    wanted = access_rules(facts.endpoints, vpc_id=vpc_id) if purpose == ACCESS else []
    born_with = calls.EVERYTHING if vpc_id in facts.ipv6_vpcs else calls.DEFAULT_EGRESS
    egress = list(found.egress) if found else born_with
    needs = () if found else (create,)
    if egress and not (found and wanted):
        yield PlanStep(
            id=f"isolate.strip.{purpose}.{vpc_id}",
            stage=Stage.RULES,
            target=reference,
            call=calls.revoke(reference, egress=True, permissions=list(egress)),
            reason="EC2 gives every new group a rule that lets everything out",
            needs=needs,
        )
    if wanted and not found:
        yield PlanStep(
            id=f"isolate.allow.{purpose}.{vpc_id}",
            stage=Stage.RULES,
            target=reference,
            call=calls.authorize(reference, egress=True, permissions=wanted),
            reason="https to the VPC endpoints of SSM and S3 and nothing else: acquisition goes on",
            needs=needs,
        )


def _open_group(facts: InstanceFacts, groups: Groups, *, vpc_id: str) -> Iterator[PlanStep]:
    found = groups.find(facts, purpose=CONVERSION, vpc_id=vpc_id)
    reference = found.id if found else placeholder(CONVERSION, vpc_id)
    create = f"isolate.group.{CONVERSION}.{vpc_id}"
    if found is None:
        yield PlanStep(
            id=create,
            stage=Stage.GROUPS,
            target=vpc_id,
            call=calls.create_group(groups.case_id, name=groups.name(CONVERSION), vpc_id=vpc_id, purpose=CONVERSION),
            undo=(calls.delete_group(reference),),
            reason="a group in which connections are not tracked",
            gives=placeholder(CONVERSION, vpc_id),
        )
    needs = () if found else (create,)
    if not (found and found.ingress):
        yield PlanStep(
            id=f"isolate.untrack.ingress.{vpc_id}",
            stage=Stage.RULES,
            target=reference,
            call=calls.authorize(reference, egress=False, permissions=calls.EVERYTHING),
            reason="everything allowed in both directions, v4 and v6, is not tracked",
            needs=needs,
        )
    if not (found and _has_v6(found)):
        yield PlanStep(
            id=f"isolate.untrack.egress.{vpc_id}",
            stage=Stage.RULES,
            target=reference,
            call=calls.authorize(reference, egress=True, permissions=calls.V6_EGRESS),
            reason="EC2's own rule of a new group covers v4 only",
            needs=needs,
        )


def _has_v6(group: OwnGroup) -> bool:
    return any(r.get("Ipv6Ranges") for r in group.egress)


def _change(
    interface: InterfaceFacts,
    *,
    undo: InterfaceFacts,
    end: str,
    through: str | None,
    needs: tuple[str, ...],
    opened: tuple[str, ...],
) -> Iterator[PlanStep]:
    back = (calls.interface_groups(undo.id, groups=list(undo.group_ids)),)
    if through:
        yield PlanStep(
            id=f"isolate.open.{interface.id}",
            stage=Stage.OPEN,
            target=interface.id,
            call=calls.interface_groups(interface.id, groups=[through]),
            undo=back,
            reason="open connections stop being tracked",
            side_effects=("for an instant the interface accepts everything; its Elastic IPs are off by then",),
            needs=(*needs, *opened),
        )
    yield PlanStep(
        id=f"isolate.close.{interface.id}",
        stage=Stage.CLOSE,
        target=interface.id,
        call=calls.interface_groups(interface.id, groups=[end]),
        undo=back,
        reason="no new connection, in or out, v4 or v6",
        needs=needs,
    )


def _addresses(facts: InstanceFacts) -> Iterator[PlanStep]:
    for interface in facts.interfaces:
        for address in interface.addresses:
            yield PlanStep(
                id=f"address.{address.public_ip}.{interface.id}",
                stage=Stage.ADDRESSES,
                target=address.public_ip,
                call=calls.disassociate(address),
                undo=(calls.associate(interface.id, address=address),),
                reason="the public path is closed; the address stays allocated, it is needed for attribution",
                side_effects=(f"whoever uses {address.public_ip} loses it until release",),
            )


def _idle(facts: InstanceFacts, before: dict[str, InterfaceFacts], *, seconds: int) -> Iterator[PlanStep]:
    """Hardening option for running targets: tracked connections that are idle die after a minute instead of five days."""
    for interface in facts.interfaces:
        if interface.idle_timeout != seconds and interface.id in before:
            old = before[interface.id].idle_timeout or calls.DEFAULT_IDLE_SECONDS
            yield PlanStep(
                id=f"isolate.idle.{interface.id}",
                stage=Stage.ADDRESSES,
                target=interface.id,
                call=calls.idle_timeout(interface.id, seconds=seconds),
                undo=(calls.idle_timeout(interface.id, seconds=old),),
                reason=f"tracked connections that are idle are forgotten after {seconds} s",
            )


def access_rules(endpoints: tuple[EndpointFacts, ...], *, vpc_id: str) -> list[dict[str, object]]:
    """Egress of the forensic-access group: https to the endpoints' groups and to S3's prefix list (R43)."""
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


def access_missing(facts: InstanceFacts) -> list[str]:
    """Endpoints without which a command cannot reach a contained target, per VPC of the target; empty: it can."""
    vpc_ids = {i.vpc_id for i in facts.interfaces if i.device_index == 0} or {i.vpc_id for i in facts.interfaces}
    missing = []
    for vpc_id in sorted(vpc_ids):
        have = {e.service for e in facts.endpoints if e.vpc_id == vpc_id}
        missing += [f"{service} in {vpc_id}" for service in sorted(NEEDED_SERVICES - have)]
        if not have & {"ssmmessages", "ec2messages"}:
            missing.append(f"ssmmessages in {vpc_id}")
    return missing
