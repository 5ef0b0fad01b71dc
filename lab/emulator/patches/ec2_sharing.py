"""EC2: sharing snapshots with an account, and locking them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.elastic_block_store import EBSBackend
from moto.ec2.responses import EC2Response

from lab.emulator.patches import accounts, state
from lab.emulator.patches.patching import add, replace


def _own_snapshot(backend: Any, snapshot_id: str) -> Any:
    snapshot = backend.snapshots.get(snapshot_id)
    if snapshot is None:
        # also for one that is shared with the caller: only the owner may share or lock it
        raise EC2ClientError("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
    return snapshot


def _add_permission(original: Callable[..., None]) -> Callable[..., None]:
    def add_create_volume_permission(self: Any, snapshot_id: str, user_ids: list[str], groups: list[str]) -> None:
        snapshot = _own_snapshot(self, snapshot_id)
        if snapshot.encrypted:
            if groups:
                raise EC2ClientError("InvalidParameter", "Encrypted snapshots cannot be made public")
            key = str(snapshot.kms_key_id or "")
            if not key or "alias/aws/ebs" in key or key == self.default_kms_key_id:
                raise EC2ClientError(
                    "OperationNotPermitted", "Encrypted snapshots with EBS default key cannot be shared"
                )
        for user_id in user_ids:
            if len(user_id) != 12 or not user_id.isdigit():
                raise EC2ClientError("InvalidParameterValue", f"User ID '{user_id}' is not a valid account id")
        original(self, snapshot_id, user_ids, groups)

    return add_create_volume_permission


def _modify_attribute(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def modify_snapshot_attribute(self: Any) -> Any:
        self.error_on_dryrun()
        snapshot = _own_snapshot(self.ec2_backend, self._get_param("SnapshotId"))
        already = set(snapshot.create_volume_permission_userids)
        change = self._get_param("CreateVolumePermission")
        answer = _change_permissions(self.ec2_backend, snapshot.id, change) if change else original(self)
        # what root keys share (the seed, tests that look from outside) has been shared for long
        if not accounts.is_root(self.get_access_key()) or state.current().config.hidden_from_root:
            for user_id in set(snapshot.create_volume_permission_userids) - already:
                snapshot.__dict__.setdefault("_lab_shared_at", {})[user_id] = state.monotonic()
        return answer

    return modify_snapshot_attribute


def _change_permissions(backend: Any, snapshot_id: str, change: dict[str, Any]) -> EmptyResult:
    for name, call in (
        ("Add", backend.add_create_volume_permission),
        ("Remove", backend.remove_create_volume_permission),
    ):
        entries = change.get(name) or []
        users = [entry["UserId"] for entry in entries if "UserId" in entry]
        groups = [entry["Group"] for entry in entries if "Group" in entry]
        if users or groups:
            call(snapshot_id, user_ids=users, groups=groups)
    return EmptyResult()


def _lock_snapshot(self: Any) -> ActionResult:
    snapshot = _own_snapshot(self.ec2_backend, self._get_param("SnapshotId"))
    mode, cool_off = self._get_param("LockMode"), self._get_param("CoolOffPeriod")
    days, expires = self._get_param("LockDuration"), self._get_param("ExpirationDate")
    if mode not in ("governance", "compliance"):
        raise EC2ClientError("InvalidParameterValue", f"Value ({mode}) for parameter lockMode is invalid")
    before = _lock_now(snapshot)
    if cool_off is not None:
        _check_cool_off(int(cool_off), mode=mode, before=before)
    if (days is None) == (expires is None):
        raise EC2ClientError(
            "InvalidParameterCombination", "Specify either a lock duration or an expiration date, not both"
        )
    self.error_on_dryrun()
    now = datetime.now(UTC)
    until = _as_utc(expires) if expires is not None else now + timedelta(days=int(days))
    if before and before["LockState"] == "compliance" and (mode != "compliance" or until < before["LockExpiresOn"]):
        raise EC2ClientError(
            "OperationNotPermitted",
            f"Snapshot {snapshot.id} is locked in compliance mode; it can only be extended",
        )
    lock_state = mode if mode == "governance" or not cool_off else "compliance-cooloff"
    snapshot.lock = {
        "SnapshotId": snapshot.id,
        "OwnerId": snapshot.owner_id,
        "LockState": lock_state,
        "LockDuration": int(days) if days is not None else max(1, (until - now).days),
        "LockCreatedOn": now,
        "LockDurationStartTime": now,
        "LockExpiresOn": until,
    }
    if cool_off:
        ends = now + timedelta(hours=int(cool_off))
        snapshot.lock |= {"CoolOffPeriod": int(cool_off), "CoolOffPeriodExpiresOn": ends}
    return ActionResult(snapshot.lock)


def _check_cool_off(hours: int, *, mode: str, before: Any) -> None:
    """EC2 API reference, LockSnapshot, CoolOffPeriod: 1 to 72 hours, compliance mode, not in an extension after it has ended."""
    if mode == "governance":
        raise EC2ClientError("InvalidParameterCombination", "CoolOffPeriod cannot be specified in governance mode")
    if not 1 <= hours <= 72:
        raise EC2ClientError("InvalidParameterValue", f"Value ({hours}) for parameter coolOffPeriod is invalid")
    if before and before["LockState"] == "compliance":
        raise EC2ClientError(
            "InvalidParameterCombination", "CoolOffPeriod cannot be specified after the cooling-off period"
        )


def _lock_now(snapshot: Any) -> Any:
    """The lock as it is at this moment: a cooling-off period ends, a lock expires."""
    lock, now = snapshot.lock, datetime.now(UTC) + timedelta(seconds=state.ahead())
    if not lock:
        return None
    if lock["LockState"] == "compliance-cooloff" and lock["CoolOffPeriodExpiresOn"] <= now:
        lock["LockState"] = "compliance"
    if lock["LockExpiresOn"] <= now:
        lock["LockState"] = "expired"
    return lock


def _as_utc(value: Any) -> datetime:
    parsed = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _unlock_snapshot(self: Any) -> ActionResult:
    snapshot = _own_snapshot(self.ec2_backend, self._get_param("SnapshotId"))
    if _lock_now(snapshot) is None:
        raise EC2ClientError("InvalidSnapshot.NotLocked", f"Snapshot {snapshot.id} is not locked")
    if snapshot.lock["LockState"] == "compliance":
        raise EC2ClientError(
            "OperationNotPermitted",
            f"Snapshot {snapshot.id} is locked in compliance mode and cannot be unlocked",
        )
    self.error_on_dryrun()
    snapshot.lock = None
    return ActionResult({"SnapshotId": snapshot.id})


def _describe_locked(self: Any) -> ActionResult:
    wanted = self._get_param("SnapshotIds", [])
    locks = [_lock_now(s) for s in self.ec2_backend.snapshots.values() if s.lock and (not wanted or s.id in wanted)]
    for name, values in self._filters_from_querystring().items():
        if name == "lock-state":
            locks = [lock for lock in locks if lock["LockState"] in values]
    return ActionResult({"Snapshots": locks})


def _fast_restores(self: Any) -> ActionResult:
    made = [
        {"SnapshotId": snapshot_id, "AvailabilityZone": zone, "State": "enabling"}
        for snapshot_id in self._get_param("SourceSnapshotIds", [])
        for zone in self._get_param("AvailabilityZones", [])
    ]
    return ActionResult({"Successful": made, "Unsuccessful": []})


def apply() -> None:
    """Install the patch."""
    replace(EBSBackend, "add_create_volume_permission", _add_permission)
    replace(EC2Response, "modify_snapshot_attribute", _modify_attribute)
    add(EC2Response, "lock_snapshot", _lock_snapshot)
    add(EC2Response, "unlock_snapshot", _unlock_snapshot)
    add(EC2Response, "describe_locked_snapshots", _describe_locked)
    add(EC2Response, "enable_fast_snapshot_restores", _fast_restores)
