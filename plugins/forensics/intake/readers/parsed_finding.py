"""What one finding states, whatever service it came from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from forensics.intake.readers.fields import truth
from forensics.intake.readers.identifiers import SAMPLE_INSTANCE, InstanceRef
from forensics.models.finding import CustomAction, FindingSource, PostureFamily, RequestSignature, Severity
from forensics.models.intake import SubjectKind

# …:securityhub:eu-central-1::product/aws/guardduty, …:securityhub:eu-central-1:111122223333:product/111122223333/default, and
# productv2 in the new Security Hub.
PRODUCT_ARN = re.compile(
    r"arn:aws[a-z0-9-]*:securityhub:[a-z0-9-]+:[0-9]{0,12}:product(?:v2)?/[A-Za-z0-9._-]{1,64}/[A-Za-z0-9._-]{1,64}"
)


@dataclass(frozen=True)
class IntakeRules:
    """What the deployment configures for the intake.

    ``rule_names``: Config rules that open cases, None for all. ``posture``: families of posture findings that open cases.
    ``closed_too``: findings that are over are read like open ones. ``artifacts_from``: from this severity on a snapshot or a
    machine image gets a case of its own. ``accounts``: those whose targets are this deployment's, none for all.
    """

    received_at: datetime
    accept_samples: bool = False
    own_account: str | None = None
    administrators: frozenset[str] = frozenset()
    rule_names: frozenset[str] | None = None
    posture: frozenset[PostureFamily] = frozenset()
    closed_too: bool = False
    artifacts_from: Severity = Severity.HIGH
    accounts: frozenset[str] = frozenset()


class Binding(Enum):
    """How far the envelope's account or Region binds a finding in it."""

    SAME = "must be the finding's"
    CONFIRMED = "may differ (administrator, aggregation Region) when the resource itself confirms the finding's"
    FREE = "says nothing about the target"


@dataclass(frozen=True)
class AttachedResource:
    """A resource that is attached to an instance, by CloudFormation's type name, with what its ARN says about its place.

    ``vpc_id``: the VPC that the instance must be in.
    """

    type: str
    id: str
    field: str
    account: str | None = None
    region: str | None = None
    vpc_id: str | None = None


@dataclass(frozen=True)
class Subject:
    """What a finding without an instance is about; ``nodes``: instances of its cluster; ``artifacts``: what a case can be about."""

    kind: SubjectKind = SubjectKind.OTHER
    resource: str = ""
    nodes: tuple[str, ...] = ()
    artifacts: tuple[InstanceRef, ...] = ()


@dataclass(frozen=True)
class ParsedFinding:
    """One finding as its source states it.

    ``closed``: the reason why it is no longer open. ``severity``: None when none could be read. ``unreadable``: resources
    that say they are instances and are not readable as such.
    """

    source: FindingSource
    finding_id: str
    account: str
    region: str | None
    instances: tuple[InstanceRef, ...]
    title: str
    account_binding: Binding
    region_binding: Binding
    partition: str | None = None
    types: tuple[str, ...] = ()
    severity: Severity | None = None
    closed: str | None = None
    no_instance: str = "no EC2 instance among its resources"
    sample: bool = False
    posture: PostureFamily | None = None
    unreadable: tuple[str, ...] = ()
    resource_role: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    product: str = ""
    product_arn: str | None = None
    action: CustomAction | None = None
    requester: str | None = None
    reason: str | None = None
    requested: dict[str, bool] | None = None
    signature: RequestSignature | None = None
    ocsf: bool = False
    attached: tuple[AttachedResource, ...] = ()
    subject: Subject = Subject()
    peers: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()


def product_arn(value: object) -> str | None:
    """Security Hub's ARN of a product; None for anything else."""
    return value if isinstance(value, str) and PRODUCT_ARN.fullmatch(value) else None


def is_sample(*flags: object, title: str | None, instances: tuple[InstanceRef, ...]) -> bool:
    """Whether GuardDuty made the finding up: by a flag, by its title, or by the instance that it invents."""
    return (
        any(truth(flag) for flag in flags)
        or (title or "").startswith("[SAMPLE]")
        or any(instance.instance_id == SAMPLE_INSTANCE for instance in instances)
    )
