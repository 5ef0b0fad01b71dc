"""Safeguards: what prevents or delays an isolation although a finding asks for it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forensics.models.target import Target
from forensics.triage.assessment import FindingAssessment
from forensics.triage.context import TriageContext


@dataclass(frozen=True)
class IsolationSafeguards:
    """``blocked``: why isolation is not carried out. ``approval``: why it waits for a person's approval.

    ``waits``: why it waits for a person's order.
    """

    blocked: tuple[str, ...] = ()
    approval: tuple[str, ...] = ()
    waits: str = ""
    warnings: tuple[str, ...] = ()


def isolation_safeguards(
    assessments: Sequence[FindingAssessment], *, target: Target, context: TriageContext, outside: str = ""
) -> IsolationSafeguards:
    """What stands against the isolation that the findings ask for; nothing when none asks.

    ``outside``: why the target is outside the policy's scope; a person's order isolates it all the same.
    """
    asking = [a for a in assessments if a.isolate.wanted]
    if not asking:
        return IsolationSafeguards()
    if target.account_id == context.own_account:
        reason = "the target is in the forensic account: the product never isolates its own resources"
        return IsolationSafeguards(blocked=(reason,), warnings=(reason,))
    if context.protected:
        listed = tuple(f"the never-isolate list names the target: {entry}" for entry in context.protected)
        return IsolationSafeguards(blocked=listed, warnings=listed)
    confirmed = [a for a in asking if not a.doubt]
    if not confirmed:
        return _not_isolated(tuple(dict.fromkeys(a.doubt for a in asking)))
    ordered = [a for a in confirmed if a.asked]
    if context.doubts and not ordered:
        return _not_isolated(context.doubts)
    if outside and not ordered:
        return IsolationSafeguards(waits=outside)
    if outside:
        # The order alone carries it: an automatic finding cannot take the approval away that the order needs.
        confirmed = ordered
    return IsolationSafeguards(approval=_approval(confirmed, ordered=ordered, context=context))


def _not_isolated(reasons: tuple[str, ...]) -> IsolationSafeguards:
    return IsolationSafeguards(blocked=reasons, warnings=tuple(f"not isolated: {reason}" for reason in reasons))


def _approval(
    confirmed: list[FindingAssessment], *, ordered: list[FindingAssessment], context: TriageContext
) -> tuple[str, ...]:
    """Why a person has to approve. One finding that isolates without approval is enough for the case."""
    reasons = [
        *context.doubts,
        *(f"the never-isolate list asks to spare the target: {entry}" for entry in context.spared),
    ]
    if all(a.approval for a in confirmed):
        reasons += [reason for a in ordered or confirmed for reason in a.approval]
    return tuple(dict.fromkeys(reasons))
