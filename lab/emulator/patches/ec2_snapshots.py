"""EC2: snapshots and copies that take time or fail, seen by their owner and by whom they are shared with."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.models.elastic_block_store import EBSBackend, Snapshot
from moto.ec2.responses import EC2Response
from moto.ec2.utils import generic_filter, random_snapshot_id
from moto.kms.models import kms_backends

from lab.emulator import images
from lab.emulator.patches import state
from lab.emulator.patches.patching import add, replace
from lab.emulator.patches.spreading import grants_in_effect

PAGE_LIMITS = (5, 1000)


def fraction(snapshot: Any) -> float:
    """How much of a snapshot is done, 0 to 1."""
    if snapshot._lab_seconds <= 0:
        return 1.0
    return min(1.0, (state.monotonic() - snapshot._lab_started) / snapshot._lab_seconds)


def _initialise(original: Callable[..., None]) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        self._lab_started = state.monotonic()
        self._lab_seconds = 0.0
        self._lab_failure = None
        self.lock = None
        original(self, *args, **kwargs)

    return __init__


def _failed(snapshot: Any) -> bool:
    return snapshot._lab_failure is not None and fraction(snapshot) >= snapshot._lab_failure["fail_at"]


def _get_status(self: Any) -> str:
    if _failed(self):
        return "error"
    return "completed" if fraction(self) >= 1 else "pending"


def _set_status(self: Any, value: str) -> None:
    # moto says "completed" from the start; the true state depends on the time
    del self, value


def _progress(_original: property) -> property:
    def progress(self: Any) -> str:
        done = self._lab_failure["fail_at"] if _failed(self) else fraction(self)
        return f"{int(100 * done)}%"

    return property(progress)


def _state_message(self: Any) -> str | None:
    if _failed(self):
        return str(self._lab_failure["message"])
    return EARLY["message"] if _early(self) else None


# what a copy shows while it is pending (recorded by radkawar/stackd, testdata/aws/ebs/copy_data.json)
EARLY = {"message": "Metadata not updated", "key": "alias/aws/ebs"}
EARLY_PART = 0.5


def _early(snapshot: Any) -> bool:
    return getattr(snapshot, "_lab_copied_from", None) is not None and fraction(snapshot) < EARLY_PART


def _as_shown(snapshot: Any) -> Any:
    """A snapshot as DescribeSnapshots shows it: a copy's size and key are not known at once."""
    if not _early(snapshot) or _failed(snapshot):
        return snapshot
    shown = copy.copy(snapshot)
    shown.__dict__["_lab_size"] = 0
    shown.kms_key_id = EARLY["key"] if snapshot.encrypted else None
    return shown


def _volume_size(original: property) -> property:
    def volume_size(self: Any) -> int:
        size = self.__dict__.get("_lab_size")
        return int(original.__get__(self) if size is None else size)

    return property(volume_size)


def visible_snapshot(backend: Any, snapshot_id: str) -> Any:
    """A snapshot of this account, or one shared with it in this Region, or None."""
    own = backend.snapshots.get(snapshot_id)
    if own is not None:
        return own
    return next((s for s in _shared_with(backend) if s.id == snapshot_id), None)


def _shared_with(backend: Any) -> list[Any]:
    found = []
    for account in list(ec2_backends):
        if account == backend.account_id:
            continue
        other = ec2_backends[account][backend.region_name]
        found += [s for s in list(other.snapshots.values()) if backend.account_id in s.create_volume_permission_userids]
        found += [s for s in list(other.snapshots.values()) if "all" in s.create_volume_permission_groups]
    return found


