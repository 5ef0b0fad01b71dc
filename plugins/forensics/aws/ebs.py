"""EBS: snapshots, their locks and copies, and volumes made from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Self

from forensics.aws.ec2 import instance_type_name
from forensics.aws.error_map import aws_errors, error_code
from forensics.aws.session import AwsSession
from forensics.aws.visibility import GONE_AFTER, when_visible
from forensics.errors import AwsError, ResourceGoneError, SnapshotError
from forensics.models.base import Model
from forensics.models.custody import AuditedSnapshot
from forensics.models.disk import SnapshotLock
from forensics.settings import LockMode

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import (
        CopySnapshotRequestTypeDef,
        CreateVolumeRequestTypeDef,
        FilterTypeDef,
        LockedSnapshotsInfoTypeDef,
        LockSnapshotRequestTypeDef,
        LockSnapshotResultTypeDef,
        SnapshotInfoTypeDef,
        SnapshotTypeDef,
        TagTypeDef,
        VolumeTypeDef,
    )

# The modes of a lock, as S3 writes them (and the settings) → as EC2 writes them.
LOCK_MODES: dict[LockMode, Literal["governance", "compliance"]] = {
    "GOVERNANCE": "governance",
    "COMPLIANCE": "compliance",
}
# What EC2 may answer where it offers no rate of initialisation (EC2 API reference, "Error codes": parameters and operations
# that a zone does not support); the volume is made without one then.
NO_RATE = frozenset(
    {"InvalidParameter", "InvalidParameterValue", "InvalidParameterCombination", "UnknownParameter", "Unsupported",
     "UnsupportedOperation"}
)  # fmt: skip


class Snapshot(Model):
    """A snapshot as EC2 describes it now."""

    id: str
    volume_id: str
    state: str
    progress: str = ""
    message: str = ""
    description: str = ""
    started_at: datetime | None = None
    size_gib: int = 0
    encrypted: bool = False
    kms_key_id: str | None = None
    tags: dict[str, str] = {}


class EbsGateway:
    """Snapshot and volume calls in one account and Region."""

    def __init__(self, client: EC2Client, *, account_id: str, region: str) -> None:
        self._ec2 = client
        self.account_id = account_id
        self.region = region

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account and Region."""
        return cls(session.ec2, account_id=session.account_id, region=session.region)

    @property
    def _where(self) -> str:
        return f"in account {self.account_id}, {self.region}"

    def find_snapshots(self, *, tags: dict[str, str]) -> list[Snapshot]:
        """The account's own snapshots with these tags: a retry finds what an earlier try made."""
        with aws_errors(f"look for snapshots tagged {tags} {self._where}"):
            pages = self._ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], Filters=_tagged(tags))
            return [_snapshot(s) for page in pages for s in page["Snapshots"]]

    def snapshots(self, ids: Sequence[str]) -> list[Snapshot]:
        """Describe snapshots that the product made, by id; waits until EC2 knows them (:func:`when_visible`)."""
        return when_visible(lambda: self._described(ids))

    def _described(self, ids: Sequence[str]) -> list[Snapshot]:
        with aws_errors(f"describe snapshots {', '.join(ids)} {self._where}"):
            return [_snapshot(s) for s in self._ec2.describe_snapshots(SnapshotIds=list(ids))["Snapshots"]]

    def listed(self, ids: Sequence[str]) -> list[Snapshot]:
        """Describe snapshots by id, 200 at most; one that EC2 does not know (yet) is left out and takes nothing from the others."""
        with aws_errors(f"describe {len(ids)} snapshots {self._where}"):
            answer = self._ec2.describe_snapshots(Filters=[{"Name": "snapshot-id", "Values": list(ids)}])
        return [_snapshot(s) for s in answer["Snapshots"]]

    def create_snapshots(self, instance_id: str, *, description: str, tags: Sequence[TagTypeDef]) -> list[Snapshot]:
        """One crash-consistent CreateSnapshots over all volumes, boot volume included."""
        with aws_errors(f"create snapshots of {instance_id} {self._where}"):
            answer = self._ec2.create_snapshots(
                InstanceSpecification={"InstanceId": instance_id, "ExcludeBootVolume": False},
                Description=description,
                TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags}],
            )
        return [_snapshot(s) for s in answer["Snapshots"]]

    def lock(
        self, snapshot_id: str, *, days: int, mode: LockMode = "GOVERNANCE", cool_off_hours: int = 0
    ) -> SnapshotLock:
        """Lock a snapshot (LockSnapshot works while it is pending); returns the lock as read back.

        ``cool_off_hours`` (0 to 72) counts for a first lock in compliance mode only: EC2 refuses a cooling-off period in a
        request that extends such a lock (EC2 API reference, LockSnapshot). A snapshot that EC2 has just made may be
        unknown to LockSnapshot: it is asked again (:func:`when_visible`).
        """
        request: LockSnapshotRequestTypeDef = {
            "SnapshotId": snapshot_id,
            "LockMode": LOCK_MODES[mode],
            "LockDuration": days,
        }
        if mode == "COMPLIANCE" and cool_off_hours and not self._is_locked(snapshot_id):
            request["CoolOffPeriod"] = cool_off_hours
        return _read_lock(when_visible(lambda: self._lock(request)))

    def extend_lock(self, snapshot_id: str, *, until: datetime, mode: LockMode = "GOVERNANCE") -> SnapshotLock:
        """Let a snapshot's lock last at least until then; a lock that lasts longer, or is stricter, stays as it is.

        A snapshot without a lock gets one. Raises :class:`ResourceGoneError` when the snapshot no longer exists: EC2 is asked
        for :data:`GONE_AFTER` seconds before that is believed.
        """
        return when_visible(lambda: self._extend(snapshot_id, until=until, mode=mode), seconds=GONE_AFTER)

    def _extend(self, snapshot_id: str, *, until: datetime, mode: LockMode) -> SnapshotLock:
        known = self._locks(snapshot_id)
        if known and (expires := known[0].get("LockExpiresOn")) and expires >= until and _is_active(known[0]):
            return _read_lock(known[0])
        strict = mode == "COMPLIANCE" or bool(known and known[0].get("LockState", "").startswith("compliance"))
        return _read_lock(
            self._lock(
                {
                    "SnapshotId": snapshot_id,
                    "LockMode": "compliance" if strict else "governance",
                    "ExpirationDate": until,
                }
            )
        )

    def _lock(self, request: LockSnapshotRequestTypeDef) -> LockSnapshotResultTypeDef:
        with aws_errors(f"lock snapshot {request['SnapshotId']} {self._where}"):
            return self._ec2.lock_snapshot(**request)

    def _is_locked(self, snapshot_id: str) -> bool:
        return any(map(_is_active, when_visible(lambda: self._locks(snapshot_id))))

    def _locks(self, snapshot_id: str) -> list[LockedSnapshotsInfoTypeDef]:
        with aws_errors(f"read the lock of {snapshot_id} {self._where}"):
            return list(self._ec2.describe_locked_snapshots(SnapshotIds=[snapshot_id])["Snapshots"])

    def audited(self, snapshot_id: str) -> AuditedSnapshot:
        """A snapshot's state, lock and public sharing as they are now; the state is None when it no longer exists."""
        try:
            return when_visible(lambda: self._audited(snapshot_id), seconds=GONE_AFTER)
        except ResourceGoneError:
            return AuditedSnapshot(snapshot_id=snapshot_id, account_id=self.account_id, state=None)

    def _audited(self, snapshot_id: str) -> AuditedSnapshot:
        described = self._described([snapshot_id])[0]
        locks = self._locks(snapshot_id)
        with aws_errors(f"read the permissions of {snapshot_id} {self._where}"):
            granted = self._ec2.describe_snapshot_attribute(
                SnapshotId=snapshot_id, Attribute="createVolumePermission"
            ).get("CreateVolumePermissions", [])
        return AuditedSnapshot(
            snapshot_id=snapshot_id,
            account_id=self.account_id,
            state=described.state,
            key_id=described.kms_key_id,
            lock_state=locks[0]["LockState"] if locks else None,
            until=locks[0].get("LockExpiresOn") if locks else None,
            public=any(p.get("Group") == "all" for p in granted),
        )

    def instance_store_gb(self, instance_type: str) -> int:
        """Size in GB of an instance type's instance store; 0 when it has none (DescribeInstanceTypes)."""
        with aws_errors(f"describe instance type {instance_type} {self._where}"):
            found = self._ec2.describe_instance_types(InstanceTypes=[instance_type_name(instance_type)])[
                "InstanceTypes"
            ]
        return int(found[0].get("InstanceStorageInfo", {}).get("TotalSizeInGB", 0)) if found else 0

    def share(self, snapshot_id: str, *, account_id: str) -> None:
        """Let another account copy the snapshot."""

        def share() -> None:
            with aws_errors(f"share snapshot {snapshot_id} with account {account_id} {self._where}"):
                self._ec2.modify_snapshot_attribute(
                    SnapshotId=snapshot_id,
                    Attribute="createVolumePermission",
                    OperationType="add",
                    UserIds=[account_id],
                )

        when_visible(share)

    def copy(
        self,
        snapshot_id: str,
        *,
        source_region: str,
        kms_key_id: str | None,
        description: str,
        tags: Sequence[TagTypeDef],
    ) -> str:
        """Copy a snapshot here; returns the copy's id (it is pending).

        Without a key the copy of an unencrypted snapshot is unencrypted, unless the account encrypts by default.
        """
        request: CopySnapshotRequestTypeDef = {
            "SourceSnapshotId": snapshot_id,
            "SourceRegion": source_region,
            "Description": description,
            "TagSpecifications": [{"ResourceType": "snapshot", "Tags": tags}],
        }
        if kms_key_id:
            request |= {"Encrypted": True, "KmsKeyId": kms_key_id}

        def copy() -> str:
            with aws_errors(f"copy snapshot {snapshot_id} from {source_region} {self._where}"):
                answer = self._ec2.copy_snapshot(**request)
            return str(answer["SnapshotId"])

        return when_visible(copy)

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Delete a snapshot that a preflight made, after its lock has ended; the role may delete no other."""
        try:
            with aws_errors(f"delete snapshot {snapshot_id} {self._where}"):
                self._ec2.delete_snapshot(SnapshotId=snapshot_id)
        except ResourceGoneError:
            return

    def create_volume(
        self, snapshot_id: str, *, zone: str, token: str, tags: Sequence[TagTypeDef], rate: int = 0
    ) -> tuple[str, int]:
        """Make a volume from a snapshot; the same token gives the same volume (CreateVolume ClientToken).

        ``rate``: MiB/s at which EBS fetches its blocks, 100 to 300; 0 leaves that to EBS, and so does a zone that offers no
        rate. Returns the volume's id and the rate that it has.
        """
        request: CreateVolumeRequestTypeDef = {
            "SnapshotId": snapshot_id,
            "AvailabilityZone": zone,
            "VolumeType": "gp3",
            "ClientToken": token[:64],
            "TagSpecifications": [{"ResourceType": "volume", "Tags": tags}],
        }

        def create() -> str:
            with aws_errors(f"create volume from {snapshot_id} in {zone} {self._where}"):
                return str(self._ec2.create_volume(**request)["VolumeId"])

        if rate:
            request["VolumeInitializationRate"] = rate
            try:
                return when_visible(create), rate
            except AwsError as error:
                if error_code(error) not in NO_RATE:
                    raise
                del request["VolumeInitializationRate"]
        return when_visible(create), 0

    def find_volumes(self, *, tags: dict[str, str]) -> list[VolumeTypeDef]:
        """Volumes with these tags, as DescribeVolumes shows them."""
        with aws_errors(f"look for volumes tagged {tags} {self._where}"):
            pages = self._ec2.get_paginator("describe_volumes").paginate(Filters=_tagged(tags))
            return [v for page in pages for v in page["Volumes"]]

    def volumes(self, ids: Sequence[str]) -> list[VolumeTypeDef]:
        """Describe volumes that the product made, by id; waits until EC2 knows them (:func:`when_visible`)."""

        def describe() -> list[VolumeTypeDef]:
            with aws_errors(f"describe volumes {', '.join(ids)} {self._where}"):
                return list(self._ec2.describe_volumes(VolumeIds=list(ids))["Volumes"])

        return when_visible(describe)

    def attach(self, volume_id: str, *, instance_id: str, device: str) -> None:
        """Attach a volume that the product made."""

        def attach() -> None:
            with aws_errors(f"attach volume {volume_id} to {instance_id} {self._where}"):
                self._ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=device)

        when_visible(attach)

    def delete_volume(self, volume_id: str) -> None:
        """Delete an analysis volume (never evidence: evidence is the snapshot)."""

        def delete() -> None:
            with aws_errors(f"delete volume {volume_id} {self._where}"):
                self._ec2.delete_volume(VolumeId=volume_id)

        when_visible(delete, seconds=GONE_AFTER)


def raise_if_failed(snapshots: Sequence[Snapshot], *, what: str) -> None:
    """Raise :class:`SnapshotError` naming every snapshot that ended in ``error`` and AWS's reason."""
    bad = [s for s in snapshots if s.state == "error"]
    if bad:
        named = "; ".join(f"{s.id} of {s.volume_id}: {s.message or 'AWS gave no reason'}" for s in bad)
        msg = f"{what} ended in state error: {named}"
        raise SnapshotError(
            msg,
            next_action="check the volume's KMS key and quotas; clear the task to take the failed snapshots again",
        )


def _read_lock(answer: LockSnapshotResultTypeDef | LockedSnapshotsInfoTypeDef) -> SnapshotLock:
    expires = answer.get("LockExpiresOn")
    return SnapshotLock(state=answer.get("LockState", ""), until=expires.isoformat() if expires else "")


def _is_active(lock: LockedSnapshotsInfoTypeDef) -> bool:
    return lock.get("LockState") not in {None, "expired"}


def _tagged(tags: Mapping[str, str]) -> list[FilterTypeDef]:
    return [{"Name": f"tag:{k}", "Values": [v]} for k, v in tags.items()]


def _snapshot(record: SnapshotTypeDef | SnapshotInfoTypeDef) -> Snapshot:
    return Snapshot(
        id=record["SnapshotId"],
        volume_id=record.get("VolumeId", ""),
        state=record.get("State", "pending"),
        progress=record.get("Progress", ""),
        message=record.get("StateMessage", ""),
        description=record.get("Description", ""),
        started_at=record.get("StartTime"),
        size_gib=int(record.get("VolumeSize", 0)),
        encrypted=bool(record.get("Encrypted")),
        kms_key_id=record.get("KmsKeyId"),
        tags={t["Key"]: t["Value"] for t in record.get("Tags", [])},
    )
