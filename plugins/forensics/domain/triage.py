"""Triage: finding + target + policy -> response plan. Pure; every decision carries its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from forensics.models.finding import CustomAction, Finding, FindingSource, Severity
from forensics.models.plan import Action, Decision, ResponsePlan
from forensics.models.target import Target

POLICY_VERSION = "2026-11-24"
ACQUIRE_TAG = "forensics:acquire"
SUPPRESSING_TAGS = ("IsTriageRequired", "forensics:exclude", "forensics:skip")
# GuardDuty marks DNS findings of these families with role TARGET although the instance is the one that talks.
ACTING_FAMILIES = ("Backdoor:", "CryptoCurrency:", "Trojan:", "Impact:")
LIVE_STATES = frozenset({"running"})
ISOLATABLE_STATES = frozenset({"pending", "running", "stopping", "stopped"})


@dataclass(frozen=True)
class TriagePolicy:
    """Thresholds that the deployment sets."""

    isolate_from: Severity = Severity.HIGH
    acquire_from: Severity = Severity.MEDIUM


def decide(finding: Finding, *, target: Target, policy: TriagePolicy, now: datetime) -> ResponsePlan:
    """Decide what is acquired and whether the target is isolated (seed steps 4b, 4c)."""
    return ResponsePlan(
        memory=_memory(finding, target, policy),
        disk=_disk(finding, target, policy),
        isolate=_isolate(finding, target, policy),
        policy_version=POLICY_VERSION,
        decided_at=now,
        warnings=_warnings(target),
    )


def decide_all(findings: Sequence[Finding], *, target: Target, policy: TriagePolicy, now: datetime) -> ResponsePlan:
    """Decide for a case with several findings; the first opened it.

    Whatever one finding asks for is wanted. Only the request that opened the case may decline something: a request
    that joined later cannot switch off what the opening finding needs.
    """
    opening, *joined = findings
    asked = [f.model_copy(update={"requested": _only_yes(f.requested)}) for f in joined]
    plans = [decide(f, target=target, policy=policy, now=now) for f in (opening, *asked)]
    return plans[0].model_copy(
        update={name: _either([getattr(p, name) for p in plans]) for name in ("memory", "disk", "isolate")}
    )


def _only_yes(requested: dict[str, bool] | None) -> dict[str, bool] | None:
    return {k: v for k, v in requested.items() if v} if requested else requested


def _either(decisions: list[Decision]) -> Decision:
    first = decisions[0]
    wanting = next((d for d in decisions if d.wanted), None)
    if first.wanted or wanting is None:
        return first
    reasons = (*first.reasons, *(f"another finding of the case: {r}" for r in wanting.reasons))
    return wanting.model_copy(update={"reasons": tuple(dict.fromkeys(reasons))})


def _wanted_acquisition(
    finding: Finding, target: Target, policy: TriagePolicy, *, action: Action
) -> tuple[bool, list[str]]:
    requested = (finding.requested or {}).get(action.value)
    if requested is not None:
        return requested, [f"{'asked for' if requested else 'declined'} by {finding.requester or 'the requester'}"]
    if finding.action is not None:
        return True, [f"custom action {finding.action.value}"]
    wanted_by_tag = target.tags.get(ACQUIRE_TAG, "").lower() in {action.value, "all"}
    if _posture(finding):
        wanted, reason = False, "a configuration finding says nothing about an intrusion"
    elif finding.severity.rank >= policy.acquire_from.rank:
        wanted, reason = True, f"severity {finding.severity.value} is at or above {policy.acquire_from.value}"
    else:
        wanted, reason = False, f"severity {finding.severity.value} is below {policy.acquire_from.value}"
    if wanted_by_tag and not wanted:
        return True, [reason, f"but the instance's tag {ACQUIRE_TAG} asks for it"]
    return wanted, [reason]


def _memory(finding: Finding, target: Target, policy: TriagePolicy) -> Decision:
    wanted, reasons = _wanted_acquisition(finding, target, policy, action=Action.MEMORY)
    possible, why = True, ""
    if target.state not in LIVE_STATES:
        possible, why = False, f"the instance is {target.state}: its memory is gone"
    elif not target.ssm.managed:
        possible, why = False, "the instance is not managed by SSM: no command can reach it"
    elif not target.ssm.online:
        possible, why = False, f"the SSM agent is not online (last ping status {target.ssm.ping})"
    elif target.platform != "linux":
        possible, why = False, f"there is no memory document for platform {target.platform}"
    return Decision(
        action=Action.MEMORY,
        wanted=wanted,
        possible=possible,
        reasons=tuple([*reasons, why] if why else reasons),
    )


def _disk(finding: Finding, target: Target, policy: TriagePolicy) -> Decision:
    wanted, reasons = _wanted_acquisition(finding, target, policy, action=Action.DISK)
    possible = bool(target.volumes)
    if not possible:
        reasons.append("the instance has no EBS volume")
    return Decision(action=Action.DISK, wanted=wanted, possible=possible, reasons=tuple(reasons))


def _isolate(finding: Finding, target: Target, policy: TriagePolicy) -> Decision:
    wanted, reason = _isolation_wanted(finding, policy)
    reasons = [reason]
    possible = target.state in ISOLATABLE_STATES and bool(target.interfaces)
    if not possible:
        reasons.append(f"the instance is {target.state} and has {len(target.interfaces)} network interfaces")
    return Decision(action=Action.ISOLATE, wanted=wanted, possible=possible, reasons=tuple(reasons))


def _isolation_wanted(finding: Finding, policy: TriagePolicy) -> tuple[bool, str]:
    requested = (finding.requested or {}).get(Action.ISOLATE.value)
    if requested is not None:
        return (
            requested,
            f"{'asked for' if requested else 'declined'} by {finding.requester or 'the requester'}",
        )
    if finding.action is CustomAction.TRIAGE:
        return False, "custom action ForensicTriage acquires without isolating"
    if finding.action is not None:
        return True, f"custom action {finding.action.value}"
    if _posture(finding):
        return False, "a configuration finding never isolates"
    if (finding.resource_role or "").upper() == "TARGET" and not _acts(finding):
        return False, "the instance is the target of the activity, not its source"
    if finding.severity.rank >= policy.isolate_from.rank:
        return True, f"severity {finding.severity.value} is at or above {policy.isolate_from.value}"
    return False, f"severity {finding.severity.value} is below {policy.isolate_from.value}"


def _posture(finding: Finding) -> bool:
    return finding.posture or finding.source is FindingSource.CONFIG


def _acts(finding: Finding) -> bool:
    """Whether the finding's type says that the instance itself acts, whatever role GuardDuty gives it."""
    return any(family in kind for kind in finding.types for family in ACTING_FAMILIES)


def _warnings(target: Target) -> tuple[str, ...]:
    return tuple(
        f"tag {key}={target.tags[key][:60]!r} on the instance asks to be left alone; tags never suppress forensics"
        for key in SUPPRESSING_TAGS
        if key in target.tags and target.tags[key].lower() not in {"true", "yes", "required"}
    )
