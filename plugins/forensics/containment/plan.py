"""Target + policy -> containment plan: every call in order, its undo, its reason, who else feels it. Pure.

A plan is made from what AWS says *now*: what is done already is not in it, so a retry's plan is what is still open.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from forensics.containment import calls
from forensics.containment.containment_state import hardening_options, residuals
from forensics.containment.manual_steps import manual_steps
from forensics.containment.quarantine_groups import Groups, network_steps
from forensics.custody.chain import canonical
from forensics.models.containment import STAGES, ApiCall, ContainmentPlan, PlanStep, Stage
from forensics.models.target_facts import InstanceFacts, ProfileFacts

# Lifecycle states of Auto Scaling in which the group lets the instance be; "Detached" is ours: no member any more.
OUT_OF_GROUP = frozenset({"Standby", "EnteringStandby", "Detached", "Detaching"})


@dataclass(frozen=True)
class ContainmentPolicy:
    """What the deployment, or a case's response plan, wants of containment."""

    contain_first: bool = False
    break_flows: bool = True
    idle_seconds: int = 0
    deny_profile: str = ""
    revoke_role: bool = False
    credentials_first: bool = False
    asks: tuple[str, ...] = ()
    approval: tuple[str, ...] = ()

    @property
    def order(self) -> str:
        """The order's name as the response plan spells it."""
        return "contain_first" if self.contain_first else "acquire_first"


def make_plan(
    facts: InstanceFacts,
    *,
    original: InstanceFacts,
    case_id: str,
    token: str,
    policy: ContainmentPolicy,
    now: datetime,
) -> ContainmentPlan:
    """Plan the whole containment from the target as it is; ``original`` is what the undo goes back to."""
    steps = [
        *_protections(facts, original),
        *_scaling(facts),
        *_balancers(facts),
        *network_steps(
            facts,
            original=original,
            groups=Groups(case_id, token),
            break_flows=policy.break_flows,
            idle_seconds=policy.idle_seconds,
        ),
        *_credentials(facts, original, case_id=case_id, policy=policy, now=now),
    ]
    return assemble(facts, steps=steps, case_id=case_id, token=token, policy=policy, now=now)


def assemble(
    facts: InstanceFacts,
    *,
    steps: list[PlanStep],
    case_id: str,
    token: str,
    policy: ContainmentPolicy,
    now: datetime,
) -> ContainmentPlan:
    """Put steps in the order of the stages and say what they leave open."""
    ordered = tuple(sorted(steps, key=lambda s: STAGES.index(s.stage)))
    return ContainmentPlan(
        case_id=case_id,
        instance_id=facts.instance_id,
        order=policy.order,
        steps=ordered,
        residuals=residuals(facts, deny_profile=policy.deny_profile),
        hardening_options=hardening_options(facts, asked=policy.asks),
        manual_steps=manual_steps(facts, case_id=case_id),
        approval=approval_reasons(facts, policy),
        token=token,
        digest=plan_digest(ordered),
        made_at=now,
    )


def plan_digest(steps: tuple[PlanStep, ...]) -> str:
    """SHA-256 over the steps' canonical JSON: what an approval is bound to."""
    return hashlib.sha256(canonical([s.model_dump(mode="json", by_alias=True) for s in steps])).hexdigest()


def beyond(plan: ContainmentPlan, *, approved: ContainmentPlan) -> list[str]:
    """Steps that the approved plan does not have: a changed plan may not run under an old approval (R99).

    Steps are compared by what they change, not by ids of groups that were made meanwhile.
    """
    known = {(s.id, s.call.operation) for s in approved.steps}
    return [f"{s.id} ({s.call})" for s in plan.steps if (s.id, s.call.operation) not in known]


def approval_reasons(facts: InstanceFacts, policy: ContainmentPolicy) -> tuple[str, ...]:
    """Why a person has to agree: what the response plan says, and a revocation that others would feel."""
    reasons = list(policy.approval)
    profile = facts.profile
    if policy.revoke_role and profile and others_use(profile):
        reasons.append(f"all sessions of role {profile.role} would be revoked; it is used by {others_use(profile)}")
    return tuple(reasons)


def others_use(profile: ProfileFacts) -> str:
    """Who else uses the role, in words; empty when nobody is known to."""
    return ", ".join([*profile.shared_with, *profile.other_principals])


