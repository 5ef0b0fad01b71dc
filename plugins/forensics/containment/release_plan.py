"""Restore point + target as it is -> the calls that bring it back, and what still differs afterwards. Pure.

Release is a comparison, not a replay: it works after a partial containment, after a release that failed half-way, and
twice. The order is: credentials, network, balancers and group, protections last, so that nothing ends the instance
while it comes back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from forensics.containment import calls
from forensics.containment.plan import plan_digest
from forensics.containment.protection_steps import OUT_OF_GROUP
from forensics.custody.chain import canonical
from forensics.models.containment import ApiCall, PlanStep, ReleasePlan, Stage
from forensics.models.target_facts import InstanceFacts, InterfaceFacts, MembershipFacts, ScalingFacts


def release_calls(original: InstanceFacts, *, facts: InstanceFacts, case_id: str) -> list[ApiCall]:
    """The calls, in order, from the target as it is to the target as it was; empty when nothing differs."""
    return [
        *_credentials(original, facts, case_id=case_id),
        *_interfaces(original, facts),
        *_scaling(original, facts),
        *_balancers(original, facts),
        *_protections(original, facts),
        *[calls.delete_group(g.id) for g in facts.own_groups],
        *_guard(facts, case_id=case_id),
        *_marks(facts, case_id=case_id),
    ]


def unprotect_calls(
    original: InstanceFacts, *, facts: InstanceFacts, made: Sequence[PlanStep], case_id: str
) -> list[ApiCall]:
    """The calls that undo these protections alone; what the target no longer has of them, somebody else has changed already."""
    before = _as_if_only(original, facts, made)
    return [*_scaling(before, facts), *_protections(before, facts), *_guard(facts, case_id=case_id)]


def _guard(facts: InstanceFacts, *, case_id: str) -> Iterator[ApiCall]:
    if facts.guarded == case_id:
        yield calls.unguard(case_id, instance_id=facts.instance_id)


def _as_if_only(original: InstanceFacts, facts: InstanceFacts, made: Sequence[PlanStep]) -> InstanceFacts:
    """The target as it is now, but for what these steps have changed, which is as it was before."""
    ours = {step.id: step for step in made}
    changes: dict[str, object] = {field: getattr(original, field) for step, field in _FIELDS.items() if step in ours}
    devices = {m["DeviceName"] for step in made for m in _mappings(step)}
    was = {v.device: v for v in original.volumes}
    changes["volumes"] = tuple(was.get(v.device, v) if v.device in devices else v for v in facts.volumes)
    known = {i.id: i.delete_on_termination for i in original.interfaces if f"protect.interface.{i.id}" in ours}
    changes["interfaces"] = tuple(
        i.model_copy(update={"delete_on_termination": known.get(i.id, i.delete_on_termination)})
        for i in facts.interfaces
    )
    changes["scaling"] = _group_before(original.scaling, facts.scaling, ours)
    return facts.model_copy(update=changes)


def _mappings(step: PlanStep) -> list[dict[str, object]]:
    found = step.call.params.get("BlockDeviceMappings")
    return [dict(mapping) for mapping in found] if isinstance(found, list | tuple) else []


def _group_before(
    was: ScalingFacts | None, now: ScalingFacts | None, ours: Mapping[str, PlanStep]
) -> ScalingFacts | None:
    """The membership before; None when nothing of it is ours, or not any more."""
    protect, leave = ours.get("scaling.protect"), ours.get("scaling.leave")
    if was is None or now is None or was.group != now.group or not (protect or leave):
        return None
    detached = leave is not None and leave.call.operation == "detach_instances"
    if now.lifecycle == "Detached" and not detached:
        return None
    lifecycle = was.lifecycle if leave else now.lifecycle
    protected = was.protected if protect or detached else now.protected
    return now.model_copy(update={"lifecycle": lifecycle, "protected": protected, "target_groups": was.target_groups})


# Steps of protection that change one field of the facts each.
_FIELDS = {
    "protect.DisableApiTermination": "termination_protected",
    "protect.DisableApiStop": "stop_protected",
    "protect.shutdown": "shutdown_behavior",
    "protect.recovery": "auto_recovery",
}


def release_digest(calls_in_order: Sequence[ApiCall]) -> str:
    """Digest of a release's calls: what its approval is bound to."""
    return plan_digest(
        tuple(
            PlanStep(id=f"release.{n}", stage=Stage.CLEANUP, target="", call=call, reason="")
            for n, call in enumerate(calls_in_order)
        )
    )


