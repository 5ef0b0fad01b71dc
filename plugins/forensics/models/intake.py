"""What the intake did with one message, and the day's numbers."""

from __future__ import annotations

from pydantic import Field

from forensics.models.base import Model, Utc
from forensics.models.finding import Finding, Verdict


class IntakeRecord(Model):
    """One event that opened no case, or not yet: ``ignored``, ``quarantined``, ``failed`` (tried again) or ``dead``."""

    message_id: str
    received_at: Utc
    verdict: str
    reason: str = Field(max_length=2000)
    next_action: str = ""
    detail_type: str | None = None
    event_id: str | None = None
    tries: int = 1


class IntakeCounts(Model):
    """How many messages or findings of a UTC day ended how."""

    day: str
    numbers: dict[str, int]


class Reading(Model):
    """What one message holds: findings, or the reason why there are none. The highest ``rank`` is worked first."""

    verdict: Verdict
    reason: str
    findings: tuple[Finding, ...] = ()
    spoiled: str = Field(default="", description="why some findings beside the accepted ones cannot be worked")
    rank: int = 0
    detail_type: str | None = None
    event_id: str | None = None
