"""The alert as received, after normalisation."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from forensics.models.approval import Person
from forensics.models.artifact import Artifact, check_subject
from forensics.models.base import AccountId, Model, Region, SubjectId, Utc
from forensics.models.outside import Outside
from forensics.models.webhook import WebhookProof


class FindingSource(StrEnum):
    """Who sent the finding."""

    SECURITY_HUB = "security-hub"
    SECURITY_HUB_ACTION = "security-hub-action"
    SECURITY_HUB_V2 = "security-hub-v2"
    GUARDDUTY = "guardduty"
    CONFIG = "config"
    MANUAL = "manual"
    WEBHOOK = "webhook"


class Severity(StrEnum):
    """Severity as Security Hub labels it; ordered by ``rank``."""

    INFORMATIONAL = "INFORMATIONAL"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"

    @property
    def rank(self) -> int:
        """0 for informational to 4 for critical."""
        return list(Severity).index(self)


# Who notes are written by in Security Hub.
NOTE_AUTHOR = "ec2-forensics"
# What a person orders is processed before every severity.
PERSONS_RANK = len(Severity)


class CustomAction(StrEnum):
    """Security Hub custom actions that this product offers."""

    TRIAGE = "ForensicTriage"
    ISOLATE = "ForensicIsolate"
    FULL = "ForensicFull"
    RELEASE = "ForensicRelease"


class PostureFamily(StrEnum):
    """Kinds of findings that say nothing about an intrusion."""

    CONTROL = "controls"
    VULNERABILITY = "vulnerabilities"
    PATCH = "patches"
    EXPOSURE = "exposures"
    DATA = "data"
    CONFIG = "config"


class RequestSignature(Model):
    """Proof that somebody who may use the signing key made a request: KMS signs the SHA-384 of ``message``."""

    key_id: str = Field(min_length=1, max_length=2048)
    value: str = Field(min_length=8, max_length=2048, description="base64")
    message: str = Field(max_length=8192, description="the request in RFC 8785 canonical JSON")
    nonce: str = Field(min_length=16, max_length=64)
    expires_at: Utc


class Finding(Outside):
    """One finding about one instance, or about one artifact, whose id ``instance_id`` is then.

    ``key`` is the same for every format in which the same finding about the same instance or artifact arrives.
    """

    key: str = Field(min_length=8, max_length=64)
    source: FindingSource
    finding_id: str = Field(max_length=2048)
    title: str = Field(max_length=1024)
    types: tuple[str, ...] = ()
    severity: Severity = Severity.INFORMATIONAL
    severity_unread: bool = Field(
        default=False, description="no severity could be read: taken as MEDIUM, said in the plan"
    )
    account_id: AccountId
    region: Region
    instance_id: SubjectId
    artifact: Artifact | None = None
    vpc_id: str | None = Field(default=None, description="the VPC that the finding names for the instance")
    found_by: str | None = Field(
        default=None,
        max_length=300,
        description="the resource that led to the instance, when it is not the finding's own",
    )
    resource_role: str | None = None
    created_at: Utc | None = None
    updated_at: Utc | None = None
    action: CustomAction | None = None
    press: str | None = Field(
        default=None, max_length=64, description="which press of the custom action: EventBridge's id of the event"
    )
    from_administrator: bool = Field(
        default=False,
        description="the custom action was pressed in an account that the deployment names as administrator",
    )
    sample: bool = False
    drill: bool = Field(
        default=False,
        description="of this product's own drill: no reader of events sets it, so that nobody else can mark a finding as one",
    )
    posture: bool = Field(default=False, description="a control or vulnerability: it says nothing about an intrusion")
    peers: tuple[str, ...] = Field(default=(), description="public addresses at the other end that the finding names")
    domains: tuple[str, ...] = Field(default=(), description="DNS names that the finding names, in lower case")
    product: str = ""
    product_arn: str | None = Field(
        default=None, max_length=2048, description="Security Hub's ARN of the product that made the finding"
    )
    ocsf: bool = Field(default=False, description="it came in OCSF: the new Security Hub holds its record")
    requester: str | None = Field(default=None, description="as text; who it is, where that is known, is asked_by")
    asked_by: Person | None = Field(default=None, description="the person behind a request that was made in Airflow")
    reason: str | None = None
    requested: dict[str, bool] | None = None
    signature: RequestSignature | None = Field(default=None, description="of a person's request that came as an event")
    webhook: WebhookProof | None = Field(
        default=None, description="that the intake checked the signature of a webhook: no reader of events sets it"
    )

    @model_validator(mode="after")
    def _about_one_thing(self) -> Self:
        check_subject(self.instance_id, self.artifact)
        return self

    @property
    def order(self) -> str:
        """What tells a person's order on this finding from the finding and from other orders; empty for a finding."""
        if self.action is None:
            return ""
        return self.action.value if self.press is None else f"{self.action.value}#{self.press}"

    @property
    def intake_rank(self) -> int:
        """Processing order, highest first: a person's request, then by severity."""
        by_person = self.action is not None or self.source is FindingSource.MANUAL
        return PERSONS_RANK if by_person else self.severity.rank
