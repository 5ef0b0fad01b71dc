"""Self-defence: what keeps an isolation back although a finding asks for it (R32, R97, R98, R103). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forensics.models.target import Target
from forensics.triage.assessment import Opinion
from forensics.triage.context import TriageContext


@dataclass(frozen=True)
class Held:
    """``blocked``: isolation is not carried out. ``approval``: it waits for a person."""

    blocked: tuple[str, ...] = ()
    approval: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def hold_back(opinions: Sequence[Opinion], *, target: Target, context: TriageContext) -> Held:
    """What stands against the isolation that the findings ask for; nothing when none asks."""
    wanting = [o for o in opinions if o.isolate.wanted]
    if not wanting:
        return Held()
    if target.account_id == context.own_account:
        reason = "the target is in the forensic account: the product never isolates its own resources"
        return Held(blocked=(reason,), warnings=(reason,))
    if context.protected:
        listed = tuple(f"the never-isolate list names the target: {entry}" for entry in context.protected)
        return Held(blocked=listed, warnings=listed)
    backed = [o for o in wanting if not o.doubt]
    if not backed:
        reasons = tuple(dict.fromkeys(o.doubt for o in wanting))
        return Held(blocked=reasons, warnings=tuple(f"not isolated: {reason}" for reason in reasons))
    asked = [o for o in backed if o.asked]
    if context.doubts and not asked:
        return Held(blocked=context.doubts, warnings=tuple(f"not isolated: {reason}" for reason in context.doubts))
    return Held(approval=_approval(backed, asked=asked, context=context))


def _approval(backed: list[Opinion], *, asked: list[Opinion], context: TriageContext) -> tuple[str, ...]:
    """Why a person has to approve. One finding that isolates without approval is enough for the case."""
    reasons = list(context.doubts)
    free = [o for o in backed if not o.asked and o.match.playbook.approval is None]
    if not free:
        # An order of a person against the playbook needs a second person; one that the playbook allows does not.
        plain = [o for o in asked if not o.against]
        if asked and not plain:
            reasons += [f"{o.isolate.reasons[0]}, against the playbook: {o.against}" for o in asked]
        elif not asked:
            reasons += [f"{o.match.name}: {o.match.playbook.approval}" for o in backed]
    return tuple(dict.fromkeys(reasons))