def unapproved_calls(calls_now: Sequence[ApiCall], *, approved: ReleasePlan) -> list[str]:
    """Calls that the approved plan does not have exactly so: the same call with other parameters was not approved."""
    known = [_exact(call) for call in approved.calls]
    return [str(call) for call in calls_now if _exact(call) not in known]


def _exact(call: ApiCall) -> bytes:
    return canonical(call.model_dump(mode="json"))


def _marks(facts: InstanceFacts, *, case_id: str) -> Iterator[ApiCall]:
    """The tag goes last: until then nobody else may change the target."""
    ids = [facts.instance_id] if facts.contained == case_id else []
    ids += [interface.id for interface in facts.interfaces if interface.contained == case_id]
    if ids:
        yield calls.unmark(case_id, ids=ids)


def _credentials(original: InstanceFacts, facts: InstanceFacts, *, case_id: str) -> Iterator[ApiCall]:
    was, is_now = original.profile, facts.profile
    if was and was.role:
        for name in (calls.deny_policy_name(case_id), calls.revoke_policy_name(case_id)):
            if name in facts.role_policies:
                yield calls.delete_policy(was.role, name=name)
    if was and is_now and was.name != is_now.name:
        yield calls.replace_profile(is_now.association_id, name=was.name)
    elif was and not is_now:
        yield calls.give_profile(facts.instance_id, name=was.name)
    if original.metadata and facts.metadata and original.metadata != facts.metadata:
        yield calls.metadata(facts.instance_id, options=original.metadata)


def _interfaces(original: InstanceFacts, facts: InstanceFacts) -> Iterator[ApiCall]:
    here = {i.id: i for i in facts.interfaces}
    for was in original.interfaces:
        now = here.get(was.id)
        if now is None:
            continue
        # what another deployment's containment had begun to move had its groups before: which, nobody here knows
        if was.group_ids and set(was.group_ids) != set(now.group_ids):
            yield calls.interface_groups(was.id, groups=list(was.group_ids))
        if _idle(was) != _idle(now):
            yield calls.idle_timeout(was.id, seconds=_idle(was))
        associated = {a.allocation_id for a in now.addresses}
        for address in was.addresses:
            if address.allocation_id not in associated:
                yield calls.associate(was.id, address=address)


def _idle(interface: InterfaceFacts) -> int:
    return interface.idle_timeout or calls.DEFAULT_IDLE_SECONDS


def _scaling(original: InstanceFacts, facts: InstanceFacts) -> Iterator[ApiCall]:
    """Back into the group.

    A return adds one to the desired capacity, so it is set back; the maximum is raised meanwhile when there is no room
    (ExitStandby and AttachInstances refuse to exceed it).
    """
    was, now = original.scaling, facts.scaling
    if was is None or now is None or now.lifecycle not in OUT_OF_GROUP or was.lifecycle in OUT_OF_GROUP:
        return
    desired, maximum = now.desired, now.maximum
    group = {"AutoScalingGroupName": was.group}
    if desired + 1 > maximum:
        yield calls.scaling_call("update_auto_scaling_group", **group, MaxSize=desired + 1)
    operation = "attach_instances" if now.lifecycle == "Detached" else "exit_standby"
    yield calls.scaling_call(operation, **group, InstanceIds=[facts.instance_id])
    if not now.protected:
        # the group is about to shrink by one: it must not be this one
        yield calls.scale_in_protection(facts.instance_id, facts=was, value=True)
    yield calls.scaling_call("set_desired_capacity", **group, DesiredCapacity=desired, HonorCooldown=False)
    if desired + 1 > maximum:
        yield calls.scaling_call("update_auto_scaling_group", **group, MaxSize=maximum)


def _balancers(original: InstanceFacts, facts: InstanceFacts) -> Iterator[ApiCall]:
    registered = {_member_key(m) for m in facts.memberships}
    returning = facts.scaling is not None and facts.scaling.lifecycle in OUT_OF_GROUP
    by_group = original.scaling.target_groups if original.scaling and returning else ()
    for member in original.memberships:
        # a group registers the instance itself when it comes back
        if _member_key(member) not in registered and member.balancer not in by_group:
            yield calls.register(member)


def _member_key(member: MembershipFacts) -> tuple[str, str, int | None]:
    return member.balancer, member.target_id, member.port