def _get_snapshot(_original: Callable[..., Any]) -> Callable[..., Any]:
    def get_snapshot(self: Any, snapshot_id: str) -> Any:
        snapshot = visible_snapshot(self, snapshot_id)
        if snapshot is None:
            raise EC2ClientError("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
        return snapshot

    return get_snapshot


def _start(snapshot: Any, *, seconds: float, copy: bool) -> None:
    snapshot._lab_seconds = float(seconds)
    snapshot._lab_failure = state.current().take_snapshot_failure(snapshot.volume.id, copy=copy)


def _create_snapshot(original: Callable[..., Any]) -> Callable[..., Any]:
    def create_snapshot(
        self: Any, volume_id: str, description: str, owner_id: str | None = None, from_ami: str | None = None
    ) -> Any:
        snapshot = original(self, volume_id, description, owner_id, from_ami)
        if snapshot.encrypted and not snapshot.kms_key_id:
            snapshot.kms_key_id = snapshot.volume.kms_key_id
        if not from_ami:
            images.capture_snapshot(volume_id, snapshot_id=snapshot.id)
            _start(snapshot, seconds=state.current().config.snapshot_seconds, copy=False)
        return snapshot

    return create_snapshot


def _create_snapshots(_original: Callable[..., Any]) -> Callable[..., Any]:
    def create_snapshots(self: Any, instance_spec: dict[str, Any], description: str, tags: dict[str, str]) -> list[Any]:
        instance = self.get_instance(instance_spec["InstanceId"])
        excluded = set(instance_spec.get("ExcludeDataVolumeIds") or [])
        without_root = str(instance_spec.get("ExcludeBootVolume", False)).lower() == "true"
        attached = {device.volume_id for _name, device in instance.get_block_device_mapping}
        if excluded - attached:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"The volumes {', '.join(sorted(excluded - attached))} are not attached to {instance.id}",
            )
        snapshots = []
        for name, device in instance.get_block_device_mapping:
            is_root = name == instance.root_device_name
            if (is_root and without_root) or device.volume_id in excluded:
                continue
            snapshot = self.create_snapshot(device.volume_id, description=description)
            snapshot.add_tags(tags)
            snapshots.append(snapshot)
        return snapshots

    return create_snapshots


