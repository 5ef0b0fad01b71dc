"""A response plan in words: for the timeline, for notifications, and as their facts. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from forensics.models.plan import Action, Decision, ResponsePlan


def decision_text(decision: Decision) -> str:
    """One decision with its reasons."""
    verdict = "yes" if decision.go else "no"
    if not decision.applies:
        verdict = "NOT_APPLICABLE"
    elif decision.wanted and not decision.go:
        verdict = "waits for a person's order" if decision.waits else "wanted but not possible"
    return f"{decision.action.value}: {verdict} ({'; '.join(decision.reasons)})"


def headline(plan: ResponsePlan) -> str:
    """What triage came to, for the subject of its message."""
    if plan.waiting:
        return f"YOUR ORDER IS NEEDED: {', '.join(action.value for action in plan.waiting)}"
    return "Triage done, WITH WARNINGS" if plan.warnings else "Triage done"


def plan_lines(plan: ResponsePlan) -> list[str]:
    """The plan for people, line by line."""
    lines = [decision_text(decision) for decision in plan.decisions]
    if plan.isolate.go:
        lines.append(f"Order: {plan.order.value.replace('_', ' ')}")
    if plan.approval.required:
        lines.append(f"Isolation waits for approval: {'; '.join(plan.approval.reasons)}")
    return [*lines, *plan.warnings]


def plan_facts(plan: ResponsePlan) -> dict[str, JsonValue]:
    """The plan for programs that receive the notification."""
    return {
        **{decision.action.value: decision.go for decision in plan.decisions},
        "playbook": plan.playbook,
        "order": plan.order.value,
        "approval": plan.approval.required,
        "waiting": [action.value for action in plan.waiting],
    }


def left_to_people(added: Sequence[Action], *, plan: ResponsePlan, run_id: str | None) -> list[str]:
    """What an extension of the plan does not do by itself when the step of the case's run has already ended."""
    steps = {Action.MEMORY: "memory.probe_target", Action.DISK: "disk.snapshot_volumes"}
    if plan.approval.required:
        steps[Action.ISOLATE] = "containment.plan_containment"
    return [
        f"If {step} of run {run_id} has already ended, clear it there together with its downstream tasks."
        for action, step in steps.items()
        if action in added
    ]
