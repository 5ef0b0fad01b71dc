"""Containment: ask AWS about the plan before anybody is asked to approve it, and say what would be refused (R50)."""

from __future__ import annotations

from forensics.aws.containment_rehearsal import rehearse
from forensics.domain.containment_text import rehearsal_lines
from forensics.models.case import TimelineKind
from forensics.models.containment import Answer, ContainmentPlan, Rehearsal
from forensics.operators.containment_work import Containment


def rehearsed(work: Containment, plan: ContainmentPlan) -> Rehearsal:
    """What AWS says of every step that it can be asked about; once for a plan, and announced when a step would fail."""
    desk = work.desk
    known = desk.gw.store.get(desk.case_id, "REHEARSAL", Rehearsal)
    if known is not None and known.digest == plan.digest:
        return known
    found = rehearse(work.gateway, plan)
    desk.gw.store.put(desk.case_id, "REHEARSAL", found)
    desk.note(rehearsal_lines(found)[0].replace("*", ""), kind=TimelineKind.CONTAINMENT)
    if refused := found.of(Answer.REFUSED):
        desk.announce(
            f"rehearsal:{plan.digest[:12]}",
            f"Containment would fail: {len(refused)} of {len(plan.steps)} calls would be refused",
            lines=[
                *[f"{step.name}: {step.detail}" for step in refused[:20]],
                "Nothing was changed. Give the contain role these permissions, or be ready to isolate by hand.",
            ],
        )
    return found
