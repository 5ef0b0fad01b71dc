"""An artifact's description: stored as evidence, with what EC2 does not show in its notes."""

from __future__ import annotations

import pytest

from forensics.aws.artifacts import ArtifactGateway, ImageFacts, Raw
from forensics.errors import AccessDeniedError, InvalidCaseError, ResourceGoneError
from forensics.intake.artifact_origins import ArtifactOrigins
from forensics.models.artifact import Artifact, ArtifactDisk, ArtifactKind
from forensics.models.custody import CustodyAction
from forensics.models.evidence import EvidenceKind, Outcome
from forensics.triage.artifact_description import ArtifactDescriber
from tests.unit.builders import IMAGE, INSTANCE, NOW, SNAPSHOT, artifact_disk, case, of_snapshot
from tests.unit.recorders import FakeRecorder

HIDDEN = "snap-0fedcba9876543210"
OF_IMAGE = Artifact(kind=ArtifactKind.IMAGE, id=IMAGE)


class Artifacts(ArtifactGateway):
    """One image of two snapshots, of which EC2 shows one."""

    def __init__(self, *, gone: bool = False) -> None:
        self.gone = gone

    def snapshot(self, snapshot_id: str, *, device: str = "") -> tuple[ArtifactDisk, Raw]:
        if self.gone:
            raise ResourceGoneError(f"snapshot {snapshot_id} does not exist")
        if snapshot_id == HIDDEN:
            raise AccessDeniedError("not yours")
        return artifact_disk(device=device, tags={"Name": "db"}), {"StartTime": NOW}

    def image(self, image_id: str) -> tuple[ImageFacts, Raw]:
        if self.gone:
            raise ResourceGoneError(f"machine image {image_id} does not exist")
        return ImageFacts(name="golden", disks={"/dev/xvda": SNAPSHOT, "/dev/sdf": HIDDEN}), {"ImageId": image_id}


class Origins(ArtifactOrigins):
    """Everything was made of the same instance."""

    def __init__(self) -> None:
        super().__init__(lambda _account, _region: pytest.fail("nobody is asked here"))

    def of_artifact(self, name: str, *, account_id: str, region: str) -> tuple[tuple[str, ...], str]:
        return (INSTANCE,), f"{name} was made of it"


def describer(*, gone: bool = False) -> ArtifactDescriber:
    return ArtifactDescriber(Artifacts(gone=gone), Origins())


def test_a_snapshot_is_described_and_the_raw_answer_is_evidence() -> None:
    recorder = FakeRecorder(of_snapshot())
    artifact = Artifact(kind=ArtifactKind.SNAPSHOT, id=SNAPSHOT)
    found = describer().describe(recorder, artifact)
    assert recorder.artifact() == found and recorder.target() is None, "no step takes it for an instance"
    assert (found.name, found.made_at, [d.snapshot_id for d in found.disks]) == ("db", NOW, [SNAPSHOT])
    assert found.instances == (INSTANCE,) and found.made_of == f"{SNAPSHOT} was made of it"
    (item,) = recorder.evidence(EvidenceKind.CONTROL_PLANE)
    assert item.outcome is Outcome.ACQUIRED and found.facts["sha256"] == item.digests[0].value
    assert recorder.ledger.actions() == [CustodyAction.TARGET_DESCRIBED]


def test_an_image_has_a_disk_for_each_snapshot_and_notes_what_ec2_does_not_show() -> None:
    recorder = FakeRecorder(case(instance_id=IMAGE, artifact=OF_IMAGE))
    found = describer().describe(recorder, OF_IMAGE)
    assert [(d.snapshot_id, d.device, d.state) for d in found.disks] == [
        (SNAPSHOT, "/dev/xvda", "completed"),
        (HIDDEN, "/dev/sdf", ""),
    ]
    assert found.name == "golden" and len(found.notes) == 1 and "not yours" in found.notes[0]


@pytest.mark.parametrize("artifact", [OF_IMAGE, Artifact(kind=ArtifactKind.RECOVERY_POINT, id=SNAPSHOT)])
def test_an_artifact_that_is_gone_is_no_valid_case(artifact: Artifact) -> None:
    recorder = FakeRecorder(case(instance_id=artifact.id, artifact=artifact))
    with pytest.raises(InvalidCaseError, match="does not exist; nothing was changed in AWS") as caught:
        describer(gone=True).describe(recorder, artifact)
    assert "Recycle Bin" in caught.value.next_action and recorder.artifact() is None
