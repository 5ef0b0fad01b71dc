"""EC2: the target as AWS describes it, and changes to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

from forensics.aws.error_map import aws_errors, error_code
from forensics.aws.session import AwsSession
from forensics.aws.visibility import GONE_AFTER, when_visible
from forensics.errors import AwsError, ResourceGoneError
from forensics.models.target import NetworkInterface, Target, Volume

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.literals import InstanceTypeType
    from mypy_boto3_ec2.type_defs import (
        EbsBlockDeviceTypeDef,
        ImageTypeDef,
        InstanceNetworkInterfaceSpecificationTypeDef,
        InstanceTypeDef,
        NetworkInterfaceTypeDef,
        SecurityGroupTypeDef,
        TagTypeDef,
        VolumeAttachmentTypeDef,
        VolumeTypeDef,
    )


@dataclass(frozen=True)
class RootDisk:
    """The root volume of an image, or of an instance that is launched from it."""

    device: str
    size_gib: int


class OwnImage(NamedTuple):
    """An image of this account: its id, its state, and the key of each of its snapshots (empty: not encrypted)."""

    id: str
    state: str
    keys: tuple[str, ...]


# What makes a launch try the next instance type.
NEXT_TYPE = frozenset({"InsufficientInstanceCapacity", "Unsupported", "VcpuLimitExceeded"})


class Ec2Gateway:
    """Typed EC2 calls in one account and Region; errors name the call and the resource."""

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

    # ------------------------------------------------------------------ the target
    def raw_instance(self, instance_id: str) -> InstanceTypeDef:
        """Return DescribeInstances' record of one instance."""
        with aws_errors(f"describe instance {instance_id} {self._where}"):
            answer = self._ec2.describe_instances(InstanceIds=[instance_id])
        found = [i for r in answer["Reservations"] for i in r["Instances"] if i["InstanceId"] == instance_id]
        if not found:
            msg = f"instance {instance_id} does not exist {self._where}"
            raise ResourceGoneError(msg, next_action="check the instance id, the account and the Region of the finding")
        return found[0]

    def interfaces(self, instance_id: str) -> tuple[NetworkInterface, ...]:
        """Every ENI attached to the instance, also secondary, trunk and branch ones."""
        with aws_errors(f"describe network interfaces of {instance_id} {self._where}"):
            pages = self._ec2.get_paginator("describe_network_interfaces").paginate(
                Filters=[{"Name": "attachment.instance-id", "Values": [instance_id]}]
            )
            found = [eni for page in pages for eni in page["NetworkInterfaces"]]
        return tuple(sorted((_interface(eni) for eni in found), key=lambda i: (i.device_index, i.id)))

    def volumes(self, instance_id: str) -> list[VolumeTypeDef]:
        """DescribeVolumes' records of all volumes attached to the instance."""
        with aws_errors(f"describe volumes of {instance_id} {self._where}"):
            pages = self._ec2.get_paginator("describe_volumes").paginate(
                Filters=[{"Name": "attachment.instance-id", "Values": [instance_id]}]
            )
            return [volume for page in pages for volume in page["Volumes"]]

    def describe_target(self, instance_id: str) -> tuple[Target, dict[str, object]]:
        """Describe the instance; returns the model and AWS's raw answers (kept as evidence)."""
        raw = self.raw_instance(instance_id)
        interfaces = self.interfaces(instance_id)
        volumes = self.volumes(instance_id)
        groups = self._groups_of(interfaces)
        target = Target(
            account_id=self.account_id,
            region=self.region,
            instance_id=instance_id,
            state=raw["State"]["Name"],
            instance_type=raw.get("InstanceType", "unknown"),
            image_id=raw.get("ImageId"),
            architecture=raw.get("Architecture", "x86_64"),
            platform="windows" if str(raw.get("Platform", "")).lower() == "windows" else "linux",
            availability_zone=raw.get("Placement", {}).get("AvailabilityZone", ""),
            vpc_id=raw.get("VpcId"),
            subnet_id=raw.get("SubnetId"),
            launched_at=raw.get("LaunchTime"),
            profile_arn=raw.get("IamInstanceProfile", {}).get("Arn"),
            imds_tokens=raw.get("MetadataOptions", {}).get("HttpTokens"),
            imds_endpoint=raw.get("MetadataOptions", {}).get("HttpEndpoint"),
            lifecycle=raw.get("InstanceLifecycle"),
            root_device=raw.get("RootDeviceName"),
            interfaces=interfaces,
            volumes=tuple(_volume(v, instance_id) for v in volumes),
            tags={t["Key"]: t["Value"] for t in raw.get("Tags", [])},
            group_tags={g["GroupId"]: {t["Key"]: t["Value"] for t in g["Tags"]} for g in groups if g.get("Tags")},
            auto_scaling_group=next(
                (t["Value"] for t in raw.get("Tags", []) if t["Key"] == "aws:autoscaling:groupName"), None
            ),
            described_at=datetime.now(UTC),
        )
        return target, {"instance": raw, "volumes": volumes, "security_groups": groups}

    def _groups_of(self, interfaces: Iterable[NetworkInterface]) -> list[SecurityGroupTypeDef]:
        ids = sorted({g for i in interfaces for g in i.group_ids})
        if not ids:
            return []
        with aws_errors(f"describe security groups {', '.join(ids)} {self._where}"):
            return list(self._ec2.describe_security_groups(GroupIds=ids)["SecurityGroups"])

    def console_output(self, instance_id: str) -> str | None:
        """Console output as text (botocore decodes it), or None when AWS has none; a control-plane fact."""
        with aws_errors(f"get console output of {instance_id} {self._where}"):
            return self._ec2.get_console_output(InstanceId=instance_id).get("Output")

    def memory_mib(self, instance_type: str) -> int:
        """Memory of an instance type in MiB (DescribeInstanceTypes)."""
        with aws_errors(f"describe instance type {instance_type} {self._where}"):
            answer = self._ec2.describe_instance_types(InstanceTypes=[instance_type_name(instance_type)])
        return int(answer["InstanceTypes"][0]["MemoryInfo"]["SizeInMiB"])

    # ------------------------------------------------------------------ the forensic instance
    def root_disk(self, image_id: str) -> RootDisk:
        """Root device and size of an image (DescribeImages)."""
        with aws_errors(f"describe image {image_id} {self._where}"):
            found = self._ec2.describe_images(ImageIds=[image_id])["Images"]
        device = found[0].get("RootDeviceName", "") if found else ""
        sizes = [
            m["Ebs"].get("VolumeSize", 0)
            for image in found
            for m in image.get("BlockDeviceMappings", [])
            if m.get("DeviceName") == device and m.get("Ebs")
        ]
        if not device or not sizes:
            msg = f"image {image_id} {self._where} does not exist or has no EBS root volume"
            raise ResourceGoneError(
                msg, next_action="see the parameter that names the forensic AMI (forensics.ami_parameter)"
            )
        return RootDisk(device, int(sizes[0]))

    def image_name(self, image_id: str) -> str:
        """Name of an image (DescribeImages)."""
        return str(self._image({"ImageIds": [image_id]}, what=image_id)["Name"])

    def own_image(self, name: str) -> OwnImage:
        """The image of this name that this account owns here, and the keys of its snapshots (empty: not encrypted)."""
        filters = [{"Name": "name", "Values": [name]}]
        image = self._image({"Owners": ["self"], "Filters": filters}, what=name)
        ids = [
            m["Ebs"]["SnapshotId"] for m in image.get("BlockDeviceMappings", []) if m.get("Ebs", {}).get("SnapshotId")
        ]
        with aws_errors(f"describe the snapshots of image {image['ImageId']} {self._where}"):
            found = self._ec2.describe_snapshots(SnapshotIds=ids)["Snapshots"] if ids else []
        return OwnImage(image["ImageId"], image.get("State", ""), tuple(s.get("KmsKeyId", "") for s in found))

    def _image(self, request: Mapping[str, Any], *, what: str) -> ImageTypeDef:
        with aws_errors(f"describe image {what} {self._where}"):
            found = self._ec2.describe_images(**request)["Images"]
        if not found:
            msg = f"image {what} {self._where} does not exist"
            raise ResourceGoneError(
                msg, next_action="start the DAG forensic_ami_build, or correct forensics.ami_parameter"
            )
        return found[0]

    def image_made(self, image_id: str) -> datetime:
        """When an image was made (DescribeImages)."""
        return datetime.fromisoformat(self._image({"ImageIds": [image_id]}, what=image_id)["CreationDate"])

    def memory_by_type(self, types: Sequence[str]) -> dict[str, int]:
        """Memory in MiB of those of the instance types that the Region has (DescribeInstanceTypes)."""
        with aws_errors(f"describe instance types {', '.join(types)} {self._where}"):
            pages = self._ec2.get_paginator("describe_instance_types").paginate(
                Filters=[{"Name": "instance-type", "Values": list(types)}]
            )
            return {
                t["InstanceType"]: int(t["MemoryInfo"]["SizeInMiB"]) for page in pages for t in page["InstanceTypes"]
            }

    def run_instance(
        self,
        *,
        image_id: str,
        types: Sequence[str],
        token: str,
        subnet_id: str,
        group_id: str,
        profile: str,
        tags: Sequence[TagTypeDef],
        root: RootDisk,
        kms_key_id: str,
    ) -> str:
        """Launch one instance, trying the types in order; the same token gives the same instance (RunInstances ClientToken).

        Its root volume is encrypted under ``kms_key_id`` whatever the image says, and ends with it.
        """
        interface: InstanceNetworkInterfaceSpecificationTypeDef = {
            "DeviceIndex": 0,
            "SubnetId": subnet_id,
            "Groups": [group_id],
            "AssociatePublicIpAddress": False,
            "DeleteOnTermination": True,
        }
        volume: EbsBlockDeviceTypeDef = {
            "VolumeSize": root.size_gib,
            "VolumeType": "gp3",
            "Encrypted": True,
            "KmsKeyId": kms_key_id,
            "DeleteOnTermination": True,
        }
        last: AwsError | None = None
        for instance_type in types:
            try:
                with aws_errors(f"launch forensic instance ({instance_type}) from {image_id} {self._where}"):
                    answer = self._ec2.run_instances(
                        ImageId=image_id,
                        InstanceType=instance_type_name(instance_type),
                        MinCount=1,
                        MaxCount=1,
                        ClientToken=f"{token}-{instance_type}"[:64],
                        NetworkInterfaces=[interface],
                        BlockDeviceMappings=[{"DeviceName": root.device, "Ebs": volume}],
                        IamInstanceProfile={"Name": profile},
                        MetadataOptions={
                            "HttpTokens": "required",
                            "HttpPutResponseHopLimit": 1,
                            "HttpEndpoint": "enabled",
                        },
                        InstanceInitiatedShutdownBehavior="terminate",
                        TagSpecifications=[{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")],
                    )
                return str(answer["Instances"][0]["InstanceId"])
            except AwsError as error:
                if error_code(error) not in NEXT_TYPE:
                    raise
                last = error
        msg = f"no instance type of {', '.join(types)} could be launched: {last}"
        raise AwsError(
            msg, next_action="add types to forensics.analysis_instance_types or ask for more quota"
        ) from last

    # ------------------------------------------------------------------ the canary of a drill
    def launch_canary(self, template: str, *, token: str) -> InstanceTypeDef:
        """Launch one instance as its launch template says, and nothing else; the same token gives the same instance."""
        with aws_errors(f"launch a canary from the launch template {template} {self._where}"):
            answer = self._ec2.run_instances(
                LaunchTemplate={"LaunchTemplateName": template, "Version": "$Latest"},
                MinCount=1,
                MaxCount=1,
                ClientToken=token[:64],
            )
        return answer["Instances"][0]

    def may_launch_canary(self, template: str) -> None:
        """Ask EC2 whether :meth:`launch_canary` would succeed (``DryRun``); raises :class:`AwsError` when it would not."""
        try:
            with aws_errors(f"ask for a canary from the launch template {template} {self._where}"):
                self._ec2.run_instances(
                    LaunchTemplate={"LaunchTemplateName": template, "Version": "$Latest"},
                    MinCount=1,
                    MaxCount=1,
                    DryRun=True,
                )
        except AwsError as error:
            if error_code(error) != "DryRunOperation":
                raise

    def end_canary(self, instance_id: str) -> None:
        """Take termination and stop protection off a canary and terminate it; one that is gone is ignored."""
        for attribute in ("DisableApiTermination", "DisableApiStop"):
            with aws_errors(f"take {attribute} off {instance_id} {self._where}"):
                self._ec2.modify_instance_attribute(InstanceId=instance_id, **{attribute: {"Value": False}})  # type: ignore[arg-type]
        self.terminate([instance_id])

    def delete_interface(self, interface_id: str) -> None:
        """Delete an interface that its canary has left; one that is gone is ignored."""
        try:
            with aws_errors(f"delete network interface {interface_id} {self._where}"):
                self._ec2.delete_network_interface(NetworkInterfaceId=interface_id)
        except ResourceGoneError:
            return

    def find_instances(self, *, tags: dict[str, str]) -> list[tuple[str, str]]:
        """(instance id, state) of all instances with these tags, terminated ones excepted."""
        found = [(i["InstanceId"], i["State"]["Name"]) for i in self.instances(tags=tags)]
        return [(instance_id, state) for instance_id, state in found if state != "terminated"]

    def instances(self, *, tags: dict[str, str]) -> list[InstanceTypeDef]:
        """Instances with these tags, in any state, as DescribeInstances shows them."""
        with aws_errors(f"look for instances tagged {tags} {self._where}"):
            pages = self._ec2.get_paginator("describe_instances").paginate(
                Filters=[{"Name": f"tag:{k}", "Values": [v]} for k, v in tags.items()]
            )
            return [i for page in pages for r in page["Reservations"] for i in r["Instances"]]

    def state(self, instance_id: str) -> str:
        """State name of an instance; ``gone`` when EC2 no longer knows it."""
        try:
            return str(self.raw_instance(instance_id)["State"]["Name"])
        except ResourceGoneError:
            return "gone"

    def zone(self, instance_id: str) -> str:
        """Availability Zone of an instance that the product made."""
        return str(when_visible(lambda: self.raw_instance(instance_id))["Placement"]["AvailabilityZone"])

    def terminate(self, instance_ids: Sequence[str]) -> None:
        """Terminate instances; instances that no longer exist are ignored, those that EC2 does not know yet are not."""
        if not instance_ids:
            return

        def terminate() -> None:
            with aws_errors(f"terminate {', '.join(instance_ids)} {self._where}"):
                self._ec2.terminate_instances(InstanceIds=list(instance_ids))

        try:
            when_visible(terminate, seconds=GONE_AFTER)
        except ResourceGoneError:
            return


def instance_type_name(name: str) -> InstanceTypeType:
    """An instance type as the stubs want it."""
    # The stubs list the types that existed when they were made; EC2 decides whether the name is valid.
    return cast("InstanceTypeType", name)


def _interface(eni: NetworkInterfaceTypeDef) -> NetworkInterface:
    return NetworkInterface(
        id=eni["NetworkInterfaceId"],
        device_index=int(eni.get("Attachment", {}).get("DeviceIndex", 0)),
        vpc_id=eni.get("VpcId", ""),
        subnet_id=eni.get("SubnetId", ""),
        private_ip=eni.get("PrivateIpAddress"),
        public_ip=eni.get("Association", {}).get("PublicIp"),
        ipv6=tuple(a["Ipv6Address"] for a in eni.get("Ipv6Addresses", [])),
        group_ids=tuple(g["GroupId"] for g in eni.get("Groups", [])),
    )


def _volume(volume: VolumeTypeDef, instance_id: str) -> Volume:
    # EC2's filter is eventually consistent: a volume that is being detached is still found, and shows no attachment any more
    none: VolumeAttachmentTypeDef = {}
    attachment = next((a for a in volume.get("Attachments", []) if a.get("InstanceId") == instance_id), none)
    return Volume(
        id=volume["VolumeId"],
        device=attachment.get("Device", ""),
        size_gib=volume.get("Size"),
        encrypted=bool(volume.get("Encrypted")),
        kms_key_id=volume.get("KmsKeyId"),
        delete_on_termination=bool(attachment.get("DeleteOnTermination")),
    )
