"""Targets of every kind in the lab's member account, and everything that AWS says about them."""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.config import Config

from forensics.aws.autoscaling import AutoScalingGateway
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.ec2_facts import Ec2Facts
from forensics.aws.elb import BalancerGateway
from forensics.aws.iam import IamGateway
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.facts_reader import FactsReader

# set by `make test-containment`
FULL = os.environ.get("CONTAINMENT_TESTS") == "full"
LONG = pytest.mark.skipif(not FULL, reason="`make test-containment` runs it: `make test` has to stay short")
REGION = "eu-central-1"
ACCOUNT = "333344445555"
SERVICES = ("ec2", "autoscaling", "elb", "elbv2", "iam")
READS = ("describe_", "get_", "list_")
EC2_TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
)
DENY_ALL = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})
DENY_PROFILE = "forensics-isolated"


@dataclass(frozen=True)
class Cell:
    """One kind of target."""

    interfaces: int
    v6: bool
    address: bool
    group: bool
    role: str
    running: bool

    def __str__(self) -> str:
        parts = [
            f"{self.interfaces}eni", "v6" if self.v6 else "v4", "eip" if self.address else "noeip",
            "asg" if self.group else "alone", f"{self.role}role", "running" if self.running else "stopped",
        ]  # fmt: skip
        return "-".join(parts)


def all_cells() -> list[Cell]:
    """All 48 combinations of addressing, group, role and state; the number of interfaces goes round from 1 to 4."""
    product = itertools.product((False, True), (False, True), (False, True), ("own", "shared", "no"), (True, False))
    return [
        Cell(interfaces=n % 4 + 1, v6=v6, address=eip, group=group, role=role, running=running)
        for n, (v6, eip, group, role, running) in enumerate(product)
    ]


@dataclass
class Recorder:
    """Every call of the product's clients, in order, and calls that are made to fail."""

    calls: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        """Called by botocore before a request is built."""
        self.calls.append((model.service_model.service_name, model.name, dict(params)))

    @property
    def changes(self) -> list[tuple[str, str, dict[str, Any]]]:
        """The mutating calls; one with DryRun mutates nothing."""
        asked = [c for c in self.calls if not c[1].startswith(("Describe", "Get", "List", "Simulate"))]
        return [c for c in asked if not c[2].get("DryRun")]


@dataclass
class Made:
    """A target and what belongs to it."""

    cell: Cell
    instance_id: str
    role: str | None = None
    scaling_group: str | None = None
    target_group: str | None = None
    allocations: tuple[str, ...] = ()


