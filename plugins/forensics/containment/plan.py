"""Target + policy -> containment plan: every call in order, its undo, its reason and side effects. Pure.

A plan is made from what AWS says *now*. What is done already is not in it, so a retry's plan is what is still open.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from forensics.containment.credential_steps import credential_steps, others_use
from forensics.containment.manual_steps import manual_steps
from forensics.containment.network_steps import network_steps
from forensics.containment.policy import ContainmentPolicy
from forensics.containment.protection_steps import protection_steps
from forensics.containment.quarantine_groups import CaseGroups
from forensics.containment.residuals import hardening_options, residuals
from forensics.custody.chain import canonical
from forensics.models.containment import STAGES, ContainmentPlan, PlanStep
from forensics.models.target_facts import InstanceFacts


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
        *protection_steps(facts, original=original, case_id=case_id),
        *network_steps(
            facts,
            original=original,
            groups=CaseGroups(case_id, token),
            break_flows=policy.break_flows,
            idle_seconds=policy.idle_seconds,
        ),
        *credential_steps(facts, original=original, case_id=case_id, policy=policy, now=now),
    ]
    return assemble_plan(facts, steps=steps, case_id=case_id, token=token, policy=policy, now=now)


def assemble_plan(
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
        hardening_options=hardening_options(facts, measures=policy.measures),
        manual_steps=manual_steps(facts, case_id=case_id),
        approval=approval_reasons(facts, policy),
        token=token,
        digest=plan_digest(ordered),
        made_at=now,
    )


def plan_digest(steps: tuple[PlanStep, ...]) -> str:
    """SHA-256 over the steps' canonical JSON as it is stored: what an approval is bound to."""
    return hashlib.sha256(canonical([s.model_dump(mode="json", by_alias=True) for s in steps])).hexdigest()


def unapproved_steps(plan: ContainmentPlan, *, approved: ContainmentPlan) -> list[str]:
    """Steps that the approved plan does not have: a changed plan may not run under an old approval.

    Steps are compared by what they change, not by ids of groups that were made meanwhile.
    """
    known = {(s.id, s.call.operation) for s in approved.steps}
    return [f"{s.id} ({s.call})" for s in plan.steps if (s.id, s.call.operation) not in known]


def approval_reasons(facts: InstanceFacts, policy: ContainmentPolicy) -> tuple[str, ...]:
    """Why a person has to agree: what the response plan says, and a revocation that affects others."""
    reasons = list(policy.approval)
    profile = facts.profile
    if policy.revoke_role and profile and others_use(profile):
        reasons.append(f"all sessions of role {profile.role} would be revoked; it is used by {others_use(profile)}")
    return tuple(reasons)


def with_requested_approval(plan: ContainmentPlan, *, policy: ContainmentPolicy) -> ContainmentPlan:
    """The plan with the approval that the response plan requires now.

    A plan that was recorded as a dry run has none until a later finding extends the response plan; its steps are the same.
    """
    if policy.approval and not plan.approval:
        return plan.model_copy(update={"approval": policy.approval})
    return plan
