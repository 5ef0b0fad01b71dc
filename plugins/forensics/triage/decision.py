"""Triage: findings + target + policy -> response plan. Pure; every decision carries its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from forensics.models.artifact import ArtifactDescription
from forensics.models.finding import Finding
from forensics.models.plan import Action, ApprovalRequirement, Decision, Order, ResponsePlan
from forensics.models.policy import TagRules
from forensics.models.target import Target
from forensics.models.target_facts import LIVE_STATES
from forensics.triage.assessment import ActionRequest, FindingAssessment, assess
from forensics.triage.context import TriageContext
from forensics.triage.elsewhere import contained_elsewhere
from forensics.triage.isolation_safeguards import IsolationSafeguards, isolation_safeguards
from forensics.triage.policy import LoadedPolicy
from forensics.triage.scope import ScopeVerdict, of_acquisition, of_isolation

T = TypeVar("T")
ISOLATABLE_STATES = frozenset({"pending", "running", "stopping", "stopped"})
NO_CONTEXT = TriageContext()


def decide(
    findings: Sequence[Finding],
    *,
    target: Target | ArtifactDescription,
    loaded: LoadedPolicy,
    now: datetime,
    context: TriageContext = NO_CONTEXT,
) -> ResponsePlan:
    """Decide what is acquired and whether the target is isolated; of an artifact, whether its disks are acquired.

    The first finding opened the case. Whatever one finding asks for is wanted; only the request that opened the case
    may decline something: a request that joined later cannot cancel what the opening finding needs.
    """
    opening, *joined = findings
    asked = [opening, *(f.model_copy(update={"requested": _only_yes(f.requested)}) for f in joined)]
    assessments = [assess(f, target=target, policy=loaded.policy, context=context) for f in asked]
    scope, organization = loaded.policy.scope, context.organization
    acquiring = of_acquisition(scope, target=target, organization=organization)
    disk = _acquisition(Action.DISK, [a.disk for a in assessments], why_not=_no_disk(target), scope=acquiring)
    if isinstance(target, ArtifactDescription):
        memory, isolate, safeguards = *_not_applicable(target), IsolationSafeguards()
    else:
        requests = [a.memory for a in assessments]
        memory = _acquisition(Action.MEMORY, requests, why_not=_no_memory(target), scope=acquiring)
        isolating = of_isolation(scope, target=target, organization=organization)
        safeguards = isolation_safeguards(assessments, target=target, context=context, outside=isolating.outside)
        isolate = _isolation(assessments, target=target, safeguards=safeguards, scope=isolating)
    approval = safeguards.approval if isolate.go else ()
    plan = ResponsePlan(
        memory=memory,
        disk=disk,
        isolate=isolate,
        policy_version=loaded.policy.version,
        policy_sha256=loaded.sha256,
        decided_at=now,
        warnings=_unique(
            *_tag_warnings(target, rules=loaded.policy.tags),
            *_severity_warnings(findings),
            *([said] if isinstance(target, Target) and (said := contained_elsewhere(target)) else ()),
            *context.doubts,
            *_unread_tags(context),
            *safeguards.warnings,
            *_waiting(memory, disk, isolate),
        ),
        playbook=_leading(assessments).match.name,
        approval=ApprovalRequirement(required=bool(approval), reasons=approval),
        containment=_unique(*(m for a in assessments for m in a.match.playbook.containment)) if isolate.applies else (),
        investigation=_unique(*(lane for a in assessments for lane in a.match.playbook.investigation)),
        questions=_unique(*(loaded.policy.questions[q] for a in assessments for q in a.match.playbook.questions)),
        verifications=tuple(context.verifications[f.key] for f in findings if f.key in context.verifications),
    )
    return plan.model_copy(update={"order": _order(assessments, plan=plan)})


def extend(
    plan: ResponsePlan,
    findings: Sequence[Finding],
    *,
    target: Target | ArtifactDescription,
    loaded: LoadedPolicy,
    now: datetime,
    context: TriageContext = NO_CONTEXT,
) -> ResponsePlan:
    """The plan after later findings: nothing is taken away. Returns ``plan`` itself when nothing is added.

    ``findings`` are all findings of the case, the one that opened it first. :func:`added` names the new actions.
    """
    fresh = decide(findings, target=target, loaded=loaded, now=now, context=context)
    isolate = _grow(plan.isolate, fresh.isolate)
    isolates_now = isolate.go and not plan.isolate.go
    extended = plan.model_copy(
        update={
            "memory": _grow(plan.memory, fresh.memory),
            "disk": _grow(plan.disk, fresh.disk),
            "isolate": isolate,
            "containment": _unique(*plan.containment, *fresh.containment),
            "investigation": _unique(*plan.investigation, *fresh.investigation),
            "questions": _unique(*plan.questions, *fresh.questions),
            "warnings": _unique(*plan.warnings, *fresh.warnings),
            # An approval that people are already asked for stays; one that was not needed before the isolation is not
            # asked for after it.
            "approval": fresh.approval if isolates_now else plan.approval,
            "order": fresh.order if isolates_now else plan.order,
        }
    )
    if extended == plan:
        return plan
    return extended.model_copy(
        update={
            "verifications": fresh.verifications,
            "policy_version": fresh.policy_version,
            "policy_sha256": fresh.policy_sha256,
            "decided_at": now,
            "revision": plan.revision + 1,
        }
    )


def _unique(*items: T) -> tuple[T, ...]:
    """The items without repetitions, in their order."""
    return tuple(dict.fromkeys(items))


def added(before: ResponsePlan, after: ResponsePlan) -> tuple[Action, ...]:
    """The actions that are carried out in the second plan and were not in the first."""
    pairs = ((before.memory, after.memory), (before.disk, after.disk), (before.isolate, after.isolate))
    return tuple(new.action for old, new in pairs if new.go and not old.go)


def limited(plan: ResponsePlan, *, reason: str) -> ResponsePlan:
    """The plan when the cap on isolations is reached: isolation waits for a person, acquisition continues."""
    if not plan.isolate.go:
        return plan
    approval = ApprovalRequirement(required=True, reasons=_unique(*plan.approval.reasons, reason))
    warnings = (*plan.warnings, f"isolation waits for approval: {reason}")
    return plan.model_copy(update={"approval": approval, "warnings": warnings, "order": Order.ACQUIRE_FIRST})


def _only_yes(requested: dict[str, bool] | None) -> dict[str, bool] | None:
    return {k: v for k, v in requested.items() if v} if requested else requested


def _merge(requests: list[ActionRequest]) -> tuple[bool, tuple[str, ...]]:
    """Wanted when one finding wants it; the opening finding's own reasons are kept."""
    first = requests[0]
    wanting = next((r for r in requests if r.wanted), None)
    if first.wanted or wanting is None:
        return first.wanted, first.reasons
    return True, _unique(*first.reasons, *(f"another finding of the case: {r}" for r in wanting.reasons))