class World:
    """The member account: a network, and targets made on demand."""

    def __init__(self, endpoint: str, *, access_key: str, secret_key: str) -> None:
        self.endpoint = endpoint
        self._keys = {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key}
        self.clients = self._clients()
        self.ec2, self.iam = self.clients["ec2"], self.clients["iam"]
        self._numbers = itertools.count(1)
        self.vpc, self.subnet, self.app = self._network("10.60.0.0/16", "2001:db8:60::/56")
        self._deny_profile()

    def _clients(self, recorder: Recorder | None = None) -> dict[str, Any]:
        session = boto3.session.Session(region_name=REGION, **self._keys)
        config = Config(retries={"mode": "standard", "max_attempts": 1}, max_pool_connections=20)
        made = {s: session.client(s, endpoint_url=self.endpoint, config=config) for s in SERVICES}
        if recorder:
            for client in made.values():
                client.meta.events.register("provide-client-params.*", recorder.note)
        return made

    def gateway(self, recorder: Recorder | None = None, *, role_arn: str = "") -> ContainmentGateway:
        """The product's gateway on this account; ``recorder`` sees its calls, ``role_arn`` is whom IAM is asked about."""
        clients = self._clients(recorder) if recorder else self.clients
        where = {"account_id": ACCOUNT, "region": REGION}
        reader = FactsReader(
            ec2=Ec2Gateway(clients["ec2"], **where),
            facts=Ec2Facts(clients["ec2"], **where),
            scaling=AutoScalingGateway(clients["autoscaling"], **where),
            balancers=BalancerGateway(clients["elb"], clients["elbv2"], **where),
            iam=IamGateway(clients["iam"], **where),
        )
        return ContainmentGateway(facts=reader, clients=clients, role_arn=role_arn)

    def _network(self, cidr: str, v6: str) -> tuple[str, str, str]:
        vpc = self.ec2.create_vpc(CidrBlock=cidr, AmazonProvidedIpv6CidrBlock=True)["Vpc"]["VpcId"]
        blocks = self.ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0].get("Ipv6CidrBlockAssociationSet", [])
        six = blocks[0]["Ipv6CidrBlock"].rsplit("/", 1)[0] + "/64" if blocks else v6
        subnet = self.ec2.create_subnet(
            VpcId=vpc, CidrBlock=cidr.replace("/16", "/20"), Ipv6CidrBlock=six, AvailabilityZone=f"{REGION}a"
        )["Subnet"]["SubnetId"]
        app = self.ec2.create_security_group(GroupName=f"app-{vpc}", Description="application", VpcId=vpc)["GroupId"]
        self.ec2.authorize_security_group_ingress(
            GroupId=app,
            IpPermissions=[
                {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
                {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]},
            ],
        )
        return vpc, subnet, app

    def second_vpc(self) -> tuple[str, str, str]:
        """Another VPC: id, subnet, group."""
        return self._network("10.61.0.0/16", "2001:db8:61::/56")

    def _deny_profile(self) -> None:
        present = [p["InstanceProfileName"] for p in self.iam.list_instance_profiles()["InstanceProfiles"]]
        if DENY_PROFILE in present:
            return
        self.iam.create_role(RoleName=DENY_PROFILE, AssumeRolePolicyDocument=EC2_TRUST)
        self.iam.put_role_policy(RoleName=DENY_PROFILE, PolicyName="deny-all", PolicyDocument=DENY_ALL)
        self.iam.create_instance_profile(InstanceProfileName=DENY_PROFILE)
        self.iam.add_role_to_instance_profile(InstanceProfileName=DENY_PROFILE, RoleName=DENY_PROFILE)

    # ------------------------------------------------------------------ targets
    def make(self, cell: Cell) -> Made:
        """Make a target of this kind."""
        number = next(self._numbers)
        role = self._role(number) if cell.role != "no" else None
        made = self._in_group(cell, number, role) if cell.group else Made(cell, self._launch(role), role=role)
        if cell.role == "shared":
            self._launch(role)
        primary = self._interfaces(made.instance_id)[0]
        ids = [primary]
        if cell.v6:
            self.ec2.assign_ipv6_addresses(NetworkInterfaceId=primary, Ipv6Addresses=[f"2001:db8:60::{number:x}:1"])
        ids += [self._attach(made, index, number) for index in range(1, cell.interfaces)]
        if cell.address:
            made.allocations = tuple(self._elastic(interface) for interface in ids[:2])
        if not cell.running:
            self.ec2.stop_instances(InstanceIds=[made.instance_id])
        return made

    def _role(self, number: int) -> str:
        name = f"app-{number}"
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=EC2_TRUST)
        self.iam.create_instance_profile(InstanceProfileName=name)
        self.iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        return name

    def _launch(self, role: str | None, **extra: Any) -> str:
        request: dict[str, Any] = {"IamInstanceProfile": {"Name": role}} if role else {}
        answer = self.ec2.run_instances(
            ImageId="ami-0123456789abcdef0", MinCount=1, MaxCount=1, SubnetId=self.subnet,
            SecurityGroupIds=[self.app], InstanceInitiatedShutdownBehavior="terminate",
            BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8, "DeleteOnTermination": True}}],
            **request, **extra,
        )  # fmt: skip
        return str(answer["Instances"][0]["InstanceId"])

    def launch(self, role: str | None = None, **extra: Any) -> str:
        """A plain instance."""
        return self._launch(role, **extra)

    def role(self) -> str:
        """A role with its profile."""
        return self._role(next(self._numbers))

    def _in_group(self, cell: Cell, number: int, role: str | None) -> Made:
        """An Auto Scaling group of one with a target group and room for one more, or none when the number is odd."""
        name = f"fleet-{number}"
        target_group = self.clients["elbv2"].create_target_group(
            Name=name, Protocol="HTTP", Port=80, VpcId=self.vpc, TargetType="instance"
        )["TargetGroups"][0]["TargetGroupArn"]
        launch: dict[str, Any] = {"ImageId": "ami-0123456789abcdef0", "InstanceType": "t3.small"}
        if role:
            launch["IamInstanceProfile"] = role
        self.clients["autoscaling"].create_launch_configuration(
            LaunchConfigurationName=name, SecurityGroups=[self.app], **launch
        )
        self.clients["autoscaling"].create_auto_scaling_group(
            AutoScalingGroupName=name, LaunchConfigurationName=name, MinSize=1, DesiredCapacity=1,
            MaxSize=1 if number % 2 else 3, VPCZoneIdentifier=self.subnet, TargetGroupARNs=[target_group],
        )  # fmt: skip
        members = self.clients["autoscaling"].describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        instance = members["AutoScalingGroups"][0]["Instances"][0]["InstanceId"]
        if role:
            self._profile_of(instance, role)
        return Made(cell, instance, role=role, scaling_group=name, target_group=target_group)

    def _profile_of(self, instance: str, role: str) -> None:
        known = self.ec2.describe_iam_instance_profile_associations(
            Filters=[{"Name": "instance-id", "Values": [instance]}]
        )["IamInstanceProfileAssociations"]
        if not known:
            self.ec2.associate_iam_instance_profile(InstanceId=instance, IamInstanceProfile={"Name": role})

    def _interfaces(self, instance: str) -> list[str]:
        found = self.ec2.describe_network_interfaces(Filters=[{"Name": "attachment.instance-id", "Values": [instance]}])
        ordered = sorted(found["NetworkInterfaces"], key=lambda e: e["Attachment"]["DeviceIndex"])
        return [e["NetworkInterfaceId"] for e in ordered]

    def _attach(self, made: Made, index: int, number: int) -> str:
        extra = {"Ipv6Addresses": [{"Ipv6Address": f"2001:db8:60::{number:x}:{index + 1}"}]} if made.cell.v6 else {}
        eni = self.ec2.create_network_interface(SubnetId=self.subnet, Groups=[self.app], **extra)["NetworkInterface"]
        self.ec2.attach_network_interface(
            NetworkInterfaceId=eni["NetworkInterfaceId"], InstanceId=made.instance_id, DeviceIndex=index
        )
        return str(eni["NetworkInterfaceId"])

    def _elastic(self, interface: str) -> str:
        allocation = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
        self.ec2.associate_address(AllocationId=allocation, NetworkInterfaceId=interface)
        return str(allocation)

    # ------------------------------------------------------------------ what AWS says
    def everything(self, made: Made) -> dict[str, Any]:
        """All describe calls about a target, without what AWS makes anew when something is given back."""
        instance = made.instance_id
        filters = [{"Name": "attachment.instance-id", "Values": [instance]}]
        said: dict[str, Any] = {
            "instance": self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0],
            "interfaces": self.ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"],
            "volumes": self.ec2.describe_volumes(Filters=filters)["Volumes"],
            "groups": self.ec2.describe_security_groups()["SecurityGroups"],
            "profiles": self.ec2.describe_iam_instance_profile_associations(
                Filters=[{"Name": "instance-id", "Values": [instance]}]
            )["IamInstanceProfileAssociations"],
            **{
                name: self.ec2.describe_instance_attribute(InstanceId=instance, Attribute=name)
                for name in ("disableApiTermination", "disableApiStop", "instanceInitiatedShutdownBehavior")
            },
        }
        if made.allocations:
            said["addresses"] = self.ec2.describe_addresses(AllocationIds=list(made.allocations))["Addresses"]
        if made.role:
            said["policies"] = self.iam.list_role_policies(RoleName=made.role)["PolicyNames"]
        if made.scaling_group:
            scaling = self.clients["autoscaling"]
            answer = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[made.scaling_group])
            said["scaling"] = answer["AutoScalingGroups"]
            said["member"] = scaling.describe_auto_scaling_instances(InstanceIds=[instance])["AutoScalingInstances"]
            health = self.clients["elbv2"].describe_target_health(TargetGroupArn=made.target_group)
            said["targets"] = [t["Target"] for t in health["TargetHealthDescriptions"]]
        return dict(without(said))


# Identifiers that AWS makes anew, and the request's own metadata.
RENEWED = frozenset({"AssociationId", "ResponseMetadata", "Timestamp"})


def without(value: Any) -> Any:
    """A describe answer without renewed identifiers, its lists in an order of their own."""
    if isinstance(value, dict):
        return {k: without(v) for k, v in value.items() if k not in RENEWED}
    if isinstance(value, list):
        return sorted((without(v) for v in value), key=lambda v: json.dumps(v, sort_keys=True, default=str))
    return value


def difference(before: Any, after: Any, name: str = "") -> list[str]:
    """Where two describe answers differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            d
            for k in sorted(before.keys() | after.keys())
            for d in difference(before.get(k), after.get(k), f"{name}.{k}")
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [d for n, (a, b) in enumerate(zip(before, after, strict=True)) for d in difference(a, b, f"{name}[{n}]")]
    return [] if before == after else [f"{name}: {before!r} -> {after!r}"]
