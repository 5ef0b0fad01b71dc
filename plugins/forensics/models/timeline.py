"""The stored timeline of a case: every entry of every source as Parquet, and what the case records of it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from forensics.models.base import Sha256, Utc
from forensics.models.outside import Outside


class TimelineSource(StrEnum):
    """The partitions of a stored timeline: where its entries come from."""

    CASE = "case"
    CUSTODY = "custody"
    FINDING = "finding"
    CLOUD = "cloud"
    MEMORY = "memory"
    DISK = "disk"
    LIVE_RESPONSE = "live_response"
    PLASO = "plaso"


# What the case table holds too, and always newer: searches read it there.
OF_THE_CASE = (TimelineSource.CASE, TimelineSource.CUSTODY, TimelineSource.FINDING)


class TimelinePart(Outside):
    """One Parquet file, ordered by time; ``made_of``: SHA-256 of the artifact whose entries it has, empty for the case's own."""

    source: TimelineSource
    evidence_id: str = Field(default="", max_length=200)
    made_of: str = Field(default="", max_length=64)
    uri: str = Field(max_length=1100)
    sha256: Sha256
    bytes: int = Field(ge=0)
    rows: int = Field(ge=0)


class TimelineStore(Outside):
    """A version of a case's stored timeline. ``version`` is the folder below ``cases/<case_id>/timeline/``."""

    schema_version: str = "forensics.timeline/1"
    version: str = Field(pattern=r"^\d{8}T\d{12}Z$")
    written_at: Utc
    parts: tuple[TimelinePart, ...] = ()
    unread: int = Field(default=0, ge=0, description="lines of tools that are no entry with a time")
    results: tuple[str, ...] = Field(default=(), description="SHA-256 of every tool's results whose findings are in it")
    cut: tuple[str, ...] = Field(default=(), description="what was left out, and why")

    @property
    def rows(self) -> int:
        """Entries of all parts."""
        return sum(part.rows for part in self.parts)

    def lacks(self, results: frozenset[str]) -> bool:
        """Whether tools have ended since whose results this version does not have."""
        return not results <= set(self.results)
