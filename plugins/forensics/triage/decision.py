"""Triage: findings + target + policy -> response plan. Pure; every decision carries its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from forensics.models.finding import Finding
from forensics.models.plan import Action, Approval, Decision, Order, ResponsePlan
from forensics.models.policy import TagRules
from forensics.models.target import Target
from forensics.triage.assessment import Opinion, Wish, opine
from forensics.triage.context import TriageContext
from forensics.triage.isolation_safeguards import hold_back
from forensics.triage.policy import LoadedPolicy

LIVE_STATES = frozenset({"running"})
ISOLATABLE_STATES = frozenset({"pending", "running", "stopping", "stopped"})
NOBODY = TriageContext()


def decide(
    findings: Sequence[Finding],
    *,
    target: Target,
    loaded: LoadedPolicy,
    now: datetime,
    context: TriageContext = NOBODY,
) -> ResponsePlan:
    """Decide what is acquired and whether the target is isolated (seed steps 4b, 4c).

    The first finding opened the case. Whatever one finding asks for is wanted; only the request that opened the case
    may decline something: a request that joined later cannot switch off what the opening finding needs.
    """
    opening, *joined = findings
    asked = [opening, *(f.model_copy(update={"requested": _only_yes(f.requested)}) for f in joined)]
    opinions = [opine(f, target=target, policy=loaded.policy, context=context) for f in asked]
    memory = _acquisition(Action.MEMORY, [o.memory for o in opinions], why_not=_no_memory(target))
    disk = _acquisition(
        Action.DISK, [o.disk for o in opinions], why_not="" if target.volumes else "the instance has no EBS volume"
    )
    held = hold_back(opinions, target=target, context=context)
    isolate = _isolation(opinions, target=target, blocked=held.blocked)
    leading = _leading(opinions)
    plan = ResponsePlan(
        memory=memory,
        disk=disk,
        isolate=isolate,
        policy_version=loaded.policy.version,
        policy_sha256=loaded.sha256,
        decided_at=now,
        warnings=tuple(
            dict.fromkeys((*_tag_warnings(target, rules=loaded.policy.tags), *context.doubts, *held.warnings))
        ),
        playbook=leading.match.name,
        approval=Approval(required=bool(held.approval), reasons=held.approval) if isolate.go else Approval(),
        containment=tuple(dict.fromkeys(m for o in opinions for m in o.match.playbook.containment)),
        investigation=tuple(dict.fromkeys(lane for o in opinions for lane in o.match.playbook.investigation)),
        questions=tuple(
            loaded.policy.questions[q] for q in dict.fromkeys(q for o in opinions for q in o.match.playbook.questions)
        ),
        verifications=tuple(context.verifications[f.key] for f in findings if f.key in context.verifications),
    )
    return plan.model_copy(update={"order": _order(opinions, plan=plan)})


def extend(
    plan: ResponsePlan,
    findings: Sequence[Finding],
    *,
    target: Target,
    loaded: LoadedPolicy,
    now: datetime,
    context: TriageContext = NOBODY,
) -> ResponsePlan:
    """The plan after later findings: it only ever grows. Returns ``plan`` itself when nothing is added.

    ``findings`` are all findings of the case, the one that opened it first. :func:`added` says what came new.
    """
    fresh = decide(findings, target=target, loaded=loaded, now=now, context=context)
    grown = {name: _grow(getattr(plan, name), getattr(fresh, name)) for name in ("memory", "disk", "isolate")}
    joined = {
        name: tuple(dict.fromkeys((*getattr(plan, name), *getattr(fresh, name))))
        for name in ("containment", "investigation", "questions", "warnings")
    }
    isolates_now = grown["isolate"].go and not plan.isolate.go
    changes = {
        **grown,
        **joined,
        # An approval that people are already asked for stays; one that was not needed before the isolation is not
        # asked for after it.
        "approval": fresh.approval if isolates_now else plan.approval,
        "order": fresh.order if isolates_now else plan.order,
    }
    if all(getattr(plan, name) == value for name, value in changes.items()):
        return plan
    return plan.model_copy(
        update={
            **changes,
            "verifications": fresh.verifications,
            "policy_version": fresh.policy_version,
            "policy_sha256": fresh.policy_sha256,
            "decided_at": now,
            "revision": plan.revision + 1,
        }
    )


def added(before: ResponsePlan, after: ResponsePlan) -> tuple[Action, ...]:
    """The actions that are carried out in the second plan and were not in the first."""
    pairs = ((before.memory, after.memory), (before.disk, after.disk), (before.isolate, after.isolate))
    return tuple(new.action for old, new in pairs if new.go and not old.go)


def limited(plan: ResponsePlan, *, reason: str) -> ResponsePlan:
    """The plan when the cap on isolations is reached: isolation waits for a person, acquisition goes on (R98)."""
    if not plan.isolate.go:
        return plan
    approval = Approval(required=True, reasons=tuple(dict.fromkeys((*plan.approval.reasons, reason))))
    warnings = (*plan.warnings, f"isolation waits for approval: {reason}")
    return plan.model_copy(update={"approval": approval, "warnings": warnings, "order": Order.ACQUIRE_FIRST})


def _only_yes(requested: dict[str, bool] | None) -> dict[str, bool] | None:
    return {k: v for k, v in requested.items() if v} if requested else requested


def _merge(wishes: list[Wish]) -> tuple[bool, tuple[str, ...]]:
    """Yes when one finding says yes; the opening finding's own reasons stay beside it."""
    first = wishes[0]
    wanting = next((w for w in wishes if w.wanted), None)
    if first.wanted or wanting is None:
        return first.wanted, first.reasons
    return True, tuple(dict.fromkeys((*first.reasons, *(f"another finding of the case: {r}" for r in wanting.reasons))))


