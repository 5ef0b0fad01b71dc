"""What outlived its case and is removed."""

from __future__ import annotations

from pydantic import Field

from forensics.models.outside import Outside


class Orphan(Outside):
    """A resource of the forensic account that is removed, and why."""

    id: str
    kind: str
    case_id: str = Field(description="what its tag says")
    reason: str


class OrphansBegun(Outside):
    """What a search for orphans is about to remove, or has removed and not yet reported."""

    orphans: tuple[Orphan, ...] = ()
