"""Assessment of one finding: what it asks for, by its playbook, its severity and the people behind it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from forensics.models.artifact import ArtifactDescription
from forensics.models.finding import Finding, FindingSource, Severity
from forensics.models.plan import Action
from forensics.models.policy import Isolation, Policy, WhenTarget
from forensics.models.target import Target
from forensics.models.verification import Standing, Verification
from forensics.triage.context import TriageContext
from forensics.triage.policy import PlaybookMatch, choose, distrust, is_posture


@dataclass(frozen=True)
class ActionRequest:
    """Whether an action is wanted, and why. ``ordered``: by a person, or by a tag of the protected namespace."""

    wanted: bool
    reasons: tuple[str, ...]
    ordered: bool = False


@dataclass(frozen=True)
class FindingAssessment:
    """What one finding asks for.

    ``doubt``: why the finding cannot support an isolation; empty when it can. ``asked``: a person asked for the isolation
    by name. ``against``: what the playbook says against it. ``approval``: why a person has to approve the isolation.
    """

    finding: Finding
    match: PlaybookMatch
    memory: ActionRequest
    disk: ActionRequest
    isolate: ActionRequest
    doubt: str = ""
    asked: bool = False
    against: str = ""
    approval: tuple[str, ...] = ()

    @property
    def asks(self) -> bool:
        """Whether anything is wanted."""
        return self.memory.wanted or self.disk.wanted or self.isolate.wanted


def assess(
    finding: Finding, *, target: Target | ArtifactDescription, policy: Policy, context: TriageContext
) -> FindingAssessment:
    """Assess one finding under the policy."""
    match = choose(finding, policy=policy)
    known = context.verifications.get(finding.key)
    if known is not None and known.standing is Standing.FORGED:
        nothing = ActionRequest(False, (f"the request is not genuine: {known.reason}",))
        return FindingAssessment(finding, match, memory=nothing, disk=nothing, isolate=nothing, doubt=known.reason)
    by_playbook = _isolation_by_playbook(finding, match=match, policy=policy, floor=context.isolate_from)
    person = _person(finding, action=Action.ISOLATE, policy=policy)
    asked = person is not None and person.wanted
    against = "" if by_playbook.wanted or not _never(finding, match=match) else by_playbook.reasons[-1]
    return FindingAssessment(
        finding=finding,
        match=match,
        memory=_acquisition(finding, action=Action.MEMORY, match=match, target=target, policy=policy),
        disk=_acquisition(finding, action=Action.DISK, match=match, target=target, policy=policy),
        isolate=person or by_playbook,
        doubt=_doubt(finding, target=target, context=context),
        asked=asked,
        against=against,
        approval=_of_order(finding, person, against=against) if asked else _of_playbook(finding, match, policy, known),
    )


def _of_order(finding: Finding, person: ActionRequest | None, *, against: str) -> tuple[str, ...]:
    """Why a person's order needs a second person; one that the playbook allows does not."""
    said = person.reasons[0] if person else ""
    reasons = [f"{said}, against the playbook: {against}"] if against else []
    if finding.action is not None and not finding.from_administrator:
        reasons.append(
            f"{said} was pressed in an account that is not named as administrator: anybody there may have done it"
        )
    return tuple(reasons)


def _of_playbook(finding: Finding, match: PlaybookMatch, policy: Policy, known: Verification | None) -> tuple[str, ...]:
    """Why an isolation that nobody ordered waits for a person."""
    reasons = [f"{match.name}: {match.playbook.approval}"] if match.playbook.approval else []
    if finding.source is not FindingSource.MANUAL and (why := distrust(finding, policy=policy)):
        reasons.append(why)
    if known is not None and known.standing is Standing.DISPUTED:
        reasons.append(f"{finding.title[:120]}: {known.reason}")
    return tuple(reasons)


def _person(finding: Finding, *, action: Action, policy: Policy) -> ActionRequest | None:
    """What a person said by name, if anything."""
    requested = (finding.requested or {}).get(action.value)
    if requested is not None:
        who = finding.requester or "the requester"
        return ActionRequest(requested, (f"{'asked for' if requested else 'declined'} by {who}",), ordered=requested)
    if finding.action is None:
        return None
    rule = policy.actions[finding.action]
    wanted = {Action.MEMORY: rule.memory, Action.DISK: rule.disk, Action.ISOLATE: rule.isolate}[action]
    said = f"custom action {finding.action.value}"
    if rule.release:
        return ActionRequest(False, (f"{said} asks to release the target: it acquires and isolates nothing",))
    reason = said if wanted else f"{said} does not ask for {action.value}"
    return ActionRequest(wanted, (reason,), ordered=wanted)


