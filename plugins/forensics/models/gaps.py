"""A gap: something that a case ought to have and does not."""

from __future__ import annotations

from enum import StrEnum

from forensics.models.outside import Outside


class GapKind(StrEnum):
    """Which part of a case is not whole."""

    STEP = "step"
    PLAN = "plan"
    EVIDENCE = "evidence"
    CONTAINMENT = "containment"
    REQUEST = "request"
    INVESTIGATION = "investigation"
    COVERAGE = "coverage"
    TOOL = "tool"


class Gap(Outside):
    """One thing that is missing or not whole: what (``subject``), why, and what a responder can do about it.

    A piece of work that is still under way has the same form; it is pending, not a gap (``case/gaps.py`` decides).
    """

    kind: GapKind
    subject: str
    why: str
    next_action: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.why}"
