"""EC2: an image made from an instance is pending for a while and then available."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.ec2.models.amis import Ami, AmiBackend

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
        image._lab_ready_at = state.monotonic() + state.current().config.image_seconds
        return image

    return create_image


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
    replace(AmiBackend, "create_image", _create_image)
