"""Containment and release plans as people read them: in the approval, in messages, in a dry run. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from forensics.models.containment import ApiCall, ContainmentPlan, ManualStep, PlanPreflight, PreflightAnswer

MOST_LINES = 80


def plan_lines(plan: ContainmentPlan, *, preflight: PlanPreflight | None = None) -> list[str]:
    """Markdown: why a person is asked, AWS's answers, every change with its side effects and undo, what stays open."""
    lines = [f"**Plan {plan.digest}** for `{plan.instance_id}`, case {plan.case_id}, order {plan.order}", ""]
    lines += [f"* You are asked because {reason}" for reason in plan.approval]
    if preflight is not None:
        lines += ["", *preflight_lines(preflight)]
    lines += ["", f"**{len(plan.steps)} changes, in this order:**", ""]
    for number, step in enumerate(plan.steps, 1):
        also = f" **Also affected: {'; '.join(step.side_effects)}.**" if step.side_effects else ""
        undo = ", ".join(str(c) for c in step.undo) or "it goes with its group"
        lines.append(f"{number}. `{step.call}` on `{step.target}`: {step.reason}.{also} Undo: {undo}")
    lines += [
        "",
        "**What stays open:**",
        "",
        *[f"* {residual}" for residual in plan.residuals or ("nothing known",)],
    ]
    if plan.manual_steps:
        lines += ["", "**Manual steps:**", "", *[f"* {line}" for line in manual_lines(plan.manual_steps)]]
    return lines[:MOST_LINES]


def preflight_lines(preflight: PlanPreflight) -> list[str]:
    """Markdown: what AWS answered in the preflight of the plan."""
    allowed, refused, rest = (
        preflight.of(a) for a in (PreflightAnswer.ALLOWED, PreflightAnswer.REFUSED, PreflightAnswer.NOT_ASKED)
    )
    lines = [
        f"**Preflight (EC2's DryRun, IAM's simulator):** {len(allowed)} steps would be allowed, {len(refused)} would be refused,"
        f" {len(rest)} cannot be checked"
    ]
    return [*lines, "", *[f"* refused: {s.name}: {s.detail}" for s in refused]] if refused else lines


def manual_lines(steps: Sequence[ManualStep]) -> list[str]:
    """Each manual step on one line."""
    return [f"{s.what}: {s.reason}" + (f" (`{s.command}`)" if s.command else "") for s in steps]


def call_lines(calls: Sequence[ApiCall]) -> list[str]:
    """Markdown: the calls of a release."""
    return [f"{n}. `{c}` {json.dumps(c.params, sort_keys=True)[:300]}" for n, c in enumerate(calls, 1)][:MOST_LINES]
