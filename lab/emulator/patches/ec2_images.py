"""EC2: an image made from an instance has a snapshot of each volume, and is pending for a while and then available."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.ec2.models.amis import Ami, AmiBackend
from moto.ec2.responses import EC2Response

from lab.emulator.patches import state
from lab.emulator.patches.patching import add, replace


def _get_state(self: Any) -> str:
    if self.__dict__["_lab_state"] == "available" and state.monotonic() < self.__dict__.get("_lab_ready_at", 0.0):
        return "pending"
    return self.__dict__["_lab_state"]


def _set_state(self: Any, value: str) -> None:
    self.__dict__["_lab_state"] = value


def _create_image(original: Callable[..., Any]) -> Callable[..., Any]:
    def create_image(
        self: Any, instance_id: str, name: str, description: str, tag_specifications: list[dict[str, Any]]
    ) -> Any:
        images_only = [spec for spec in tag_specifications if spec["ResourceType"] != "snapshot"]
        image = original(self, instance_id, name, description, images_only)
        _snapshot_all(self, image, instance_id)
        image._lab_ready_at = state.monotonic() + state.current().config.image_seconds
        return image

    return create_image


def _snapshot_all(backend: Any, image: Any, instance_id: str) -> None:
    """CreateImage takes a snapshot of every EBS volume of the instance (EC2 API reference, CreateImage); moto makes up one."""
    made_up = backend.snapshots.pop(image.ebs_snapshot.id)
    mappings = []
    for device, attached in backend.get_instance(instance_id).get_block_device_mapping:
        snapshot = backend.create_snapshot(attached.volume_id, made_up.description)
        ebs = {"SnapshotId": snapshot.id, "VolumeSize": snapshot.volume.size, "Encrypted": bool(snapshot.encrypted)}
        mappings.append({"DeviceName": device, "Ebs": {**ebs, "VolumeType": "gp3", "DeleteOnTermination": False}})
        if device == image.root_device_name or image.ebs_snapshot is made_up:
            image.ebs_snapshot = snapshot
    image.__dict__["_lab_mappings"] = mappings


def _mappings(original: property) -> property:
    def block_device_mappings(self: Any) -> Any:
        known = self.__dict__.get("_lab_mappings")
        return original.__get__(self) if known is None else known

    return property(block_device_mappings)


def _describe(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def describe_images(self: Any) -> Any:
        """Disabled images are shown only to who asks for them (EC2 API reference, DescribeImages, IncludeDisabled)."""
        answer = original(self)
        if not self._get_bool_param("IncludeDisabled", False):
            answer.result["Images"] = [image for image in answer.result["Images"] if image.state != "disabled"]
        return answer

    return describe_images


def _initialise(original: Callable[..., None]) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        # stock moto calls the device's type by the volume's
        self.root_device_type = "ebs" if self.root_device_type == "standard" else self.root_device_type

    return __init__


def apply() -> None:
    """Install the patch."""
    add(Ami, "state", property(_get_state, _set_state))
    replace(Ami, "__init__", _initialise)
    replace(Ami, "block_device_mappings", _mappings)
    replace(AmiBackend, "create_image", _create_image)
    replace(EC2Response, "describe_images", _describe)
