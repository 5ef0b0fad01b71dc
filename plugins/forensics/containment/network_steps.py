"""The part of a containment plan that cuts the network: groups per VPC, Elastic IPs, the two-step change. Pure.

1. An empty group per VPC, known by its id and by a name that nobody can guess beforehand.
2. Elastic IPs off, so that nobody gets in by them during step 3.
3. On a running instance each interface goes through a group that allows everything, v4 and v6: AWS does not track
   connections there, and what is not tracked ends when the rule that allowed it goes (EC2 user guide, "Security group
   connection tracking"). Then into the empty group. When that fails, the rules of the open group are taken away
   instead, which leaves the interface in an empty group all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from forensics.containment import calls
from forensics.containment.quarantine_groups import (
    ACCESS,
    CONVERSION,
    QUARANTINE,
    CaseGroups,
    access_rules,
    placeholder,
)
from forensics.models.containment import PlanStep, Stage
from forensics.models.target_facts import InstanceFacts, InterfaceFacts, OwnGroup


def network_steps(
    facts: InstanceFacts,
    *,
    original: InstanceFacts,
    groups: CaseGroups,
    break_flows: bool,
    idle_seconds: int,
    final: str = QUARANTINE,
) -> Iterator[PlanStep]:
    """Everything from the groups to the change of every interface; ``final`` is the purpose of the group they end in."""
    before = {i.id: i for i in original.interfaces}
    opens = break_flows and facts.state == "running"
    for vpc_id in sorted({i.vpc_id for i in facts.interfaces}):
        yield from _in_vpc(facts, before, groups, vpc_id=vpc_id, opens=opens, final=final)
    yield from _addresses(facts)
    if idle_seconds and final == QUARANTINE:
        yield from _idle(facts, before, seconds=idle_seconds)


def _in_vpc(
    facts: InstanceFacts,
    before: dict[str, InterfaceFacts],
    groups: CaseGroups,
    *,
    vpc_id: str,
    opens: bool,
    final: str,
) -> Iterator[PlanStep]:
    end = groups.reference(facts, purpose=final, vpc_id=vpc_id)
    through = groups.reference(facts, purpose=CONVERSION, vpc_id=vpc_id)
    moving = [i for i in facts.interfaces if i.vpc_id == vpc_id and i.group_ids != (end,)]
    opening = [i for i in moving if opens and i.group_ids != (through,)]
    make_end = list(_end_group(facts, groups, vpc_id=vpc_id, purpose=final)) if moving else []
    make_through = list(_open_group(facts, groups, vpc_id=vpc_id)) if opening else []
    yield from make_end
    yield from make_through
    for interface in moving:
        undo = before.get(interface.id, interface)
        if interface in opening:
            yield _open(interface, undo=undo, through=through, needs=_ids([*make_end, *make_through]))
        yield _close(interface, undo=undo, end=end, needs=_ids(make_end))
    if opening or groups.find(facts, purpose=CONVERSION, vpc_id=vpc_id):
        yield PlanStep(
            id=f"isolate.cleanup.{vpc_id}",
            stage=Stage.CLEANUP,
            target=through,
            call=calls.delete_group(through),
            reason="the open group is not needed any more",
            needs=tuple(f"isolate.close.{i.id}" for i in moving),
        )


def _ids(steps: Sequence[PlanStep]) -> tuple[str, ...]:
    return tuple(s.id for s in steps)


def _create(groups: CaseGroups, *, vpc_id: str, purpose: str, reason: str) -> PlanStep:
    new = placeholder(purpose, vpc_id)
    return PlanStep(
        id=f"isolate.group.{purpose}.{vpc_id}",
        stage=Stage.GROUPS,
        target=vpc_id,
        call=calls.create_group(groups.case_id, name=groups.name(purpose), vpc_id=vpc_id, purpose=purpose),
        undo=(calls.delete_group(new),),
        reason=reason,
        gives=new,
    )


def _end_group(facts: InstanceFacts, groups: CaseGroups, *, vpc_id: str, purpose: str) -> Iterator[PlanStep]:
    """The steps that are missing until the group exists with exactly its rules: none for quarantine."""
    found = groups.find(facts, purpose=purpose, vpc_id=vpc_id)
    reference = found.id if found else placeholder(purpose, vpc_id)
    needs: tuple[str, ...] = ()
    if found is None:
        create = _create(
            groups, vpc_id=vpc_id, purpose=purpose, reason="a group of this case's own in the interface's VPC"
        )
        yield create
        needs = (create.id,)
    wanted = access_rules(facts.endpoints, vpc_id=vpc_id) if purpose == ACCESS else []
    born_with = calls.EVERYTHING if vpc_id in facts.ipv6_vpcs else calls.DEFAULT_EGRESS
    egress = list(found.egress) if found else born_with
    if egress and not (found and wanted):
        yield PlanStep(
            id=f"isolate.strip.{purpose}.{vpc_id}",
            stage=Stage.RULES,
            target=reference,
            call=calls.revoke(reference, egress=True, permissions=egress),
            reason="EC2 gives every new group a rule that lets everything out",
            needs=needs,
        )
    if wanted and not found:
        yield PlanStep(
            id=f"isolate.allow.{purpose}.{vpc_id}",
            stage=Stage.RULES,
            target=reference,
            call=calls.authorize(reference, egress=True, permissions=wanted),
            reason="https to the VPC endpoints of SSM and S3 and nothing else: acquisition continues",
            needs=needs,
        )


def _open_group(facts: InstanceFacts, groups: CaseGroups, *, vpc_id: str) -> Iterator[PlanStep]:
    found = groups.find(facts, purpose=CONVERSION, vpc_id=vpc_id)
    reference = found.id if found else placeholder(CONVERSION, vpc_id)
    needs: tuple[str, ...] = ()
    if found is None:
        create = _create(
            groups, vpc_id=vpc_id, purpose=CONVERSION, reason="a group in which connections are not tracked"
        )
        yield create
        needs = (create.id,)
    if not (found and found.ingress):
        yield PlanStep(
            id=f"isolate.untrack.ingress.{vpc_id}",
            stage=Stage.RULES,
            target=reference,
            call=calls.authorize(reference, egress=False, permissions=calls.EVERYTHING),
            reason="what is allowed in both directions for every v4 and v6 address is not tracked",
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


def _open(interface: InterfaceFacts, *, undo: InterfaceFacts, through: str, needs: tuple[str, ...]) -> PlanStep:
    return PlanStep(
        id=f"isolate.open.{interface.id}",
        stage=Stage.OPEN,
        target=interface.id,
        call=calls.interface_groups(interface.id, groups=[through]),
        undo=(calls.interface_groups(undo.id, groups=list(undo.group_ids)),),
        reason="open connections are no longer tracked",
        side_effects=("for an instant the interface accepts everything; its Elastic IPs are off by then",),
        needs=needs,
    )


def _close(interface: InterfaceFacts, *, undo: InterfaceFacts, end: str, needs: tuple[str, ...]) -> PlanStep:
    return PlanStep(
        id=f"isolate.close.{interface.id}",
        stage=Stage.CLOSE,
        target=interface.id,
        call=calls.interface_groups(interface.id, groups=[end]),
        undo=(calls.interface_groups(undo.id, groups=list(undo.group_ids)),),
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
    """Tracked connections that are idle end after these seconds instead of five days."""
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
