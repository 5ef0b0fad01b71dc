"""A snapshot or a machine image under suspicion: a case of it copies, locks and examines what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from forensics.models.base import AccountId, ArtifactId, Region, Utc
from forensics.models.outside import Outside

# What EC2 says is the volume of a copied snapshot (EBS user guide, "Copy an Amazon EBS snapshot": an arbitrary id).
NO_VOLUME = "vol-ffffffff"


class ArtifactKind(StrEnum):
    """What the artifact is called by; a recovery point of AWS Backup is a snapshot or an image by its id."""

    SNAPSHOT = "snapshot"
    IMAGE = "machine image"
    RECOVERY_POINT = "recovery point"


class Artifact(Outside):
    """What a case is about when it is about no instance."""

    kind: ArtifactKind
    id: ArtifactId

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        expected = {ArtifactKind.SNAPSHOT: "snap-", ArtifactKind.IMAGE: "ami-"}.get(self.kind, "")
        if not self.id.startswith(expected):
            msg = f"{self.id} is no {self.kind.value}"
            raise ValueError(msg)
        return self

    @property
    def phrase(self) -> str:
        """Kind and id."""
        return f"{self.kind.value} {self.id}"

    @property
    def is_image(self) -> bool:
        """Whether it is a machine image, which has a snapshot for each of its disks."""
        return self.id.startswith("ami-")


def artifact_of(subject_id: str) -> Artifact | None:
    """The artifact of an id that a person typed; None for an instance's id, or for what is no id at all."""
    kinds: Mapping[str, ArtifactKind] = {"snap-": ArtifactKind.SNAPSHOT, "ami-": ArtifactKind.IMAGE}
    kind = next((kind for prefix, kind in kinds.items() if subject_id.startswith(prefix)), None)
    return Artifact(kind=kind, id=subject_id) if kind else None


def check_subject(subject_id: str, artifact: Artifact | None) -> None:
    """Raise ``ValueError`` unless an instance's id stands alone and an artifact's id is that of the artifact beside it."""
    expected = artifact.id if artifact else subject_id if subject_id.startswith("i-") else ""
    if subject_id != expected:
        msg = f"{subject_id} is {'no instance' if artifact is None else f'not {artifact.id}'}"
        raise ValueError(msg)


class ArtifactDisk(Outside):
    """One EBS snapshot of the artifact as EC2 describes it; ``device``: its place in a machine image."""

    snapshot_id: str
    device: str = ""
    volume_id: str | None = Field(default=None, description="None for a copy, which does not say what it was made of")
    owner_id: str = ""
    state: str = ""
    tier: str = Field(default="", description="storage tier: standard, archive")
    started_at: Utc | None = None
    size_gib: int = 0
    encrypted: bool = False
    kms_key_id: str | None = None
    description: str = ""
    tags: dict[str, str] = Field(default_factory=dict)


class ArtifactDescription(Outside):
    """The artifact's description at triage time."""

    account_id: AccountId
    region: Region
    artifact: Artifact
    owner_id: str = ""
    name: str = ""
    state: str = ""
    description: str = ""
    public: bool = False
    architecture: str = "x86_64"
    platform: str = "linux"
    made_at: Utc | None = None
    made_of: str = Field(default="", description="what EC2 says of its origin, in words")
    disks: tuple[ArtifactDisk, ...] = ()
    without_snapshot: tuple[str, ...] = Field(
        default=(), description="devices of a machine image that no snapshot holds: instance store"
    )
    bundle: str = Field(default="", description="where the content of an instance-store image is, in S3")
    instances: tuple[str, ...] = Field(
        default=(), description="instances that have to do with it: origin, launched from it"
    )
    tags: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    described_at: Utc
    facts: dict[str, str] = Field(default_factory=dict, description="where the raw answers are stored: uri and sha256")

    @property
    def group_tags(self) -> Mapping[str, Mapping[str, str]]:
        """Nothing: an artifact is in no security group."""
        return {}
