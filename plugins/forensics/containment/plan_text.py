"""Parts of containment and release plans as people read them: in messages, in a dry run. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from forensics.models.containment import ApiCall, ManualStep, PlanPreflight, PreflightAnswer
from forensics.printable import count

MOST_LINES = 80


def preflight_lines(preflight: PlanPreflight) -> list[str]:
    """Markdown: what AWS answered in the preflight of the plan."""
    allowed, refused, rest = (
        preflight.of(a) for a in (PreflightAnswer.ALLOWED, PreflightAnswer.REFUSED, PreflightAnswer.NOT_ASKED)
    )
    lines = [
        f"**Preflight (EC2's DryRun, IAM's simulator):** {count(len(allowed), 'step')} would be allowed, {len(refused)} would be refused,"
        f" {len(rest)} cannot be checked"
    ]
    return [*lines, "", *[f"* refused: {s.name}: {s.detail}" for s in refused]] if refused else lines


def manual_lines(steps: Sequence[ManualStep]) -> list[str]:
    """Each manual step on one line."""
    return [f"{s.what}: {s.reason}" + (f" (`{s.command}`)" if s.command else "") for s in steps]


def call_lines(calls: Sequence[ApiCall]) -> list[str]:
    """Markdown: the calls of a release."""
    return [f"{n}. `{c}` {json.dumps(c.params, sort_keys=True)[:300]}" for n, c in enumerate(calls, 1)][:MOST_LINES]
