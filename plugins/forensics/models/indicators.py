"""Indicators of a case, by which cases of one attack are found."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from forensics.models.base import CaseId, Utc
from forensics.models.outside import Outside
from forensics.models.results import Confidence


class IndicatorKind(StrEnum):
    """What an indicator is."""

    HASH = "hash"
    ACCESS_KEY = "access key"
    ADDRESS = "address"
    DOMAIN = "domain"
    USER = "user"
    FILE_NAME = "file name"


class Indicator(Outside):
    """One indicator; ``where``: the finding that names it."""

    kind: IndicatorKind
    value: str = Field(min_length=1, max_length=300)
    where: str = Field(default="", max_length=200)

    @property
    def name(self) -> str:
        """Kind and value: what is equal in two cases."""
        return f"{self.kind.value}#{self.value}"


class LinkedCase(Outside):
    """Another case that shares indicators with this one, and how much that says."""

    case_id: CaseId
    confidence: Confidence
    shared: tuple[Indicator, ...]
    found_at: Utc
