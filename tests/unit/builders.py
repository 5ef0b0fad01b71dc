"""Small valid models for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from forensics.case.messages import subject
from forensics.models.artifact import Artifact, ArtifactDescription, ArtifactDisk, ArtifactKind
from forensics.models.case import Case, CaseView
from forensics.models.evidence import AnyEvidence, EvidenceKind, Outcome, read_evidence
from forensics.models.finding import Finding, FindingSource, Severity
from forensics.models.plan import Action, Decision, ResponsePlan
from forensics.models.results import Investigation
from forensics.models.target import NetworkInterface, SsmStatus, Target, Volume

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
CASE_ID = "fc-20261124-0123456789"
INSTANCE = "i-0123456789abcdef0"
ACCOUNT, REGION = "333344445555", "eu-central-1"


def finding(**changes: Any) -> Finding:
    """A HIGH GuardDuty finding about the instance."""
    values: dict[str, Any] = {
        "key": "k" * 16,
        "source": FindingSource.GUARDDUTY,
        "finding_id": "arn:aws:guardduty:eu-central-1:333344445555:detector/d/finding/f",
        "title": "C2 traffic",
        "severity": Severity.HIGH,
        "account_id": ACCOUNT,
        "region": REGION,
        "instance_id": INSTANCE,
        "created_at": NOW,
        "product_arn": f"arn:aws:securityhub:{REGION}::product/aws/guardduty",
        "from_administrator": True,
    }
    return Finding(**{**values, **changes})


def interface(number: int = 0, **changes: Any) -> NetworkInterface:
    """An interface with one ordinary group."""
    values: dict[str, Any] = {
        "id": f"eni-{number}",
        "device_index": number,
        "vpc_id": "vpc-1",
        "subnet_id": "subnet-1",
        "group_ids": ("sg-app",),
    }
    return NetworkInterface(**{**values, **changes})


def target(**changes: Any) -> Target:
    """A running Linux instance that SSM reaches."""
    values: dict[str, Any] = {
        "account_id": ACCOUNT,
        "region": REGION,
        "instance_id": INSTANCE,
        "state": "running",
        "instance_type": "t3.micro",
        "availability_zone": "eu-central-1a",
        "interfaces": (interface(),),
        "volumes": (Volume(id="vol-1", device="/dev/xvda"),),
        "ssm": SsmStatus(managed=True, ping="Online"),
        "described_at": NOW,
    }
    return Target(**{**values, **changes})


def case(**changes: Any) -> Case:
    """An open case."""
    values: dict[str, Any] = {
        "case_id": CASE_ID,
        "account_id": ACCOUNT,
        "region": REGION,
        "instance_id": INSTANCE,
        "opened_at": NOW,
        "title": "C2 traffic",
        "severity": "HIGH",
        "source": "guardduty",
        "finding_key": "k" * 16,
    }
    return Case(**{**values, **changes})


SNAPSHOT, IMAGE = "snap-0123456789abcdef0", "ami-0123456789abcdef0"


def of_snapshot(**changes: Any) -> Case:
    """An open case of a snapshot."""
    return case(instance_id=SNAPSHOT, artifact=Artifact(kind=ArtifactKind.SNAPSHOT, id=SNAPSHOT), **changes)


def artifact_disk(**changes: Any) -> ArtifactDisk:
    """The account's own snapshot of a volume, complete."""
    values: dict[str, Any] = {
        "snapshot_id": SNAPSHOT,
        "volume_id": "vol-1",
        "owner_id": ACCOUNT,
        "state": "completed",
        "started_at": NOW,
    }
    return ArtifactDisk(**{**values, **changes})


def described_artifact(**changes: Any) -> ArtifactDescription:
    """A snapshot as triage describes it."""
    values: dict[str, Any] = {
        "account_id": ACCOUNT, "region": REGION, "artifact": Artifact(kind=ArtifactKind.SNAPSHOT, id=SNAPSHOT), "owner_id": ACCOUNT,
        "state": "completed", "disks": (artifact_disk(),), "described_at": NOW,
    }  # fmt: skip
    return ArtifactDescription(**{**values, **changes})


def said(headline: str, *, about: Case | None = None) -> str:
    """The subject of a message about a case, :func:`case` unless another is given, whose target has no names."""
    return subject(about or case(), headline)


def decision(action: Action, *, wanted: bool = True, possible: bool = True) -> Decision:
    """A decision with a reason."""
    return Decision(action=action, wanted=wanted, possible=possible, reasons=("because",))


def plan(*, memory: bool = True, disk: bool = True, isolate: bool = True) -> ResponsePlan:
    """A plan; each argument says whether the action is wanted."""
    return ResponsePlan(
        memory=decision(Action.MEMORY, wanted=memory),
        disk=decision(Action.DISK, wanted=disk),
        isolate=decision(Action.ISOLATE, wanted=isolate),
        policy_version="test",
        decided_at=NOW,
    )


def evidence(kind: EvidenceKind, outcome: Outcome = Outcome.ACQUIRED, **changes: Any) -> AnyEvidence:
    """An item of a kind; disks are those of vol-1."""
    subject = "vol-1" if kind is EvidenceKind.DISK else INSTANCE
    return read_evidence({"evidence_id": f"{kind.value}-{subject}", "kind": kind, "outcome": outcome, **changes})


def investigation(item: str, outcome: Outcome = Outcome.DONE) -> Investigation:
    """A run of the tools on an item."""
    return Investigation(activity="investigate", evidence_id=item, outcome=outcome.value)


def view(**changes: Any) -> CaseView:
    """A view with nothing in it but the case."""
    return CaseView(**{"case": case(), "generated_at": NOW, **changes})
