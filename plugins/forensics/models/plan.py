"""What will be done to the target, and why."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from forensics.models.base import Model, Utc


class Action(StrEnum):
    """The three things a plan decides."""

    MEMORY = "memory"
    DISK = "disk"
    ISOLATE = "isolate"


class Decision(Model):
    """Yes or no to one action, with every reason that led there."""

    action: Action
    wanted: bool
    possible: bool = True
    reasons: tuple[str, ...] = Field(min_length=1)

    @property
    def go(self) -> bool:
        """Whether the step is carried out."""
        return self.wanted and self.possible


class ResponsePlan(Model):
    """Decisions of triage for one case; ``policy_version`` names the rules that made them."""

    memory: Decision
    disk: Decision
    isolate: Decision
    policy_version: str
    decided_at: Utc
    warnings: tuple[str, ...] = ()
