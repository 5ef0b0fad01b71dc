"""What the containment record means, in words a responder can act on."""

from __future__ import annotations

from dataclasses import dataclass

from forensics.case.containment_advice import next_action
from forensics.models.case import CaseStatus, CaseView, Milestone
from forensics.models.containment import ContainmentResult, ContainmentState, ReleaseResult
from forensics.models.evidence import Outcome
from forensics.models.plan import Decision
from forensics.printable import NOT_RECORDED, utc

STATE_WORDS = {
    ContainmentState.NOT_CONTAINED: (
        "No change of the instance's network is recorded: treat it as reachable and as able to reach out."
    ),
    ContainmentState.NEW_FLOWS_BLOCKED: (
        "NEW_FLOWS_BLOCKED means: security groups now refuse new connections, in and out, on every network "
        "interface that was read back. It does NOT mean that the instance is cut off: connections that were "
        "open before the change may go on, and the paths listed below stay open or unproven."
    ),
    ContainmentState.ALL_FLOWS_VERIFIED: (
        "ALL_FLOWS_VERIFIED means: new connections are refused and no flow is left, because the instance was "
        "read back as stopped. The paths listed below, if any, come back when somebody starts it."
    ),
    ContainmentState.FAILED: (
        "Containment failed. Treat the instance as reachable and able to reach out until someone has checked."
    ),
}


@dataclass(frozen=True)
class ContainmentSummary:
    """The answer to "is it contained?".

    ``level`` is good, warn, bad or idle; ``act`` is what a person has to do, when there is something.
    """

    level: str
    short: str
    sentence: str
    meaning: str = ""
    act: str | None = None


def describe(view: CaseView) -> ContainmentSummary:
    """Say whether the target is contained, since when, and if not, why not."""
    result = view.containment
    if view.plan is not None and not view.plan.isolate.applies:
        why = "; ".join(view.plan.isolate.reasons)
        return ContainmentSummary("idle", "not applicable", f"Containment is NOT APPLICABLE: {why}.")
    if view.release is not None and view.released:
        return _released(view.release)
    untouched = result is None or result.state is ContainmentState.NOT_CONTAINED
    if view.plan is not None and view.plan.isolate.waits and untouched:
        return _waits_for_an_order(view.plan.isolate)
    if result is not None:
        return _recorded(view, result)
    if view.plan is None:
        return ContainmentSummary("idle", "no, not decided", "Not contained: no response plan is recorded yet.")
    decision = view.plan.isolate
    reasons = "; ".join(decision.reasons)
    if not decision.wanted:
        return ContainmentSummary(
            "idle", "no, not wanted", f"Not contained: the plan does not ask for isolation ({reasons})."
        )
    if not decision.possible:
        return ContainmentSummary(
            "bad",
            "no, not possible",
            f"Not contained: isolation is wanted but not possible ({reasons}).",
            act="Contain the target by other means: the plan wants isolation but could not carry it out.",
        )
    if view.case.status is CaseStatus.OPEN:
        return ContainmentSummary(
            "warn",
            "not yet",
            f"Not contained yet: isolation is planned and has no result so far ({reasons}).",
        )
    return ContainmentSummary(
        "bad",
        "no result",
        "Not contained as far as is recorded: isolation was planned but has no result.",
        act="Check the target's security groups, isolate it manually: planned isolation has no result.",
    )


def _waits_for_an_order(decision: Decision) -> ContainmentSummary:
    return ContainmentSummary(
        "warn",
        "no, waits for an order",
        f"Not contained: isolation waits for a person's order ({'; '.join(decision.reasons)}).",
        act="Decide whether the target is to be isolated, and order it: the policy leaves this target to a person.",
    )


def _released(release: ReleaseResult) -> ContainmentSummary:
    by = f", approved by {release.approved_by}" if release.approved_by else ""
    return ContainmentSummary(
        "idle",
        "released",
        f"Released {utc(release.released_at)}{by}: the target is as it was before containment.",
        "What follows describes the containment before the release.",
    )


def _recorded(view: CaseView, result: ContainmentResult) -> ContainmentSummary:
    since = result.contained_at or view.milestones.get(Milestone.CONTAINED)
    when = f"since {utc(since)}" if since else f"since when is {NOT_RECORDED}"
    meaning = STATE_WORDS[result.state]
    reason = result.reason or f"reason {NOT_RECORDED}"
    if result.state is ContainmentState.FAILED:
        return ContainmentSummary(
            "bad",
            "FAILED",
            f"Containment FAILED: {reason}.",
            meaning,
            _sentence(next_action(result)),
        )
    if result.held_elsewhere:
        look = "The target is that deployment's: look at its case, and release it there."
        return ContainmentSummary("warn", "by another deployment", f"Not contained by this case: {reason}.", act=look)
    if result.state is ContainmentState.NOT_CONTAINED:
        wanted = view.plan is None or view.plan.isolate.wanted
        act = "The target is not contained: decide whether to isolate it manually." if wanted else None
        return ContainmentSummary("bad" if wanted else "idle", "no", f"Not contained: {reason}.", meaning, act)
    if result.credentials_open:
        return _credentials_open(result, when=when, meaning=meaning)
    left = f" Not complete: {reason}." if result.outcome is Outcome.PARTIAL else ""
    if result.state is ContainmentState.ALL_FLOWS_VERIFIED:
        return ContainmentSummary(
            "warn" if left else "good",
            "yes, no flow left",
            f"Contained {when}: the instance is stopped and closed, no flow is left.{left}",
            meaning,
        )
    sentence = f"New connections are blocked {when}. Connections that were already open may go on.{left}"
    return ContainmentSummary("warn", "new flows blocked", sentence, meaning)


def _credentials_open(result: ContainmentResult, *, when: str, meaning: str) -> ContainmentSummary:
    """The network is closed and the target's credentials still work: whose, and what a person does about it."""
    sentence = (
        f"The network is closed {when}, but credentials of the target still work: {'; '.join(result.credentials_open)}."
    )
    return ContainmentSummary(
        "bad", "network closed, credentials open", sentence, meaning, _sentence(next_action(result))
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