def _acquisition(action: Action, requests: list[ActionRequest], *, why_not: str, scope: ScopeVerdict) -> Decision:
    wanted, reasons = _merge(requests)
    ordered = any(r.wanted and r.ordered for r in requests)
    waits = scope.outside if wanted and not ordered and not why_not else ""
    against = tuple(reason for reason in (why_not, waits) if reason)
    said = scope.reasons if wanted else ()
    return Decision(
        action=action, wanted=wanted, possible=not against, waits=bool(waits), reasons=(*reasons, *said, *against)
    )


def _not_applicable(described: ArtifactDescription) -> tuple[Decision, Decision]:
    """Memory and isolation of what is no machine: not declined and not missing."""
    phrase = described.artifact.phrase
    return (
        _never(Action.MEMORY, f"{phrase} is no machine: it has no memory to capture and no live state to collect"),
        _never(Action.ISOLATE, f"{phrase} is no machine: it has no network to close"),
    )


def _never(action: Action, reason: str) -> Decision:
    return Decision(action=action, wanted=False, possible=False, applies=False, reasons=(reason,))


def _no_disk(target: Target | ArtifactDescription) -> str:
    if isinstance(target, Target):
        return "" if target.volumes else "the instance has no EBS volume"
    if target.disks:
        return ""
    if target.bundle:
        return (
            f"the image is backed by instance store: no snapshot holds its content, which is the bundle {target.bundle} in S3; "
            'copy the bundle\'s objects with their digests (Amazon EC2 user guide, "Amazon S3-backed AMIs")'
        )
    return "the image names no EBS snapshot"