def _protections(original: InstanceFacts, facts: InstanceFacts) -> Iterator[ApiCall]:
    instance = facts.instance_id
    if original.scaling and not original.scaling.protected:
        now_group = facts.scaling
        # also when it is only protected on its way back into the group
        if now_group and (now_group.protected or now_group.lifecycle in OUT_OF_GROUP):
            yield calls.scale_in_protection(instance, facts=original.scaling, value=False)
    if original.auto_recovery and original.auto_recovery != facts.auto_recovery:
        yield calls.auto_recovery(instance, value=original.auto_recovery)
    kept = {i.id: i.delete_on_termination for i in facts.interfaces}
    for interface in original.interfaces:
        if interface.attachment_id and kept.get(interface.id, True) != interface.delete_on_termination:
            yield calls.keep_interface(interface, delete=interface.delete_on_termination)
    now = {v.device: v.delete_on_termination for v in facts.volumes}
    for flag in (True, False):
        devices = [
            v.device
            for v in original.volumes
            if v.delete_on_termination is flag and now.get(v.device, flag) is not flag
        ]
        if devices:
            yield calls.keep_volumes(instance, devices=devices, delete=flag)
    if original.shutdown_behavior and original.shutdown_behavior != facts.shutdown_behavior:
        yield calls.shutdown_behavior(instance, value=original.shutdown_behavior)
    for attribute, was, is_now in (
        ("DisableApiStop", original.stop_protected, facts.stop_protected),
        ("DisableApiTermination", original.termination_protected, facts.termination_protected),
    ):
        if was is not None and is_now is not None and was != is_now:
            yield calls.protection(instance, attribute=attribute, value=was)


# Ids that AWS makes anew when something is given back, and facts that say when and how the target was read. The tag of a containment
# is no part of what the target was: a call takes it away, or fails.
# The size of the Auto Scaling group is the group's own business: it may have grown since.
_NOT_COMPARED = frozenset(
    {
        "association_id", "others", "shared_with", "read_at", "endpoints", "deny_profile_exists", "unknown",
        "iam_unknown", "role_unread", "contained", "guarded", "desired", "minimum", "maximum",
    }
)  # fmt: skip


def differences(original: InstanceFacts, *, facts: InstanceFacts) -> list[str]:
    """What is not as it was, by field; empty after a complete release."""
    was, now = (_flat(_settled(f).model_dump(mode="json")) for f in (_comparable(original, facts), facts))
    return [
        f"{name}: was {was.get(name)!r}, is {now.get(name)!r}"
        for name in sorted(was.keys() | now.keys())
        if was.get(name) != now.get(name)
    ]


# Where a state that passes by itself ends (EC2 user guide, "Amazon EC2 instance state changes"; Auto Scaling user guide, "Amazon EC2 Auto
# Scaling instance lifecycle"): a target that was isolated while it started is not another one because it runs now.
_ENDS_AS = {"pending": "running", "stopping": "stopped"}
_JOINED = "InService"


def _settled(facts: InstanceFacts) -> InstanceFacts:
    group = facts.scaling
    if group and group.lifecycle.startswith("Pending"):
        group = group.model_copy(update={"lifecycle": _JOINED})
    return facts.model_copy(update={"state": _ENDS_AS.get(facts.state, facts.state), "scaling": group})


def _comparable(original: InstanceFacts, facts: InstanceFacts) -> InstanceFacts:
    """The restore point without what IAM never said of it, which cannot be compared: the profile's name counts then."""
    was, now = original.profile, facts.profile
    if was is None or now is None or not was.role_unread:
        return original
    said = {"role": now.role, "other_principals": now.other_principals}
    return original.model_copy(update={"profile": was.model_copy(update=said)})


def _flat(value: object, name: str = "") -> dict[str, object]:
    if isinstance(value, dict):
        items = [(str(k), v) for k, v in value.items() if k not in _NOT_COMPARED]
    elif isinstance(value, list) and any(isinstance(v, dict | list) for v in value):
        items = sorted(((_key(v), v) for v in value), key=lambda pair: pair[0])
    else:
        plain = sorted(map(str, value)) if isinstance(value, list) else value
        return {name: plain} if plain not in (None, []) else {}
    return {k: v for key, part in items for k, v in _flat(part, f"{name}.{key}".lstrip(".")).items()}


def _key(value: object) -> str:
    if isinstance(value, dict):
        for name in ("id", "allocation_id", "device", "balancer"):
            if name in value:
                return str(value[name])
    return str(value)
