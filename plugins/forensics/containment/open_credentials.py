"""Which credentials of the target may still work, and why: what a person has to end when no call could. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from forensics.containment import calls
from forensics.models.containment import ContainmentStep, PlanStep
from forensics.models.target_facts import InstanceFacts

NOT_KNOWN = "no reason is known"


def open_credentials(
    left: Sequence[PlanStep], *, facts: InstanceFacts, steps: Sequence[ContainmentStep]
) -> tuple[str, ...]:
    """A line for each way in which credentials may still be used.

    ``left`` is what a plan made now would still do, ``steps`` what was tried.
    """
    return tuple(dict.fromkeys(_lines(left, facts, steps)))


def _lines(left: Sequence[PlanStep], facts: InstanceFacts, steps: Sequence[ContainmentStep]) -> Iterator[str]:
    tried = {s.name: s for s in steps}
    for step in left:
        known = tried.get(step.id)
        why = known.detail if known and not known.done else "; ".join(facts.iam_unknown) or NOT_KNOWN
        match step.id:
            case "credentials.deny":
                yield _denial(step, done=known is not None and known.done, why=why)
            case "credentials.revoke":
                yield f"sessions of {_role(step)} that others hold are still valid: {why}"
            case "credentials.metadata":
                yield f"the metadata service still issues credentials to the host: {why}"
            case "credentials.profile":
                yield f"instance profile {step.target} is still on the instance: {why}"


def _denial(step: PlanStep, *, done: bool, why: str) -> str:
    if done:
        return f"credentials of {_role(step)} were denied to the instance, which IAM has not confirmed: {why}"
    return f"credentials of {_role(step)} that the instance was issued are still valid: {why}"


def _role(step: PlanStep) -> str:
    return step.target if calls.waits_for_role(step.call) else f"role {step.target}"