def _no_memory(target: Target) -> str:
    if target.state not in LIVE_STATES:
        return f"the instance is {target.state}: its memory is gone"
    if not target.ssm.managed:
        return "the instance is not managed by SSM: no command can reach it"
    if not target.ssm.online:
        return f"the SSM agent is not online (last ping status {target.ssm.ping})"
    if (target.ssm.platform_type or "").lower() == "macos":
        return "there are no documents for macOS"
    return ""


def _isolation(
    assessments: list[FindingAssessment], *, target: Target, safeguards: IsolationSafeguards, scope: ScopeVerdict
) -> Decision:
    wanted, reasons = _merge([a.isolate for a in assessments])
    why_not = list(safeguards.blocked) if wanted else []
    if target.state not in ISOLATABLE_STATES or not target.interfaces:
        why_not.append(f"the instance is {target.state} and has {len(target.interfaces)} network interfaces")
    waits = safeguards.waits if wanted and not why_not else ""
    against = [*why_not, waits] if waits else why_not
    return Decision(
        action=Action.ISOLATE,
        wanted=wanted,
        possible=not against,
        waits=bool(waits),
        reasons=_unique(*reasons, *(scope.reasons if wanted else ()), *against),
    )


def _waiting(*decisions: Decision) -> tuple[str, ...]:
    waiting = [decision for decision in decisions if decision.waits]
    names = ", ".join(decision.action.value for decision in waiting)
    return (f"{names} waits for a person's order: {waiting[0].reasons[-1]}",) if waiting else ()


def _leading(assessments: list[FindingAssessment]) -> FindingAssessment:
    """The finding whose playbook gives the case its name: the most severe one that asks for something."""
    return max(assessments, key=lambda a: (a.asks, a.finding.severity.rank))


def _order(assessments: list[FindingAssessment], *, plan: ResponsePlan) -> Order:
    # An isolation that waits for a person must not hold up acquisition; one that is not carried out has no order.
    if not plan.isolate.go or plan.approval.required:
        return Order.ACQUIRE_FIRST
    contains = any(
        a.match.playbook.order is Order.CONTAIN_FIRST and a.isolate.wanted and not a.doubt for a in assessments
    )
    return Order.CONTAIN_FIRST if contains else Order.ACQUIRE_FIRST


def _grow(old: Decision, new: Decision) -> Decision:
    if old.go or not new.wanted or (old.wanted and not new.possible):
        return old
    return new.model_copy(update={"reasons": _unique(*old.reasons, *new.reasons)})


def _severity_warnings(findings: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(
        f"the severity of finding {f.finding_id[-60:]} ({f.product or f.source.value}) cannot be read and is taken as MEDIUM"
        for f in findings
        if f.severity_unread
    )


def _unread_tags(context: TriageContext) -> tuple[str, ...]:
    unread = context.organization.unread
    return (f"tags of the policy's scope could not be read in AWS Organizations: {unread}",) if unread else ()


def _tag_warnings(target: Target | ArtifactDescription, *, rules: TagRules) -> tuple[str, ...]:
    return tuple(
        f"tag {key}={target.tags[key][:60]!r} on {'the instance' if isinstance(target, Target) else 'it'} asks to be left alone; tags never suppress forensics"
        for key in rules.suppressing
        if key in target.tags and target.tags[key].lower() not in rules.harmless
    )