def _protections(facts: InstanceFacts, original: InstanceFacts) -> Iterator[PlanStep]:
    """Preserve before you pull (R45). EC2 refuses protections of Spot instances: they are residuals instead."""
    instance = facts.instance_id

    def step(name: str, call: ApiCall, undo: ApiCall, reason: str, target: str = instance) -> PlanStep:
        return PlanStep(
            id=f"protect.{name}", stage=Stage.PROTECT, target=target, call=call, undo=(undo,), reason=reason
        )

    for attribute, value, before, reason in (
        ("DisableApiTermination", facts.termination_protected, original.termination_protected, "nobody terminates it"),
        ("DisableApiStop", facts.stop_protected, original.stop_protected, "nobody stops it: a stop loses its memory"),
    ):
        if not value and not facts.spot:
            undo = calls.protection(instance, attribute=attribute, value=bool(before))
            yield step(attribute, calls.protection(instance, attribute=attribute, value=True), undo, reason)
    if facts.shutdown_behavior == "terminate" and not facts.spot:
        behavior = calls.shutdown_behavior(instance, value="stop")
        undo = calls.shutdown_behavior(instance, value="terminate")
        yield step("shutdown", behavior, undo, "a shutdown from inside must not terminate it")
    devices = [v.device for v in facts.volumes if v.delete_on_termination]
    if devices:
        yield step(
            "volumes",
            calls.keep_volumes(instance, devices=devices, delete=False),
            calls.keep_volumes(instance, devices=devices, delete=True),
            "the volumes outlive the instance",
            ", ".join(devices),
        )
    for interface in facts.interfaces:
        if interface.delete_on_termination and interface.attachment_id:
            keep, undo = (calls.keep_interface(interface, delete=d) for d in (False, True))
            yield step(
                f"interface.{interface.id}", keep, undo, "its addresses are needed for attribution", interface.id
            )
    if facts.auto_recovery == "default":
        off, on = (calls.auto_recovery(instance, value=v) for v in ("disabled", "default"))
        yield step("recovery", off, on, "automatic recovery would move it and lose its memory")


def _scaling(facts: InstanceFacts) -> Iterator[PlanStep]:
    """Out of its Auto Scaling group before isolation, so that no health check ends the evidence (R46)."""
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
    leave = calls.leave_group(instance, facts=group, running=facts.state == "running")
    back = "exit_standby" if leave.operation == "enter_standby" else "attach_instances"
    yield PlanStep(
        id="scaling.leave",
        stage=Stage.STANDBY,
        target=group.group,
        call=leave,
        undo=(calls.scaling(back, AutoScalingGroupName=group.group, InstanceIds=[instance]),),
        reason="the group's health check would terminate an isolated instance",
        side_effects=(f"group {group.group} launches a replacement (desired capacity stays {group.desired})",),
    )


def _balancers(facts: InstanceFacts) -> Iterator[PlanStep]:
    """Out of every balancer. Draining is not waited for: isolation ends the connections anyway.

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


def _credentials(
    facts: InstanceFacts, original: InstanceFacts, *, case_id: str, policy: ContainmentPolicy, now: datetime
) -> Iterator[PlanStep]:
    """Cut both the issue and the use of credentials (R44)."""
    instance, options = facts.instance_id, original.metadata
    stage = Stage.CREDENTIALS_FIRST if policy.credentials_first else Stage.CREDENTIALS
    if facts.metadata and options and facts.metadata.endpoint != "disabled":
        yield PlanStep(
            id="credentials.metadata",
            stage=stage,
            target=instance,
            call=calls.metadata_off(instance),
            undo=(calls.metadata(instance, options=options),),
            reason="the host gets no new credentials (the SSM agent neither: its work is done)",
        )
    profile = original.profile
    if profile and profile.role:
        yield from _role(facts, profile, case_id=case_id, policy=policy, now=now)
    if facts.profile and profile and facts.profile.name != policy.deny_profile:
        replace = bool(policy.deny_profile) and facts.deny_profile_exists
        association = facts.profile.association_id
        yield PlanStep(
            id="credentials.profile",
            stage=stage,
            target=facts.profile.name,
            call=(
                calls.replace_profile(association, name=policy.deny_profile)
                if replace
                else calls.drop_profile(association)
            ),
            undo=(
                calls.replace_profile("${association:now}", name=profile.name)
                if replace
                else calls.give_profile(instance, name=profile.name),
            ),
            reason="a profile that may do nothing" if replace else "no profile (there is no deny-all profile here)",
        )


def _role(
    facts: InstanceFacts, profile: ProfileFacts, *, case_id: str, policy: ContainmentPolicy, now: datetime
) -> Iterator[PlanStep]:
    role = str(profile.role)
    stage = Stage.CREDENTIALS_FIRST if policy.credentials_first else Stage.CREDENTIALS
    name = calls.deny_policy_name(case_id)
    if name not in facts.role_policies:
        yield PlanStep(
            id="credentials.deny",
            stage=stage,
            target=role,
            call=calls.deny_instance(case_id, profile=profile, instance_id=facts.instance_id),
            undo=(calls.delete_policy(role, name=name),),
            reason="credentials that this instance has already got are dead; other users of the role keep theirs",
        )
    revoke = calls.revoke_policy_name(case_id)
    if policy.revoke_role and revoke not in facts.role_policies:
        users = others_use(profile)
        yield PlanStep(
            id="credentials.revoke",
            stage=stage,
            target=role,
            call=calls.revoke_role(case_id, profile=profile, before=now),
            undo=(calls.delete_policy(role, name=revoke),),
            reason="policy asks for every older session of the role to be revoked",
            side_effects=(f"all of them lose their sessions: {users}",) if users else (),
        )
