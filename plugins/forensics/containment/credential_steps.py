"""The part of a containment plan that ends credentials: no new ones are issued, issued ones are denied. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from forensics.containment import calls
from forensics.containment.policy import ContainmentPolicy
from forensics.models.containment import PlanStep, Stage
from forensics.models.target_facts import InstanceFacts, ProfileFacts


def credential_steps(
    facts: InstanceFacts, *, original: InstanceFacts, case_id: str, policy: ContainmentPolicy, now: datetime
) -> Iterator[PlanStep]:
    """Metadata service off, the role denied to the target's sessions, the profile replaced or taken off.

    ``now`` is the time before which a role-wide revocation ends sessions, where policy asks for one.
    """
    instance, options, profile = facts.instance_id, original.metadata, original.profile
    stage = Stage.CREDENTIALS_FIRST if policy.credentials_first else Stage.CREDENTIALS
    if facts.metadata and options and facts.metadata.endpoint != "disabled":
        yield PlanStep(
            id="credentials.metadata",
            stage=stage,
            target=instance,
            call=calls.metadata_off(instance),
            undo=(calls.metadata(instance, options=options),),
            reason="the host gets no new credentials (nor does the SSM agent: its work is done)",
        )
    if profile and (profile.role or profile.role_unread):
        yield from _role(facts, profile, case_id=case_id, policy=policy, now=now, stage=stage)
    if facts.profile and profile and facts.profile.name != policy.deny_profile:
        yield _profile(facts, facts.profile, original=profile, deny_profile=policy.deny_profile, stage=stage)


def _role(
    facts: InstanceFacts,
    profile: ProfileFacts,
    *,
    case_id: str,
    policy: ContainmentPolicy,
    now: datetime,
    stage: Stage,
) -> Iterator[PlanStep]:
    role = calls.role_reference(profile)
    deny, revoke = calls.deny_policy_name(case_id), calls.revoke_policy_name(case_id)
    if deny not in facts.role_policies:
        yield PlanStep(
            id="credentials.deny",
            stage=stage,
            target=profile.role or f"the role of {profile.name}",
            call=calls.deny_instance(case_id, profile=profile, instance_id=facts.instance_id),
            undo=(calls.delete_policy(role, name=deny),),
            reason="credentials that this instance already has are denied, which takes effect within seconds to a minute;"
            " other users of the role keep theirs",
        )
    if policy.revoke_role and revoke not in facts.role_policies:
        users = others_use(profile)
        yield PlanStep(
            id="credentials.revoke",
            stage=stage,
            target=profile.role or f"the role of {profile.name}",
            call=calls.revoke_role(case_id, profile=profile, before=now),
            undo=(calls.delete_policy(role, name=revoke),),
            reason="policy asks for every older session of the role to be revoked",
            side_effects=(f"all of them lose their sessions: {users}",) if users else (),
        )


def _profile(
    facts: InstanceFacts, current: ProfileFacts, *, original: ProfileFacts, deny_profile: str, stage: Stage
) -> PlanStep:
    if deny_profile and facts.deny_profile_exists:
        call = calls.replace_profile(current.association_id, name=deny_profile)
        undo = calls.replace_profile("${association:now}", name=original.name)
        reason = "a profile that may do nothing"
    else:
        call = calls.drop_profile(current.association_id)
        undo = calls.give_profile(facts.instance_id, name=original.name)
        reason = "no profile (this account has no deny-all profile)"
    return PlanStep(id="credentials.profile", stage=stage, target=current.name, call=call, undo=(undo,), reason=reason)


def others_use(profile: ProfileFacts) -> str:
    """Who else uses the role, in words; empty when nobody is known to."""
    return ", ".join([*profile.shared_with, *profile.other_principals])
