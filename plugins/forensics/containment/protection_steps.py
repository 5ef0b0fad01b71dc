"""The part of a containment plan that keeps the evidence: protections, Auto Scaling, load balancers. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from forensics.containment import calls
from forensics.models.containment import ApiCall, PlanStep, Stage
from forensics.models.target_facts import InstanceFacts, ScalingFacts

# Lifecycle states of Auto Scaling in which the group does not act on the instance; "Detached" is this product's word for
# an instance that is not a member any more.
OUT_OF_GROUP = frozenset({"Standby", "EnteringStandby", "Detached", "Detaching"})


def protection_steps(facts: InstanceFacts, *, original: InstanceFacts, case_id: str) -> Iterator[PlanStep]:
    """Everything that keeps the target and its evidence, before anything isolates it; in the order of the stages."""
    yield from _mark(facts, case_id)
    yield from preserving_steps(facts, original=original, leave_group=True)
    yield from _balancers(facts)


def preserving_steps(facts: InstanceFacts, *, original: InstanceFacts, leave_group: bool) -> Iterator[PlanStep]:
    """What keeps the target and its volumes from being ended, and changes nothing that its service does itself.

    ``leave_group``: also out of its Auto Scaling group, which launches a replacement. Without it the group may still end the
    target after a failed health check.
    """
    yield from _attributes(facts, original)
    yield from _attachments(facts)
    yield from _scaling(facts, leave_group=leave_group)


def guarding_step(facts: InstanceFacts, *, case_id: str) -> Iterator[PlanStep]:
    """The tag on which service control policies deny that others end the target or take its protections off."""
    if facts.guarded != case_id:
        put, undo = (make(case_id, instance_id=facts.instance_id) for make in (calls.guard, calls.unguard))
        yield _step("guard", put, undo, target=facts.instance_id, reason="nobody in its account may end it meanwhile")


def ways_to_lose(facts: InstanceFacts) -> tuple[str, ...]:
    """How a target can be lost although every step of :func:`preserving_steps` was made, in words."""
    found = []
    if facts.spot:
        found.append(
            "it is a Spot instance: EC2 refuses termination and stop protection, and may take it back at any time"
        )
    group = facts.scaling
    if group is not None and group.lifecycle not in OUT_OF_GROUP:
        found.append(f"it stays in Auto Scaling group {group.group}, whose health check may terminate it")
    return tuple(found)


def _step(name: str, call: ApiCall, undo: ApiCall, *, target: str, reason: str) -> PlanStep:
    return PlanStep(id=f"protect.{name}", stage=Stage.PROTECT, target=target, call=call, undo=(undo,), reason=reason)


def _mark(facts: InstanceFacts, case_id: str) -> Iterator[PlanStep]:
    """Instance and interfaces carry the tag on which service control policies deny that others change them."""
    ids = [facts.instance_id] if facts.contained != case_id else []
    ids += [interface.id for interface in facts.interfaces if interface.contained != case_id]
    if ids:
        put, undo = calls.mark(case_id, ids=ids), calls.unmark(case_id, ids=ids)
        yield _step("mark", put, undo, target=", ".join(ids), reason="nobody in its account may undo the containment")


def _attributes(facts: InstanceFacts, original: InstanceFacts) -> Iterator[PlanStep]:
    """Attributes of the instance. EC2 refuses them for Spot instances: there they are residuals instead."""
    if facts.spot:
        return
    instance = facts.instance_id
    for attribute, value, before, reason in (
        ("DisableApiTermination", facts.termination_protected, original.termination_protected, "nobody terminates it"),
        ("DisableApiStop", facts.stop_protected, original.stop_protected, "nobody stops it: a stop loses its memory"),
    ):
        if not value:
            protect, undo = (calls.protection(instance, attribute=attribute, value=v) for v in (True, bool(before)))
            yield _step(attribute, protect, undo, target=instance, reason=reason)
    if facts.shutdown_behavior == "terminate":
        stop, undo = (calls.shutdown_behavior(instance, value=v) for v in ("stop", "terminate"))
        yield _step("shutdown", stop, undo, target=instance, reason="a shutdown from inside must not terminate it")


def _attachments(facts: InstanceFacts) -> Iterator[PlanStep]:
    """Volumes and interfaces that would go with the instance, and the host that it runs on."""
    instance = facts.instance_id
    if devices := [v.device for v in facts.volumes if v.delete_on_termination]:
        keep, undo = (calls.keep_volumes(instance, devices=devices, delete=d) for d in (False, True))
        yield _step("volumes", keep, undo, target=", ".join(devices), reason="the volumes outlive the instance")
    for interface in facts.interfaces:
        if interface.delete_on_termination and interface.attachment_id:
            keep, undo = (calls.keep_interface(interface, delete=d) for d in (False, True))
            yield _step(
                f"interface.{interface.id}",
                keep,
                undo,
                target=interface.id,
                reason="its addresses are needed for attribution",
            )
    if facts.auto_recovery == "default":
        off, on = (calls.auto_recovery(instance, value=v) for v in ("disabled", "default"))
        reason = "automatic recovery would move it to another host and lose its memory"
        yield _step("recovery", off, on, target=instance, reason=reason)


def _scaling(facts: InstanceFacts, *, leave_group: bool) -> Iterator[PlanStep]:
    """Out of its Auto Scaling group before isolation, so that no health check ends the evidence."""
    group, instance = facts.scaling, facts.instance_id
    if group is None or group.lifecycle in OUT_OF_GROUP:
        return
    if group.lifecycle == "InService" and not group.protected:
        protect, undo = (calls.scale_in_protection(instance, facts=group, value=v) for v in (True, False))
        yield PlanStep(
            id="scaling.protect",
            stage=Stage.SCALING,
            target=group.group,
            call=protect,
            undo=(undo,),
            reason="the group must not choose it when it shrinks",
        )
    if leave_group:
        yield _leave_group(facts, group)


def _leave_group(facts: InstanceFacts, group: ScalingFacts) -> PlanStep:
    leave = calls.leave_group(facts.instance_id, facts=group, running=facts.state == "running")
    back = "exit_standby" if leave.operation == "enter_standby" else "attach_instances"
    return PlanStep(
        id="scaling.leave",
        stage=Stage.STANDBY,
        target=group.group,
        call=leave,
        undo=(calls.scaling_call(back, AutoScalingGroupName=group.group, InstanceIds=[facts.instance_id]),),
        reason="the group's health check would terminate it",
        side_effects=(f"group {group.group} launches a replacement (desired capacity stays {group.desired})",),
    )


def _balancers(facts: InstanceFacts) -> Iterator[PlanStep]:
    """Out of every load balancer. Nothing waits for draining: isolation ends the connections anyway.

    A stopped instance stays in its target groups: it gets no traffic there, and RegisterTargets would not take it back.
    """
    for member in facts.memberships:
        if facts.state != "running" and member.kind == "elbv2" and member.target_id == facts.instance_id:
            continue
        others = (
            f"{member.others} other targets stay" if member.others else "NO other target stays: the service is down"
        )
        yield PlanStep(
            id=f"balancer.{member.balancer}.{member.target_id}.{member.port or 0}",
            stage=Stage.BALANCERS,
            target=member.balancer,
            call=calls.deregister(member),
            undo=(calls.register(member),),
            reason="no traffic and no health check through the balancer",
            side_effects=(f"{member.balancer}: {others}",),
        )
