"""A containment plan as people read it: in the approval, in messages, in a dry run. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from forensics.models.containment import ApiCall, ContainmentPlan

MOST_LINES = 80


def plan_lines(plan: ContainmentPlan) -> list[str]:
    """Markdown: why a person is asked, every change with its blast radius and undo, what stays open."""
    lines = [f"**Plan {plan.digest}** for `{plan.instance_id}`, case {plan.case_id}, order {plan.order}", ""]
    lines += [f"* You are asked because {reason}" for reason in plan.approval]
    lines += ["", f"**{len(plan.steps)} changes, in this order:**", ""]
    for number, step in enumerate(plan.steps, 1):
        blast = f" **Also affected: {'; '.join(step.blast)}.**" if step.blast else ""
        undo = ", ".join(str(c) for c in step.undo) or "goes with its group"
        lines.append(f"{number}. `{step.call}` on `{step.target}`: {step.reason}.{blast} Undo: {undo}")
    lines += [
        "",
        "**What stays open:**",
        "",
        *[f"* {residual}" for residual in plan.residuals or ("nothing that is known",)],
    ]
    return lines[:MOST_LINES]


def call_lines(calls: Sequence[ApiCall]) -> list[str]:
    """Markdown: the calls of a release."""
    return [f"{n}. `{c}` {json.dumps(c.params, sort_keys=True)[:300]}" for n, c in enumerate(calls, 1)][:MOST_LINES]
