"""What the intake makes of one message, and the day's numbers."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from forensics.models.base import AccountId, Model, Region, Utc
from forensics.models.finding import CustomAction, Finding, Severity
from forensics.models.outside import Outside
from forensics.models.preflight import Heartbeat
from forensics.models.webhook import SignedWebhook


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
    ANNOUNCED = "announced"
    QUARANTINED = "quarantined"
    FAILED = "failed"
    DEAD = "dead"


class SubjectKind(StrEnum):
    """What a finding without an instance is about; the one that says most about where to look comes first."""

    RECOVERY_POINT = "recovery point"
    IMAGE = "machine image"
    SNAPSHOT = "snapshot"
    FARGATE_TASK = "Fargate task"
    TASK = "ECS task"
    POD = "Kubernetes workload"
    CONTAINER = "container"
    ECS_CLUSTER = "ECS cluster"
    EKS_CLUSTER = "EKS cluster"
    FUNCTION = "Lambda function"
    DATABASE = "database"
    STORAGE = "S3 bucket or object"
    IDENTITY = "identity"
    OTHER = "resource"

    @property
    def phrase(self) -> str:
        """With its article."""
        return f"{'an' if self.value.startswith(('E', 'S3', 'i')) else 'a'} {self.value}"


class FindingWithoutInstance(Outside):
    """An intrusion that names no EC2 instance: no case can be opened, so that people are told what they can do.

    ``resource``: ARN or name of what it is about. ``nodes``: instances of its cluster, of which none is known to be the one, or
    instances that a snapshot or an image was made of or that were launched from it.
    ``sent_by``: the account that the event came from, when nothing confirms the finding's account.
    """

    finding_id: str = Field(max_length=2048)
    title: str = Field(max_length=1024)
    types: tuple[str, ...] = ()
    severity: Severity
    severity_unread: bool = False
    account_id: AccountId
    region: str = Field(default="", max_length=40)
    product: str = ""
    kind: SubjectKind = SubjectKind.OTHER
    resource: str = Field(default="", max_length=512)
    nodes: tuple[str, ...] = ()
    sent_by: str | None = None
    action: CustomAction | None = None
    press: str | None = Field(default=None, max_length=64)
    why: str = Field(default="", max_length=300, description="why its instance was not found, when one was looked for")


class UnresolvedFinding(Outside):
    """A finding about a resource that is attached to an instance; only a describe call can tell to which one.

    ``otherwise``: what people are told when it is attached to none.
    """

    resource_type: str = Field(description="as CloudFormation names it: AWS::EC2::Volume")
    resource_id: str = Field(max_length=256)
    template: Finding = Field(description="the finding about a placeholder instance, until the instance is known")
    otherwise: FindingWithoutInstance | None = None

    @property
    def resource(self) -> str:
        """Type and id of the resource."""
        return f"{self.resource_type} {self.resource_id}"

    @property
    def account_id(self) -> AccountId:
        """The resource's account."""
        return self.template.account_id

    @property
    def region(self) -> Region:
        """The resource's Region."""
        return self.template.region


class InstanceState(Outside):
    """An instance changed its state: not a finding, but of interest to whoever follows a case on it."""

    account_id: str | None
    region: str | None
    instance_id: str
    state: str


class IntakeResult(Outside):
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
    without_instance: tuple[FindingWithoutInstance, ...] = ()
    instance_state: InstanceState | None = None
    heartbeat: Heartbeat | None = None
    signed: SignedWebhook | None = Field(default=None, description="a webhook whose signature nobody has checked yet")
    event_id: str | None = None
    detail_type: str | None = None

    @property
    def rank(self) -> int:
        """Processing order of the message: that of its most urgent finding."""
        ranks = [finding.intake_rank for finding in self.findings]
        return max([*ranks, *(item.severity.rank for item in self.without_instance)], default=0)


class IntakeRecord(Outside):
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
