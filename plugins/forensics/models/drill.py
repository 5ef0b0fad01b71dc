"""A drill: a whole case on a canary, from its launch to what was found, contained, kept and removed."""

from __future__ import annotations

from pydantic import Field

from forensics.models.base import AccountId, Model, Region, Utc
from forensics.models.outside import Outside


class Planted(Outside):
    """One artefact that the canary's launch template plants: ``kind`` (process, socket, …) and the text by which it is found."""

    kind: str = Field(min_length=1, max_length=40)
    text: str = Field(min_length=3, max_length=200)


class DrillRun(Model):
    """What a drill has made so far; whatever dies, the next try and the reaper know by it what has to go."""

    name: str = Field(description="of the drill, from its run: names what it makes")
    at: Utc
    account_id: AccountId
    region: Region
    instance_id: str = ""
    volume_ids: tuple[str, ...] = ()
    interface_ids: tuple[str, ...] = ()
    planted: tuple[Planted, ...] = ()
    ready_at: Utc | None = None
    case_id: str = ""
    removed_at: Utc | None = Field(default=None, description="when the canary and its groups were gone")
    snapshots_gone_at: Utc | None = Field(default=None, description="when the last snapshot of its case was deleted")


class DrillCheck(Outside):
    """One line of the pass/fail list; ``next_action`` is empty for one that passed."""

    name: str = Field(max_length=80)
    passed: bool
    detail: str = Field(default="", max_length=1000)
    next_action: str = Field(default="", max_length=1000)


class DrillReport(Model):
    """The result of a drill; ``seconds`` are from the order to each stage of its case that was reached."""

    name: str
    case_id: str = ""
    at: Utc
    checks: tuple[DrillCheck, ...]
    seconds: dict[str, float] = Field(default_factory=dict)

    @property
    def failed(self) -> tuple[DrillCheck, ...]:
        """The lines that did not pass."""
        return tuple(c for c in self.checks if not c.passed)

    @property
    def headline(self) -> str:
        """One sentence for people."""
        passed = len(self.checks) - len(self.failed)
        return f"drill {'FAILED' if self.failed else 'passed'}: {passed} of {len(self.checks)} checks passed"