def _create_snapshots_response(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def create_snapshots(self: Any) -> Any:
        result = original(self)
        if self._get_param("CopyTagsFromSource") == "volume":
            for snapshot in result.result["Snapshots"]:
                own = {tag["key"] for tag in snapshot.get_tags()}
                from_volume = {tag["key"]: tag["value"] for tag in snapshot.volume.get_tags()}
                snapshot.add_tags({k: v for k, v in from_volume.items() if k not in own})
        return result

    return create_snapshots


def _describe(_original: Callable[..., Any]) -> Callable[..., Any]:
    def describe_snapshots(
        self: Any,
        snapshot_ids: list[str] | None = None,
        filters: Any = None,
        owner_ids: list[str] | None = None,
        restorable_by: list[str] | None = None,
    ) -> list[Any]:
        if snapshot_ids:
            matches = [self.get_snapshot(snapshot_id) for snapshot_id in snapshot_ids]
        else:
            matches = [*self.snapshots.values(), *_shared_with(self)]
        me = {"self": self.account_id}
        if owner_ids:
            wanted = {me.get(owner, owner) for owner in owner_ids}
            matches = [s for s in matches if s.owner_id in wanted]
        if restorable_by:
            able = {me.get(owner, owner) for owner in restorable_by}
            matches = [s for s in matches if able & {s.owner_id, *s.create_volume_permission_userids}]
        return generic_filter(filters, matches) if filters else matches

    return describe_snapshots


def _describe_response(_original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def describe_snapshots(self: Any) -> ActionResult:
        limit, token = self._get_param("MaxResults"), self._get_param("NextToken")
        ids = self._get_param("SnapshotIds", [])
        if ids and limit is not None:
            raise EC2ClientError(
                "InvalidParameterCombination",
                "The parameter snapshotSet cannot be used with the parameter maxResults",
            )
        matches = self.ec2_backend.describe_snapshots(
            snapshot_ids=ids,
            filters=self._filters_from_querystring(),
            owner_ids=self._get_param("OwnerIds", []),
            restorable_by=self._get_param("RestorableByUserIds", []),
        )
        if limit is None and token is None:
            return ActionResult({"Snapshots": [_as_shown(s) for s in matches]})
        size = min(max(int(limit or PAGE_LIMITS[1]), PAGE_LIMITS[0]), PAGE_LIMITS[1])
        start = int(token or 0)
        page: dict[str, Any] = {"Snapshots": [_as_shown(s) for s in matches[start : start + size]]}
        if start + size < len(matches):
            page["NextToken"] = str(start + size)
        return ActionResult(page)

    return describe_snapshots


NO_KEY = "Given key ID is not accessible"
NOT_SHARED = "The source snapshot is not accessible"  # the text is the lab's own


def _key(arn: str) -> Any:
    parts = arn.split(":")
    return kms_backends[parts[4]][parts[3]].keys.get(parts[5].removeprefix("key/")) if len(parts) == 6 else None


def key_problem(source: Any, *, account: str) -> str | None:
    """Why an account cannot decrypt a snapshot, or None. AWS says so only after CopySnapshot has answered."""
    if not source.encrypted or not source.kms_key_id:
        return None
    key = _key(source.kms_key_id)
    if key is None or key.key_state != "Enabled":
        return NO_KEY
    granted = any(f":{account}:" in grant.grantee_principal for grant in grants_in_effect(key))
    return None if key.account_id == account or granted or account in str(key.policy) else NO_KEY


def _not_spread(source: Any, *, account: str) -> str | None:
    """Why a copy fails that begins before its share has spread; CopySnapshot itself accepts it (radkawar/stackd, docs/ec2.md)."""
    since = source.__dict__.get("_lab_shared_at", {}).get(account)
    spread = state.current().config.share_spread_seconds
    return NOT_SHARED if since is not None and state.monotonic() < since + spread else None


def _default_key(original: Callable[..., str]) -> Callable[..., str]:
    def create_default_encryption_key(self: Any) -> str:
        # moto calls every key a customer's
        arn = original(self)
        _key(arn).key_manager = "AWS"
        return arn

    return create_default_encryption_key


def _copy_snapshot(_original: Callable[..., Any]) -> Callable[..., Any]:
    def copy_snapshot(
        self: Any, source_snapshot_id: str, source_region: str, description: str, kms_key_id: str | None
    ) -> Any:
        source = ec2_backends[self.account_id][source_region].get_snapshot(source_snapshot_id)
        if source.status != "completed":
            raise EC2ClientError("IncorrectState", f"Snapshot is in invalid state - {source.status}")
        foreign = source.owner_id != self.account_id
        managed = source.encrypted and _key(str(source.kms_key_id))
        if foreign and managed and managed.key_manager == "AWS":
            raise EC2ClientError("InvalidRequest", "The source snapshot's key is not accessible")
        copied: Any = Snapshot(
            self,
            random_snapshot_id(),
            volume=source.volume,
            description=description,
            encrypted=source.encrypted or kms_key_id is not None,
            kms_key_id=kms_key_id or (self.default_kms_key_id if source.encrypted else None) or None,
        )
        images.copy_snapshot(source.id, snapshot_id=copied.id)
        copied._lab_copied_from = source
        _start(copied, seconds=state.current().config.copy_seconds, copy=True)
        if (problem := key_problem(source, account=self.account_id)) or (
            copied._lab_failure is None and (problem := _not_spread(source, account=self.account_id))
        ):
            copied._lab_failure = {"fail_at": 0.0, "message": problem}
        self.snapshots[copied.id] = copied
        return copied

    return copy_snapshot


def _copy_response(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def copy_snapshot(self: Any) -> Any:
        if self._get_bool_param("Encrypted", False) and not self._get_param("KmsKeyId"):
            # AWS takes the default key of the account; stock moto leaves the copy in clear
            backend = self.ec2_backend
            key = backend.default_kms_key_id or backend._create_default_encryption_key()
            self.params["KmsKeyId"] = key
        return original(self)

    return copy_snapshot


def _volume_id(_original: property) -> property:
    def volume_id(self: Any) -> str:
        # AWS gives a copy an arbitrary volume id that must not be used
        return "vol-ffffffff" if getattr(self, "_lab_copied_from", None) is not None else self.volume.id

    return property(volume_id)


def _delete(original: Callable[..., Any]) -> Callable[..., Any]:
    def delete_snapshot(self: Any, snapshot_id: str) -> Any:
        snapshot = self.snapshots.get(snapshot_id)
        if snapshot is None:
            raise EC2ClientError("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
        if snapshot.lock and snapshot.lock["LockExpiresOn"] > datetime.now(UTC) + timedelta(seconds=state.ahead()):
            raise EC2ClientError(
                "SnapshotLocked",
                f"The snapshot {snapshot_id} is locked and cannot be deleted until its lock ends",
            )
        deleted = original(self, snapshot_id)
        images.forget_snapshot(snapshot_id)
        return deleted

    return delete_snapshot


def apply() -> None:
    """Install the patch."""
    replace(Snapshot, "__init__", _initialise)
    replace(Snapshot, "progress", _progress)
    replace(Snapshot, "volume_id", _volume_id)
    replace(Snapshot, "volume_size", _volume_size)
    add(Snapshot, "status", property(_get_status, _set_status))
    add(Snapshot, "state", property(_get_status))
    add(Snapshot, "state_message", property(_state_message))
    replace(EBSBackend, "get_snapshot", _get_snapshot)
    replace(EBSBackend, "create_snapshot", _create_snapshot)
    replace(EBSBackend, "create_snapshots", _create_snapshots)
    replace(EBSBackend, "describe_snapshots", _describe)
    replace(EBSBackend, "copy_snapshot", _copy_snapshot)
    replace(EBSBackend, "_create_default_encryption_key", _default_key)
    replace(EBSBackend, "delete_snapshot", _delete)
    replace(EC2Response, "describe_snapshots", _describe_response)
    replace(EC2Response, "create_snapshots", _create_snapshots_response)
    replace(EC2Response, "copy_snapshot", _copy_response)