def _acquisition(action: Action, wishes: list[Wish], *, why_not: str) -> Decision:
    wanted, reasons = _merge(wishes)
    return Decision(
        action=action, wanted=wanted, possible=not why_not, reasons=(*reasons, why_not) if why_not else reasons
    )


def _no_memory(target: Target) -> str:
    if target.state not in LIVE_STATES:
        return f"the instance is {target.state}: its memory is gone"
    if not target.ssm.managed:
        return "the instance is not managed by SSM: no command can reach it"
    if not target.ssm.online:
        return f"the SSM agent is not online (last ping status {target.ssm.ping})"
    if target.platform != "linux":
        return f"there is no memory document for platform {target.platform}"
    return ""


def _isolation(opinions: list[Opinion], *, target: Target, blocked: tuple[str, ...]) -> Decision:
    wanted, reasons = _merge([o.isolate for o in opinions])
    why_not = list(blocked) if wanted else []
    if target.state not in ISOLATABLE_STATES or not target.interfaces:
        why_not.append(f"the instance is {target.state} and has {len(target.interfaces)} network interfaces")
    return Decision(
        action=Action.ISOLATE, wanted=wanted, possible=not why_not, reasons=tuple(dict.fromkeys((*reasons, *why_not)))
    )


def _leading(opinions: list[Opinion]) -> Opinion:
    """The finding whose playbook gives the case its name: the most severe one that asks for something."""
    return max(opinions, key=lambda o: (o.asks, o.finding.severity.rank))


def _order(opinions: list[Opinion], *, plan: ResponsePlan) -> Order:
    # What waits for a person must not hold up acquisition, and what is not carried out comes neither first nor last.
    if not plan.isolate.go or plan.approval.required:
        return Order.ACQUIRE_FIRST
    contains = any(o.match.playbook.order is Order.CONTAIN_FIRST and o.isolate.wanted and not o.doubt for o in opinions)
    return Order.CONTAIN_FIRST if contains else Order.ACQUIRE_FIRST


def _grow(old: Decision, new: Decision) -> Decision:
    if old.go or not new.wanted or (old.wanted and not new.possible):
        return old
    return new.model_copy(update={"reasons": tuple(dict.fromkeys((*old.reasons, *new.reasons)))})


def _tag_warnings(target: Target, *, rules: TagRules) -> tuple[str, ...]:
    return tuple(
        f"tag {key}={target.tags[key][:60]!r} on the instance asks to be left alone; tags never suppress forensics"
        for key in rules.suppressing
        if key in target.tags and target.tags[key].lower() not in rules.harmless
    )
