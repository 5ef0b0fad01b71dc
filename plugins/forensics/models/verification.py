"""Whether a finding is what its event says it is, asked live before anything is changed (R32)."""

from __future__ import annotations

from enum import StrEnum

from forensics.models.base import Model, Utc


class Standing(StrEnum):
    """What asking the finding's own service gave."""

    CONFIRMED = "confirmed"
    CLOSED = "closed"
    NOT_FOUND = "not-found"
    CONTRADICTED = "contradicted"
    UNREACHABLE = "unreachable"
    FORGED = "forged"


class Verification(Model):
    """The answer for one finding; anything but ``CONFIRMED`` backs no isolation, ``FORGED`` backs nothing at all."""

    finding_key: str
    standing: Standing
    reason: str
    asked: str = ""
    at: Utc

    @property
    def confirmed(self) -> bool:
        """Whether the finding may back a change to the target's network."""
        return self.standing is Standing.CONFIRMED
