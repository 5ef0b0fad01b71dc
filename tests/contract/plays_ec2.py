"""Every call to EC2 and EBS direct that the product makes, made once, with what it needs."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from tests.lab.conftest import Lab, Network

ANYONE = [
    {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "web"}]}
]
BLOCK = 512 * 1024


def play(lab: Lab, network: Network) -> None:
    """All of them."""
    group = network.group("web")
    instance = network.instance(group)
    _groups(network.ec2, network, group)
    _instances(network.ec2, instance)
    _network(network, instance, group)
    _profiles(lab, network.ec2, instance)
    _disks(network, instance)
    _blocks(lab, network)
    network.ec2.terminate_instances(InstanceIds=[network.instance(group)])


def _groups(ec2: Any, network: Network, group: str) -> None:
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=ANYONE)
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=ANYONE)
    tags = [{"ResourceType": "security-group", "Tags": [{"Key": "case", "Value": "1"}]}]
    made = ec2.create_security_group(GroupName="tagged", Description="d", VpcId=network.vpc, TagSpecifications=tags)[
        "GroupId"
    ]
    ec2.authorize_security_group_egress(GroupId=made, IpPermissions=ANYONE)
    ec2.revoke_security_group_egress(GroupId=made, IpPermissions=ANYONE)
    ec2.describe_security_groups(GroupIds=[made])
    ec2.create_tags(Resources=[made], Tags=[{"Key": "contained", "Value": "1"}])
    ec2.delete_tags(Resources=[made], Tags=[{"Key": "contained"}])
    ec2.delete_security_group(GroupId=made)


def _instances(ec2: Any, instance: str) -> None:
    found = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    ec2.describe_images(Filters=[{"Name": "image-id", "Values": [found["ImageId"]]}])
    for name in ("disableApiTermination", "instanceInitiatedShutdownBehavior", "userData", "disableApiStop"):
        ec2.describe_instance_attribute(InstanceId=instance, Attribute=name)
    ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": True})
    ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": False})
    ec2.modify_instance_maintenance_options(InstanceId=instance, AutoRecovery="disabled")
    ec2.modify_instance_metadata_options(InstanceId=instance, HttpTokens="required", HttpPutResponseHopLimit=1)
    ec2.describe_instance_types(InstanceTypes=["m5.large"])
    ec2.describe_regions(AllRegions=False)
    ec2.get_console_output(InstanceId=instance)
    ec2.get_console_screenshot(InstanceId=instance)


def _network(network: Network, instance: str, group: str) -> None:
    ec2 = network.ec2
    interface = network.describe(instance)["NetworkInterfaces"][0]["NetworkInterfaceId"]
    ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])
    ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, Groups=[group])
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=network.vpc)
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    associated = ec2.associate_address(AllocationId=address, NetworkInterfaceId=interface)["AssociationId"]
    ec2.describe_addresses(Filters=[{"Name": "network-interface-id", "Values": [interface]}])
    ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])
    ec2.describe_instances(InstanceIds=[instance])
    ec2.disassociate_address(AssociationId=associated)
    ec2.describe_vpcs(VpcIds=[network.vpc])
    ec2.create_vpc_endpoint(VpcId=network.vpc, ServiceName="com.amazonaws.eu-central-1.s3")
    ec2.describe_vpc_endpoints(Filters=[{"Name": "vpc-id", "Values": [network.vpc]}])
    ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [network.vpc]}])
    outside = ec2.create_subnet(VpcId=network.vpc, CidrBlock="10.7.77.0/24")["Subnet"]["SubnetId"]
    left = ec2.create_network_interface(SubnetId=outside)["NetworkInterface"]["NetworkInterfaceId"]
    ec2.delete_network_interface(NetworkInterfaceId=left)
    spare = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=outside, AllocationId=spare)["NatGateway"]["NatGatewayId"]
    ec2.describe_nat_gateways(NatGatewayIds=[nat])
    ec2.describe_managed_prefix_lists()
    ec2.create_flow_logs(
        ResourceType="VPC", ResourceIds=[network.vpc], TrafficType="ALL", LogDestinationType="s3",
        LogDestination=_flow_bucket(network),
    )  # fmt: skip
    ec2.describe_flow_logs(Filters=[{"Name": "resource-id", "Values": [network.vpc]}])


def _flow_bucket(network: Network) -> str:
    name = f"flow-logs-{network.vpc}"
    s3 = network.lab.client("s3", network.account)
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return f"arn:aws:s3:::{name}"


def _profiles(lab: Lab, ec2: Any, instance: str) -> None:
    iam = lab.client("iam", "333344445555")
    for name in ("web", "isolated"):
        iam.create_instance_profile(InstanceProfileName=f"{name}-{instance}")
    first = ec2.associate_iam_instance_profile(InstanceId=instance, IamInstanceProfile={"Name": f"web-{instance}"})
    association = first["IamInstanceProfileAssociation"]["AssociationId"]
    other = ec2.replace_iam_instance_profile_association(
        AssociationId=association, IamInstanceProfile={"Name": f"isolated-{instance}"}
    )["IamInstanceProfileAssociation"]["AssociationId"]
    ec2.describe_iam_instance_profile_associations(Filters=[{"Name": "instance-id", "Values": [instance]}])
    ec2.describe_instances(InstanceIds=[instance])
    ec2.disassociate_iam_instance_profile(AssociationId=other)


def _disks(network: Network, instance: str) -> None:
    ec2 = network.ec2
    volume = ec2.create_volume(AvailabilityZone=network.zone, Size=1, VolumeType="gp3", Encrypted=True)["VolumeId"]
    ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    ec2.describe_volumes(VolumeIds=[volume])
    tags = [{"ResourceType": "snapshot", "Tags": [{"Key": "case", "Value": "1"}]}]
    made = ec2.create_snapshots(InstanceSpecification={"InstanceId": instance}, TagSpecifications=tags)["Snapshots"]
    snapshot = made[0]["SnapshotId"]
    with network.lab.config(hidden_calls=0, ebs_direct_hidden_calls=0):
        own = ec2.create_snapshots(InstanceSpecification={"InstanceId": instance}, TagSpecifications=tags)["Snapshots"][
            0
        ]["SnapshotId"]
        ec2.lock_snapshot(SnapshotId=own, LockMode="governance", LockDuration=1)
        ec2.describe_snapshots(SnapshotIds=[own])
        ec2.describe_locked_snapshots(SnapshotIds=[own])
        ec2.describe_snapshot_attribute(SnapshotId=own, Attribute="createVolumePermission")
        plain = ec2.create_volume(AvailabilityZone=network.zone, Size=1)["VolumeId"]
        shared = ec2.create_snapshot(VolumeId=plain)["SnapshotId"]
        ec2.modify_snapshot_attribute(
            SnapshotId=shared, Attribute="createVolumePermission", OperationType="add", UserIds=["222233334444"]
        )
        ec2.describe_snapshot_attribute(SnapshotId=shared, Attribute="createVolumePermission")
        ec2.copy_snapshot(SourceRegion="eu-central-1", SourceSnapshotId=shared, TagSpecifications=tags)
    assert snapshot.startswith("snap-")
    ec2.delete_snapshot(SnapshotId=shared)
    ec2.delete_volume(VolumeId=plain)


def _blocks(lab: Lab, network: Network) -> None:
    ebs = lab.client("ebs", network.account)
    snapshot = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    data = b"\x01" * BLOCK
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    ebs.put_snapshot_block(
        SnapshotId=snapshot, BlockIndex=0, BlockData=data, DataLength=BLOCK, Checksum=digest, ChecksumAlgorithm="SHA256"
    )
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=1)
    with lab.config(hidden_calls=0, ebs_direct_hidden_calls=0):
        block = ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"][0]
        ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=block["BlockIndex"], BlockToken=block["BlockToken"])
