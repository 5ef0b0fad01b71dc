"""What the intake makes of one message, and the day's numbers."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from forensics.models.base import AccountId, Model, Region, Utc
from forensics.models.finding import Finding
from forensics.models.preflight import Heartbeat


class AdmissionOutcome(StrEnum):
    """What became of a finding; counted by day and shown on the Intake page."""

    OPENED = "opened"
    JOINED = "joined"
    RAISED = "raised"
    EXISTS = "exists"
    CLOSED = "closed"
    ESCALATED = "escalated"
    RELEASE = "release"

    @property
    def joined(self) -> bool:
        """Whether the finding is new to a case that was open already, or more severe than before."""
        return self in {AdmissionOutcome.JOINED, AdmissionOutcome.RAISED}


class IntakeVerdict(StrEnum):
    """What the intake does with one event."""

    ACCEPT = "accept"
    IGNORE = "ignore"
    QUARANTINE = "quarantine"


class MessageOutcome(StrEnum):
    """What became of a message that opened no case, or not yet."""

    IGNORED = "ignored"
    QUARANTINED = "quarantined"
    FAILED = "failed"
    DEAD = "dead"


class UnresolvedFinding(Model):
    """A finding about a resource that is attached to an instance; only a describe call can tell to which one."""

    resource_type: str = Field(description="as CloudFormation names it: AWS::EC2::Volume")
    resource_id: str = Field(max_length=256)
    template: Finding = Field(description="the finding about a placeholder instance, until the instance is known")

    @property
    def account_id(self) -> AccountId:
        """The resource's account."""
        return self.template.account_id

    @property
    def region(self) -> Region:
        """The resource's Region."""
        return self.template.region


class InstanceState(Model):
    """An instance changed its state: not a finding, but of interest to whoever follows a case on it."""

    account_id: str | None
    region: str | None
    instance_id: str
    state: str


class IntakeResult(Model):
    """What one message holds: findings, or the reason why there are none.

    When at least one finding is accepted the verdict is ACCEPT; ``ignored`` and ``quarantined`` say what became of the
    others.
    """

    verdict: IntakeVerdict
    reason: str
    findings: tuple[Finding, ...] = ()
    ignored: tuple[str, ...] = Field(default=(), description="why findings beside the accepted ones are ignored")
    quarantined: tuple[str, ...] = Field(default=(), description="what is wrong with findings beside the accepted ones")
    unresolved: tuple[UnresolvedFinding, ...] = ()
    unplaced: tuple[str, ...] = Field(
        default=(), description="keys of findings whose instance may be in another Region than the finding"
    )
    instance_state: InstanceState | None = None
    heartbeat: Heartbeat | None = None
    event_id: str | None = None
    detail_type: str | None = None

    @property
    def rank(self) -> int:
        """Processing order of the message: that of its most urgent finding."""
        return max((finding.intake_rank for finding in self.findings), default=0)


class IntakeRecord(Model):
    """One event that opened no case, or not yet. ``tries`` counts the attempts that failed."""

    message_id: str
    received_at: Utc
    verdict: MessageOutcome
    reason: str = Field(max_length=2000)
    next_action: str = ""
    detail_type: str | None = None
    event_id: str | None = None
    tries: int = 1


class IntakeCounts(Model):
    """How many messages or findings of a UTC day ended how."""

    day: str
    numbers: dict[str, int]
