"""EC2: snapshots and machine images of other people, as they are described; nothing is changed here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.errors import ResourceGoneError
from forensics.models.artifact import NO_VOLUME, ArtifactDisk
from forensics.models.outside import Outside

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import ImageTypeDef, SnapshotTypeDef

# Raw answers, as JSON
Raw = dict[str, object]

GONE = (
    "look for it in EC2's Recycle Bin (ListSnapshotsInRecycleBin, ListImagesInRecycleBin) and restore it there, then clear this task; "
    "if it is gone for good, start a case for the instances that it was made of or that were launched from it"
)


class ImageFacts(Outside):
    """What DescribeImages says of a machine image; ``disks``: snapshot id by device, ``without_snapshot``: its other devices."""

    owner_id: str = ""
    name: str = ""
    state: str = ""
    description: str = ""
    public: bool = False
    architecture: str = "x86_64"
    platform: str = "linux"
    made_at: datetime | None = None
    source_instance: str = ""
    disks: dict[str, str] = {}
    without_snapshot: tuple[str, ...] = ()
    bundle: str = ""
    tags: dict[str, str] = {}


class ArtifactGateway:
    """Describe calls about snapshots and images in one account and Region; :class:`ResourceGoneError` when there is none."""

    def __init__(self, client: EC2Client, *, account_id: str, region: str) -> None:
        self._ec2 = client
        self._where = f"in account {account_id}, {region}"

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account and Region."""
        return cls(session.ec2, account_id=session.account_id, region=session.region)

    def snapshot(self, snapshot_id: str, *, device: str = "") -> tuple[ArtifactDisk, Raw]:
        """A snapshot as EC2 describes it now, and the answer itself."""
        with aws_errors(f"describe snapshot {snapshot_id} {self._where}"):
            found = self._ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
        if not found:
            raise ResourceGoneError(f"snapshot {snapshot_id} does not exist {self._where}", next_action=GONE)
        return _disk(found[0], device=device), dict(found[0])

    def image(self, image_id: str) -> tuple[ImageFacts, Raw]:
        """A machine image, also one that is disabled or deprecated, and the answer itself."""
        with aws_errors(f"describe image {image_id} {self._where}"):
            found = self._ec2.describe_images(ImageIds=[image_id], IncludeDeprecated=True, IncludeDisabled=True)[
                "Images"
            ]
        if not found:
            raise ResourceGoneError(f"machine image {image_id} does not exist {self._where}", next_action=GONE)
        return _image(found[0]), dict(found[0])

    def readers(self, snapshot_id: str) -> tuple[str, ...]:
        """Who may make a volume of a snapshot besides its owner: account ids, or ``all``."""
        with aws_errors(f"read the permissions of {snapshot_id} {self._where}"):
            granted = self._ec2.describe_snapshot_attribute(
                SnapshotId=snapshot_id, Attribute="createVolumePermission"
            ).get("CreateVolumePermissions", [])
        return tuple(sorted(str(entry.get("UserId") or entry.get("Group")) for entry in granted))


def _disk(record: SnapshotTypeDef, *, device: str) -> ArtifactDisk:
    volume = record.get("VolumeId", NO_VOLUME)
    return ArtifactDisk(
        snapshot_id=record["SnapshotId"],
        device=device,
        volume_id=None if volume == NO_VOLUME else volume,
        owner_id=record.get("OwnerId", ""),
        state=record.get("State", ""),
        tier=record.get("StorageTier", ""),
        started_at=record.get("StartTime"),
        size_gib=int(record.get("VolumeSize", 0)),
        encrypted=bool(record.get("Encrypted")),
        kms_key_id=record.get("KmsKeyId"),
        description=record.get("Description", "")[:255],
        tags=_tags(record),
    )


def _image(record: ImageTypeDef) -> ImageFacts:
    devices = [
        (m.get("DeviceName", ""), m.get("Ebs", {}).get("SnapshotId")) for m in record.get("BlockDeviceMappings", [])
    ]
    made = record.get("CreationDate")
    return ImageFacts(
        owner_id=record.get("OwnerId", ""),
        name=record.get("Name", "")[:128],
        state=record.get("State", ""),
        description=record.get("Description", "")[:255],
        public=bool(record.get("Public")),
        architecture=record.get("Architecture", "x86_64"),
        platform="windows" if record.get("Platform", "").lower() == "windows" else "linux",
        made_at=datetime.fromisoformat(made) if made else None,
        source_instance=record.get("SourceInstanceId", ""),
        disks={device: snapshot for device, snapshot in devices if snapshot},
        without_snapshot=tuple(device for device, snapshot in devices if not snapshot),
        bundle=record.get("ImageLocation", "") if record.get("RootDeviceType") == "instance-store" else "",
        tags=_tags(record),
    )


def _tags(record: SnapshotTypeDef | ImageTypeDef) -> Mapping[str, str]:
    return {tag["Key"]: tag["Value"] for tag in record.get("Tags", [])}
