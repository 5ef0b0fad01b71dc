"""The canary of drills: its launch template, and the image that the lab has disks and memory for (stack drill-canary on AWS).

User data is not carried out in the lab: the image's own disk and memory hold what is planted, and the template's tags name that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lab.evidence.images import Images
from lab.seed.accounts import Account, phase_roles

TEMPLATE = "forensics-drill-canary"
# What the web server's images hold: facts.json of disk and memory (lab/evidence/shipped).
PLANTED = {
    "process": "kworker/u8:3",
    "socket": "203.0.113.66",
    "file": "/usr/local/lib/.sysd/sysd",
    "persistence": "/etc/cron.d/sysstat-collect",
}


def drill_canary(
    account: Account,
    *,
    network: dict[str, Any],
    images: Images,
    external_id: str,
    control: Callable[[str, dict[str, Any]], Any],
) -> dict[str, Any]:
    """Make role, image and launch template. Return the drill's part of ``lab.json``: the settings of drills."""
    phase_roles(account, phases=("drill",), external_id=external_id)
    ec2, root = account.client("ec2"), "/dev/xvda"
    disk = images.disk("web-server").image
    image = ec2.register_image(Name=TEMPLATE, Architecture="x86_64", VirtualizationType="hvm", RootDeviceName=root)[
        "ImageId"
    ]
    files = images.memory()
    files.pop("facts")
    record = {
        "kind": "target",
        "managed": True,
        "platform_name": "Debian GNU/Linux",
        "platform_version": "12",
        "hostname": "canary",
        "memory": files.pop("memory"),
        "kernel": files,
    }
    control("machine-image", {"image_id": image, "record": record, "disks": {root: str(disk)}})
    marks = [{"Key": "Name", "Value": TEMPLATE}, {"Key": "forensics:drill", "Value": "fc-drill"}]
    planted = [{"Key": f"forensics:planted-{kind}", "Value": text} for kind, text in PLANTED.items()]
    data: dict[str, Any] = {
        "ImageId": image,
        "InstanceType": "t3.micro",
        "NetworkInterfaces": [
            {
                "DeviceIndex": 0,
                "SubnetId": network["subnet_ids"][0],
                "Groups": [network["web_security_group_id"]],
                "DeleteOnTermination": True,
            }
        ],
        "BlockDeviceMappings": [
            {"DeviceName": root, "Ebs": {"VolumeSize": 1, "VolumeType": "gp3", "DeleteOnTermination": True}}
        ],
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": [*marks, *planted]},
            {"ResourceType": "volume", "Tags": marks},
        ],
    }
    ec2.create_launch_template(LaunchTemplateName=TEMPLATE, LaunchTemplateData=data)
    return {"drill_account": account.account_id, "drill_launch_template": TEMPLATE}