def _acquisition(
    finding: Finding, *, action: Action, match: PlaybookMatch, target: Target | ArtifactDescription, policy: Policy
) -> ActionRequest:
    person = _person(finding, action=action, policy=policy)
    if person is not None:
        return person
    playbook = match.playbook
    threshold = playbook.acquire_from or policy.thresholds.acquire_from
    if action not in playbook.acquire:
        request = ActionRequest(False, (match.reason, f"it does not acquire {action.value}"))
    elif playbook.when_target is WhenTarget.TRIAGE_ONLY and _attacked(finding):
        request = ActionRequest(False, (match.reason, "the instance is the target of the activity: triage only"))
    else:
        request = _by_severity(finding, threshold=threshold, match=match)
    tagged = target.tags.get(policy.tags.acquire, "").lower() in {action.value, "all"}
    if tagged and request.wanted:
        return replace(request, ordered=True)
    if tagged:
        reasons = (*request.reasons, f"but the instance's tag {policy.tags.acquire} asks for it")
        return ActionRequest(True, reasons, ordered=True)
    # Whoever asks for a case by hand asks for its evidence, also when the policy is to say which.
    return replace(request, ordered=finding.source is FindingSource.MANUAL)


def _isolation_by_playbook(
    finding: Finding, *, match: PlaybookMatch, policy: Policy, floor: Severity | None
) -> ActionRequest:
    playbook = match.playbook
    if is_posture(finding):
        return ActionRequest(False, (match.reason, "a configuration finding never isolates"))
    if playbook.isolate is Isolation.NEVER:
        return ActionRequest(False, (match.reason, "it never isolates"))
    if _attacked(finding) and playbook.when_target is not WhenTarget.AS_USUAL:
        return ActionRequest(False, (match.reason, "the instance is the target of the activity, not its source"))
    if playbook.isolate is Isolation.WHEN_ACTOR and not _acts(finding):
        return ActionRequest(
            False, (match.reason, "the finding does not say that the instance is the source of the activity")
        )
    if finding.severity_unread:
        return _unread(match, isolates=True)
    # The deployment's setting overrides the policy file: people can change it in a hurry.
    threshold = floor or playbook.isolate_from or policy.thresholds.isolate_from
    return _by_severity(finding, threshold=threshold, match=match)


def _by_severity(finding: Finding, *, threshold: Severity, match: PlaybookMatch) -> ActionRequest:
    if finding.severity_unread:
        return _unread(match)
    wanted = finding.severity.rank >= threshold.rank
    verdict = "is at or above" if wanted else "is below"
    return ActionRequest(wanted, (match.reason, f"severity {finding.severity.value} {verdict} {threshold.value}"))


def _unread(match: PlaybookMatch, *, isolates: bool = False) -> ActionRequest:
    if isolates:
        return ActionRequest(False, (match.reason, "its severity cannot be read: it does not isolate by itself"))
    return ActionRequest(True, (match.reason, "its severity cannot be read: evidence is acquired to be safe"))


def _never(finding: Finding, *, match: PlaybookMatch) -> bool:
    """Whether the playbook rules isolation out on principle, not by severity."""
    if is_posture(finding) or match.playbook.isolate is Isolation.NEVER:
        return True
    return _attacked(finding) and match.playbook.when_target is not WhenTarget.AS_USUAL


def _attacked(finding: Finding) -> bool:
    return (finding.resource_role or "").upper() == "TARGET"


def _acts(finding: Finding) -> bool:
    return (finding.resource_role or "").upper() == "ACTOR"


def _doubt(finding: Finding, *, target: Target | ArtifactDescription, context: TriageContext) -> str:
    """Why this finding cannot support an isolation; posture findings never do and are not looked up."""
    vpc_id = target.vpc_id if isinstance(target, Target) else None
    if finding.vpc_id and vpc_id and finding.vpc_id != vpc_id:
        return f"the finding names {finding.vpc_id}, but the instance is in {vpc_id}"
    if not context.verify:
        return ""
    known = context.verifications.get(finding.key)
    if known is None:
        return "the finding was not looked up in the service that sent it"
    # What is disputed waits for a person, who sees why.
    return (
        ""
        if known.confirmed or known.standing is Standing.DISPUTED
        else f"the finding could not be confirmed ({known.standing.value}): {known.reason}"
    )


def needs_confirmation(finding: Finding) -> bool:
    """Whether the finding has to be looked up: one about configuration never isolates by itself."""
    return not is_posture(finding) or finding.action is not None or finding.source is FindingSource.MANUAL
