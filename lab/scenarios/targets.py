"""Further targets for a lab that is running already: for tests and the benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lab.evidence.images import Images, image_cache
from lab.scenarios.driver import Lab
from lab.seed.member import controller, launch, register_volumes, summary


def add_target(
    lab: Lab,
    name: str,
    *,
    managed: bool = True,
    memory: str | None = None,
    kernel: dict[str, str] | None = None,
    disk: Path | None = None,
    instance_type: str = "t3.micro",
) -> dict[str, Any]:
    """Launch an instance in the member account and give it its evidence; returns its entry as ``lab.json`` has them.

    ``memory`` is the path of a LiME image (None: the capture tool finds no memory); ``disk`` a raw image, by default the
    small one.
    """
    network = lab.facts["member_network"]
    disks = {"/dev/xvda": disk or Images(image_cache(lab.stack.state)).disk("tiny").image}
    instance = launch(
        lab.member,
        name,
        disks=disks,
        InstanceType=instance_type,
        SubnetId=network["subnet_ids"][0],
        SecurityGroupIds=[network["web_security_group_id"]],
    )
    made = summary(lab.member, instance)
    control = controller(lab.stack.lab_endpoint)
    register_volumes(made, disks=disks, control=control)
    control(
        "instance",
        {
            "instance_id": made["instance_id"],
            "account": made["account"],
            "region": made["region"],
            "kind": "target",
            "managed": managed,
            "platform_name": "Debian GNU/Linux",
            "platform_version": "12",
            "hostname": name,
            "memory": memory,
            "kernel": kernel,
        },
    )
    return made
