"""Protection of the target while its evidence is acquired: what was changed for it, what was refused, and its end."""

from __future__ import annotations

from pydantic import Field

from forensics.models.base import Utc
from forensics.models.containment import ContainmentStep, PlanStep
from forensics.models.evidence import Outcome
from forensics.models.outside import Outside


class ProtectionResult(Outside):
    """The target's protections, read back from AWS.

    ``made`` are the changes of this case, written before they are tried: only they are undone, and only while the target
    still has them.
    """

    outcome: Outcome
    reason: str | None = None
    made: tuple[PlanStep, ...] = ()
    steps: tuple[ContainmentStep, ...] = ()
    open: tuple[str, ...] = Field(default=(), description="how the target can still be lost, in words")
    refused: bool = Field(default=False, description="something that was to be changed could not be")
    protected_at: Utc | None = None
    undone_at: Utc | None = None
    left: tuple[str, ...] = Field(default=(), description="what was not undone, and why")

    @property
    def complete(self) -> bool:
        """Whether nothing that this product can prevent ends the target."""
        return self.outcome is Outcome.DONE and not self.open

    @property
    def in_force(self) -> bool:
        """Whether changes of this case are on the target."""
        return bool(self.made) and self.undone_at is None
