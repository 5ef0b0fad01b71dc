"""Whether a finding is what its event says it is, checked live before anything is changed."""

from __future__ import annotations

from enum import StrEnum

from forensics.models.base import Utc
from forensics.models.outside import Outside


class Standing(StrEnum):
    """What the finding's own service answered."""

    CONFIRMED = "confirmed"
    DISPUTED = "disputed"
    CLOSED = "closed"
    NOT_FOUND = "not-found"
    CONTRADICTED = "contradicted"
    UNREACHABLE = "unreachable"
    FORGED = "forged"


class Verification(Outside):
    """The answer for one finding.

    Only ``CONFIRMED`` supports an isolation. ``DISPUTED``: its own service has it open while another record of it is closed; a
    person decides. ``FORGED`` supports nothing at all.
    """

    finding_key: str
    standing: Standing
    reason: str
    asked: str = ""
    at: Utc

    @property
    def confirmed(self) -> bool:
        """Whether the finding may back a change to the target's network."""
        return self.standing is Standing.CONFIRMED
