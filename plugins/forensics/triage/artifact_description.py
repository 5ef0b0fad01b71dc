"""The artifact's description: what EC2 says of a snapshot or a machine image, frozen before anything else is done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from forensics.aws.artifacts import GONE, ArtifactGateway, ImageFacts, Raw
from forensics.aws.session import AwsSession
from forensics.case.recorder import CaseRecorder
from forensics.errors import AwsError, InvalidCaseError, ResourceGoneError
from forensics.intake.artifact_origins import ArtifactOrigins
from forensics.models.artifact import Artifact, ArtifactDescription, ArtifactDisk
from forensics.triage.target_description import FrozenFacts


@dataclass(frozen=True)
class ArtifactDescriber:
    """Reads in the artifact's account and Region; it changes nothing there."""

    gateway: ArtifactGateway
    origins: ArtifactOrigins

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """Everything under one session in the artifact's account."""
        return cls(ArtifactGateway.of(session), ArtifactOrigins(lambda _account, _region: session.ec2))

    def describe(self, recorder: CaseRecorder, artifact: Artifact) -> ArtifactDescription:
        """Describe the artifact and its snapshots, store the raw answers as evidence and the description in the case.

        Raises :class:`InvalidCaseError` when the artifact does not exist. A snapshot of an image that EC2 does not show is named
        in the notes: the acquiring step says what becomes of it.
        """
        case, notes, frozen = recorder.case, list[str](), FrozenFacts(recorder)
        if earlier := frozen.earlier(ArtifactDescription):
            return earlier
        try:
            image, raw = self._image(artifact)
            disks = [self._disk(snapshot, device, raw, notes) for device, snapshot in image.disks.items()]
            if not artifact.is_image:
                disk, raw["snapshot"] = self.gateway.snapshot(artifact.id)
                disks, image = [disk], _as_image(disk)
        except ResourceGoneError as error:
            raise InvalidCaseError(f"{error}; nothing was changed in AWS", next_action=GONE) from error
        instances, made_of = self.origins.of_artifact(artifact.id, account_id=case.account_id, region=case.region)
        described = ArtifactDescription(
            account_id=case.account_id,
            region=case.region,
            artifact=artifact,
            **image.model_dump(exclude={"disks", "source_instance"}),
            made_of=made_of,
            disks=tuple(disks),
            instances=instances,
            notes=tuple(notes),
            described_at=datetime.now(UTC),
        )
        return frozen.freeze({**raw, "instances": instances, "origin": made_of}, described)

    def _image(self, artifact: Artifact) -> tuple[ImageFacts, Raw]:
        if not artifact.is_image:
            return ImageFacts(), {}
        image, raw = self.gateway.image(artifact.id)
        return image, {"image": raw}

    def _disk(self, snapshot_id: str, device: str, raw: Raw, notes: list[str]) -> ArtifactDisk:
        try:
            disk, raw[snapshot_id] = self.gateway.snapshot(snapshot_id, device=device)
        except AwsError as error:
            notes.append(f"{snapshot_id} ({device}): {error}"[:600])
            return ArtifactDisk(snapshot_id=snapshot_id, device=device)
        return disk


def _as_image(disk: ArtifactDisk) -> ImageFacts:
    """What is said of a snapshot where an image has facts of its own; architecture and platform are not known before it is read."""
    return ImageFacts(
        owner_id=disk.owner_id,
        name=disk.tags.get("Name", "")[:128],
        state=disk.state,
        description=disk.description,
        made_at=disk.started_at,
        tags=disk.tags,
    )
