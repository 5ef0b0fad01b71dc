"""EC2: what a launch template says of an instance, and machine images that the lab has disks and memory for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from moto.ec2.responses import EC2Response

from lab.emulator import images
from lab.emulator.patches import state
from lab.emulator.patches.patching import replace

# Given by EC2 to what it launches from a template; nobody can set or change them (Amazon EC2 user guide, "Launch EC2 instances using a
# launch template").
_TEMPLATE_ID, _TEMPLATE_VERSION = "aws:ec2launchtemplate:id", "aws:ec2launchtemplate:version"


def _run(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def run_instances(self: Any) -> Any:
        named = self._get_param("LaunchTemplate", {})
        version = self.ec2_backend._get_template_from_args(_known(self, named)) if named else None
        if version is not None:
            self.params.pop("LaunchTemplate", None)
            for name, value in version.data.items():
                self.params.setdefault(name, value)
        answer = original(self)
        for instance in answer.result.instances:
            if version is not None:
                marks = {_TEMPLATE_ID: version.template.id, _TEMPLATE_VERSION: str(version.number)}
                instance.add_tags(marks)
            _show(instance, account=self.current_account, region=self.region)
        return answer

    return run_instances


def _known(response: Any, named: dict[str, Any]) -> dict[str, Any]:
    """The template as moto looks it up: $Latest and $Default by their numbers."""
    found = response.ec2_backend.describe_launch_templates(
        template_ids=[named["LaunchTemplateId"]] if "LaunchTemplateId" in named else [],
        template_names=[named["LaunchTemplateName"]] if "LaunchTemplateName" in named else [],
    )[0]
    wanted = str(named.get("Version", "$Default"))
    number = {"$Latest": found.latest_version_number, "$Default": found.default_version_number}.get(wanted, wanted)
    return {"LaunchTemplateId": found.id, "Version": int(number)}


def _show(instance: Any, *, account: str, region: str) -> None:
    """What runs on an instance of an image that the lab has disks and memory for."""
    here = state.current()
    machine = here.machine_images.get(instance.image_id)
    if machine is None or here.instance(instance.id) is not None:
        return
    for device, mapping in instance.block_device_mapping.items():
        if device in machine["disks"]:
            images.register_volume(mapping.volume_id, path=Path(machine["disks"][device]))
    place = {"instance_id": instance.id, "account": account, "region": region, "fresh": True}
    here.register_instance({**machine["record"], **place})


def apply() -> None:
    """Install the patch."""
    replace(EC2Response, "run_instances", _run)
