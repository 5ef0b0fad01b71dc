"""What one finding asks for, by its playbook, its severity and the people behind it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from forensics.models.finding import Finding, FindingSource, Severity
from forensics.models.plan import Action
from forensics.models.policy import Isolation, Policy, WhenTarget
from forensics.models.target import Target
from forensics.models.verification import Standing
from forensics.triage.context import TriageContext
from forensics.triage.policy import Match, choose, is_posture


@dataclass(frozen=True)
class Wish:
    """Wanted or not, and why."""

    wanted: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Opinion:
    """One finding's wishes. ``doubt`` says why the finding backs no isolation; empty when it does.

    ``asked``: a person asked for the isolation by name. ``against``: what the playbook would have said against it.
    """

    finding: Finding
    match: Match
    memory: Wish
    disk: Wish
    isolate: Wish
    doubt: str = ""
    asked: bool = False
    against: str = ""

    @property
    def asks(self) -> bool:
        """Whether anything is wanted."""
        return self.memory.wanted or self.disk.wanted or self.isolate.wanted


def opine(finding: Finding, *, target: Target, policy: Policy, context: TriageContext) -> Opinion:
    """Read one finding under the policy."""
    match = choose(finding, policy=policy)
    known = context.verifications.get(finding.key)
    if known is not None and known.standing is Standing.FORGED:
        nothing = Wish(False, (f"the request is not genuine: {known.reason}",))
        return Opinion(finding, match, memory=nothing, disk=nothing, isolate=nothing, doubt=known.reason)
    by_playbook = _isolation_by_playbook(finding, match=match, policy=policy, floor=context.isolate_from)
    person = _person(finding, action=Action.ISOLATE, policy=policy)
    return Opinion(
        finding=finding,
        match=match,
        memory=_acquisition(finding, action=Action.MEMORY, match=match, target=target, policy=policy),
        disk=_acquisition(finding, action=Action.DISK, match=match, target=target, policy=policy),
        isolate=person or by_playbook,
        doubt=_doubt(finding, target=target, context=context),
        asked=person is not None and person.wanted,
        against="" if by_playbook.wanted or not _never(finding, match=match) else by_playbook.reasons[-1],
    )


def _person(finding: Finding, *, action: Action, policy: Policy) -> Wish | None:
    """What a person said by name, if anything."""
    requested = (finding.requested or {}).get(action.value)
    if requested is not None:
        who = finding.requester or "the requester"
        return Wish(requested, (f"{'asked for' if requested else 'declined'} by {who}",))
    if finding.action is None:
        return None
    rule = policy.actions[finding.action]
    wanted = {Action.MEMORY: rule.memory, Action.DISK: rule.disk, Action.ISOLATE: rule.isolate}[action]
    said = f"custom action {finding.action.value}"
    if rule.release:
        return Wish(False, (f"{said} asks to release the target: it acquires and isolates nothing",))
    return Wish(wanted, (said if wanted else f"{said} does not ask for {action.value}",))


def _acquisition(finding: Finding, *, action: Action, match: Match, target: Target, policy: Policy) -> Wish:
    person = _person(finding, action=action, policy=policy)
    if person is not None:
        return person
    playbook = match.playbook
    threshold = playbook.acquire_from or policy.thresholds.acquire_from
    if action not in playbook.acquire:
        wish = Wish(False, (match.reason, f"it acquires no {action.value}"))
    elif playbook.when_target is WhenTarget.TRIAGE_ONLY and _attacked(finding):
        wish = Wish(False, (match.reason, "the instance is the target of the activity: triage only"))
    else:
        wish = _by_severity(finding, threshold=threshold, match=match)
    if not wish.wanted and target.tags.get(policy.tags.acquire, "").lower() in {action.value, "all"}:
        return Wish(True, (*wish.reasons, f"but the instance's tag {policy.tags.acquire} asks for it"))
    return wish


def _isolation_by_playbook(finding: Finding, *, match: Match, policy: Policy, floor: Severity | None) -> Wish:
    playbook = match.playbook
    if is_posture(finding):
        return Wish(False, (match.reason, "a configuration finding never isolates"))
    if playbook.isolate is Isolation.NEVER:
        return Wish(False, (match.reason, "it never isolates"))
    if _attacked(finding) and playbook.when_target is not WhenTarget.AS_USUAL:
        return Wish(False, (match.reason, "the instance is the target of the activity, not its source"))
    if playbook.isolate is Isolation.WHEN_ACTOR and not _acts(finding):
        return Wish(False, (match.reason, "the finding does not say that the instance is the source of the activity"))
    # What the deployment sets beats the policy file: it is the switch that people reach in a hurry.
    threshold = floor or playbook.isolate_from or policy.thresholds.isolate_from
    return _by_severity(finding, threshold=threshold, match=match)


def _by_severity(finding: Finding, *, threshold: Severity, match: Match) -> Wish:
    wanted = finding.severity.rank >= threshold.rank
    verdict = "is at or above" if wanted else "is below"
    return Wish(wanted, (match.reason, f"severity {finding.severity.value} {verdict} {threshold.value}"))


def _never(finding: Finding, *, match: Match) -> bool:
    """Whether the playbook's no is one of principle, not of severity."""
    if is_posture(finding) or match.playbook.isolate is Isolation.NEVER:
        return True
    return _attacked(finding) and match.playbook.when_target is not WhenTarget.AS_USUAL


def _attacked(finding: Finding) -> bool:
    return (finding.resource_role or "").upper() == "TARGET"


def _acts(finding: Finding) -> bool:
    return (finding.resource_role or "").upper() == "ACTOR"


def _doubt(finding: Finding, *, target: Target, context: TriageContext) -> str:
    """Why this finding backs no isolation (R32); posture findings back none anyway and are not looked up."""
    if finding.vpc_id and target.vpc_id and finding.vpc_id != target.vpc_id:
        return f"the finding names {finding.vpc_id}, but the instance is in {target.vpc_id}"
    if not context.verify:
        return ""
    known = context.verifications.get(finding.key)
    if known is None:
        return "the finding was not looked up in the service that sent it"
    return "" if known.confirmed else f"the finding could not be confirmed ({known.standing.value}): {known.reason}"


def needs_confirmation(finding: Finding) -> bool:
    """Whether the finding has to be looked up: one about configuration never isolates by itself."""
    return not is_posture(finding) or finding.action is not None or finding.source is FindingSource.MANUAL
