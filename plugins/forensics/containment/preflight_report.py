"""Containment: ask AWS about the plan before anybody is asked to approve it, and say what would be refused (R50)."""

from __future__ import annotations

from forensics import case_keys
from forensics.containment.isolation import Containment
from forensics.containment.plan_preflight import preflight
from forensics.containment.plan_text import preflight_lines
from forensics.models.case import TimelineKind
from forensics.models.containment import ContainmentPlan, PlanPreflight, PreflightAnswer


def asked_beforehand(work: Containment, plan: ContainmentPlan) -> PlanPreflight:
    """What AWS says of every step that it can be asked about; once for a plan, and announced when a step would fail."""
    recorder = work.recorder
    known = recorder.get(case_keys.PLAN_PREFLIGHT, PlanPreflight)
    if known is not None and known.digest == plan.digest:
        return known
    found = preflight(work.gateway, plan)
    recorder.put(case_keys.PLAN_PREFLIGHT, found)
    recorder.note(preflight_lines(found)[0].replace("*", ""), kind=TimelineKind.CONTAINMENT)
    if refused := found.of(PreflightAnswer.REFUSED):
        recorder.announce(
            f"rehearsal:{plan.digest[:12]}",
            f"Containment would fail: {len(refused)} of {len(plan.steps)} calls would be refused",
            lines=[
                *[f"{step.name}: {step.detail}" for step in refused[:20]],
                "Nothing was changed. Give the contain role these permissions, or be ready to isolate by hand.",
            ],
        )
    return found
