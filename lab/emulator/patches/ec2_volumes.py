"""EC2: volumes that take a moment, refuse a second attachment, and are files of the lab."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.elastic_block_store import EBSBackend, Volume, VolumeAttachment
from moto.ec2.models.instances import Instance
from moto.ec2.responses import EC2Response

from lab.emulator import images
from lab.emulator.patches import state
from lab.emulator.patches.patching import add, replace


def _initialise_volume(original: Callable[..., None]) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self._lab_ready_at = state.monotonic() + state.current().config.volume_seconds
        self._lab_detaching = None

    return __init__


def _volume_status(_original: property) -> property:
    def status(self: Any) -> str:
        if self.attachment or _detaching(self):
            return "in-use"
        return "creating" if state.monotonic() < self._lab_ready_at else "available"

    return property(status)


def _detaching(volume: Any) -> Any:
    held = volume._lab_detaching
    return held if held is not None and state.monotonic() < held._lab_until else None


def _attachments(_original: property) -> property:
    def attachments(self: Any) -> list[Any]:
        current = self.attachment or _detaching(self)
        return [current] if current else []

    return property(attachments)


def _get_attachment_status(self: Any) -> str:
    if state.monotonic() < self.__dict__.get("_lab_until", 0.0):
        return "detaching" if self.__dict__["_lab_status"] == "detached" else "attaching"
    return self.__dict__["_lab_status"]


def _set_attachment_status(self: Any, value: str) -> None:
    self.__dict__["_lab_status"] = value
    self.__dict__["_lab_until"] = state.monotonic() + state.current().config.volume_seconds


def _create_volume(original: Callable[..., Any]) -> Callable[..., Any]:
    def create_volume(self: Any, size: int, zone_name: str, snapshot_id: str | None = None, **kwargs: Any) -> Any:
        snapshot = self.get_snapshot(snapshot_id) if snapshot_id else None
        if snapshot is not None and snapshot.status != "completed":
            raise EC2ClientError("IncorrectState", f"Snapshot is in invalid state - {snapshot.status}")
        if snapshot is not None and size is not None and int(size) < snapshot.volume_size:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Volume of {size}GiB is smaller than snapshot '{snapshot_id}', "
                f"expect size >= {snapshot.volume_size}GiB",
            )
        volume = original(self, size, zone_name, snapshot_id=snapshot_id, **kwargs)
        if snapshot is not None:
            images.restore_volume(snapshot.id, volume_id=volume.id)
        return volume

    return create_volume


_tokens: dict[tuple[str, str, str], tuple[str, str]] = {}


def _create_once(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def create_volume(self: Any) -> Any:
        # stock moto does not know client tokens of volumes
        token = self._get_param("ClientToken")
        if not token:
            return original(self)
        key = (self.current_account, self.region, token)
        wanted = {name: value for name, value in self._get_params().items() if name != "ClientToken"}
        digest = hashlib.sha256(json.dumps(wanted, sort_keys=True, default=str).encode()).hexdigest()
        if key in _tokens:
            volume_id, before = _tokens[key]
            if before != digest:
                raise EC2ClientError(
                    "IdempotentParameterMismatch",
                    "The client token you have provided is associated with a resource that is already created "
                    "with different parameters",
                )
            if volume_id in self.ec2_backend.volumes:
                return ActionResult(self.ec2_backend.get_volume(volume_id))
        result = original(self)
        _tokens[key] = (result.result.id, digest)
        return result

    return create_volume


def _delete_volume(original: Callable[..., Any]) -> Callable[..., Any]:
    def delete_volume(self: Any, volume_id: str) -> Any:
        volume = original(self, volume_id)
        images.forget_volume(volume_id)
        return volume

    return delete_volume


def _attach_volume(original: Callable[..., Any]) -> Callable[..., Any]:
    def attach_volume(
        self: Any, volume_id: str, instance_id: str, device_path: str, delete_on_termination: bool = False
    ) -> Any:
        volume, instance = self.get_volume(volume_id), self.get_instance(instance_id)
        if volume.attachment or _detaching(volume):
            raise EC2ClientError("VolumeInUse", f"{volume_id} is already attached to an instance")
        launching = getattr(instance, "_lab_launching", False)
        if volume.status == "creating" and not launching:
            raise EC2ClientError("IncorrectState", f"Volume '{volume_id}' is not 'available'.")
        if instance.state in ("terminated", "shutting-down", "pending") and not launching:
            raise EC2ClientError("IncorrectState", f"Instance '{instance_id}' is not 'running'.")
        if volume.zone and instance.availability_zone and volume.zone.name != instance.availability_zone:
            raise EC2ClientError(
                "InvalidVolume.ZoneMismatch",
                f"The volume '{volume_id}' is not in the same availability zone as instance '{instance_id}'",
            )
        if device_path in instance.block_device_mapping:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Invalid value '{device_path}' for unixDevice. Attachment point {device_path} is already in use",
            )
        return original(self, volume_id, instance_id, device_path, delete_on_termination)

    return attach_volume


def _while_launching(original: Callable[..., None]) -> Callable[..., None]:
    def call(self: Any, *args: Any, **kwargs: Any) -> None:
        # volumes of the launch itself are attached while the instance and they are still coming up
        self._lab_launching = True
        try:
            original(self, *args, **kwargs)
        finally:
            self._lab_launching = False

    return call


def _detach_volume(original: Callable[..., Any]) -> Callable[..., Any]:
    def detach_volume(self: Any, volume_id: str, instance_id: str, device_path: str) -> Any:
        volume = self.get_volume(volume_id)
        if volume.attachment is None:
            raise EC2ClientError("IncorrectState", f"Volume '{volume_id}' is in the 'available' state.")
        # AWS needs the volume only; stock moto answers 500 without an instance
        attachment = original(self, volume_id, instance_id or volume.attachment.instance.id, device_path)
        volume._lab_detaching = attachment
        return attachment

    return detach_volume


def _describe_attribute(_original: Any) -> Callable[[Any], Any]:
    def describe_volume_attribute(self: Any) -> ActionResult:
        volume = self.ec2_backend.get_volume(self._get_param("VolumeId"))
        return ActionResult({"VolumeId": volume.id, "AutoEnableIO": {"Value": False}, "ProductCodes": []})

    return describe_volume_attribute


def apply() -> None:
    """Install the patch."""
    add(VolumeAttachment, "status", property(_get_attachment_status, _set_attachment_status))
    replace(Instance, "add_block_device", _while_launching)
    replace(Instance, "setup_defaults", _while_launching)
    replace(Volume, "__init__", _initialise_volume)
    replace(Volume, "status", _volume_status)
    replace(Volume, "attachments", _attachments)
    replace(EBSBackend, "create_volume", _create_volume)
    replace(EBSBackend, "delete_volume", _delete_volume)
    replace(EBSBackend, "attach_volume", _attach_volume)
    replace(EBSBackend, "detach_volume", _detach_volume)
    replace(EC2Response, "create_volume", _create_once)
    replace(EC2Response, "describe_volume_attribute", _describe_attribute)
