"""All running instances of an account and Region at once, with what SSM, EC2 and the network say about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from forensics.aws.ec2 import instance_type_name
from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.models.target import SsmStatus

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef, RouteTableTypeDef
    from mypy_boto3_ssm import SSMClient

# DescribeInstanceTypes takes at most 100 names.
_TYPES = 100
# Route targets by which a packet leaves the VPC.
_EXITS = (
    "GatewayId", "NatGatewayId", "TransitGatewayId", "NetworkInterfaceId", "InstanceId", "EgressOnlyInternetGatewayId",
    "VpcPeeringConnectionId", "LocalGatewayId", "CarrierGatewayId",
)  # fmt: skip


@dataclass(frozen=True)
class WaysToS3:
    """Whether the route table of a subnet, or else its VPC's main one, leads out; and VPCs with an S3 endpoint."""

    subnets: Mapping[str, bool]
    vpcs: Mapping[str, bool]
    endpoints: frozenset[str]
    ipv6: WaysToS3 | None = None  # the same for hosts without IPv4

    def open(self, *, vpc_id: str, subnet_id: str, ipv6: bool = False) -> bool:
        """Whether there is a way; a network that the tables do not show is taken to have one. ``ipv6``: for a host without IPv4."""
        if ipv6 and self.ipv6 is not None:
            return self.ipv6.open(vpc_id=vpc_id, subnet_id=subnet_id)
        if vpc_id in self.endpoints:
            return True
        return self.subnets.get(subnet_id, self.vpcs.get(vpc_id, True))


class FleetGateway:
    """Lists of one account and Region."""

    def __init__(self, ec2: EC2Client, ssm: SSMClient, *, account_id: str, region: str) -> None:
        self._ec2 = ec2
        self._ssm = ssm
        self.account_id = account_id
        self.region = region

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account and Region."""
        return cls(session.ec2, session.ssm, account_id=session.account_id, region=session.region)

    @property
    def _where(self) -> str:
        return f"in account {self.account_id}, {self.region}"

    def running(self) -> list[InstanceTypeDef]:
        """DescribeInstances' records of all running instances."""
        with aws_errors(f"list running instances {self._where}"):
            pages = self._ec2.get_paginator("describe_instances").paginate(
                Filters=[{"Name": "instance-state-name", "Values": ["running"]}]
            )
            return [i for page in pages for r in page["Reservations"] for i in r["Instances"]]

    def ssm_status(self) -> dict[str, SsmStatus]:
        """What SSM knows, by instance id."""
        with aws_errors(f"list instances that SSM manages {self._where}"):
            pages = self._ssm.get_paginator("describe_instance_information").paginate()
            found = [i for page in pages for i in page["InstanceInformationList"]]
        return {
            i["InstanceId"]: SsmStatus(
                managed=True,
                ping=i.get("PingStatus"),
                agent_version=i.get("AgentVersion"),
                platform_type=i.get("PlatformType"),
                platform_name=i.get("PlatformName"),
                platform_version=i.get("PlatformVersion"),
            )
            for i in found
        }

    def keys_of_volumes(self) -> dict[str, set[str]]:
        """ARNs of the keys of each instance's encrypted volumes, by instance id."""
        with aws_errors(f"list volumes {self._where}"):
            pages = self._ec2.get_paginator("describe_volumes").paginate(
                Filters=[
                    {"Name": "attachment.status", "Values": ["attached"]},
                    {"Name": "encrypted", "Values": ["true"]},
                ]
            )
            volumes = [v for page in pages for v in page["Volumes"]]
        found: dict[str, set[str]] = {}
        for volume in volumes:
            for attachment in volume.get("Attachments", []):
                if "InstanceId" in attachment and "KmsKeyId" in volume:
                    found.setdefault(attachment["InstanceId"], set()).add(volume["KmsKeyId"])
        return found

    def memory_mib(self, types: Iterable[str]) -> dict[str, int]:
        """Memory of instance types in MiB (DescribeInstanceTypes)."""
        names = sorted(set(types))
        found: dict[str, int] = {}
        for start in range(0, len(names), _TYPES):
            with aws_errors(f"describe instance types {self._where}"):
                answer = self._ec2.describe_instance_types(
                    InstanceTypes=[instance_type_name(n) for n in names[start : start + _TYPES]]
                )
            for item in answer["InstanceTypes"]:
                found[str(item["InstanceType"])] = int(item.get("MemoryInfo", {}).get("SizeInMiB", 0))
        return found

    def ways_to_s3(self) -> WaysToS3:
        """Which subnets and VPCs have a way to S3."""
        with aws_errors(f"list route tables {self._where}"):
            pages = self._ec2.get_paginator("describe_route_tables").paginate()
            tables = [t for page in pages for t in page["RouteTables"]]
        endpoints = self._s3_endpoints()
        return replace(
            _ways(tables, frozenset(endpoints), default="0.0.0.0/0"),
            ipv6=_ways(tables, frozenset(v for v, kind in endpoints.items() if kind != "ipv4"), default="::/0"),
        )

    def _s3_endpoints(self) -> dict[str, str]:
        """VPCs with an available endpoint of S3, and the addresses that it has: ipv4, dualstack, ipv6."""
        with aws_errors(f"list VPC endpoints {self._where}"):
            pages = self._ec2.get_paginator("describe_vpc_endpoints").paginate()
            found = [e for page in pages for e in page["VpcEndpoints"]]
        return {
            e["VpcId"]: str(e.get("IpAddressType", "ipv4")).lower()
            for e in found
            if e["ServiceName"].endswith(".s3") and str(e.get("State", "available")).lower() == "available"
        }


def _ways(tables: Iterable[RouteTableTypeDef], endpoints: frozenset[str], *, default: str) -> WaysToS3:
    subnets: dict[str, bool] = {}
    vpcs: dict[str, bool] = {}
    for table in tables:
        for association in table.get("Associations", []):
            if association.get("Main"):
                vpcs[table.get("VpcId", "")] = leads_out(table, default=default)
            if subnet := association.get("SubnetId"):
                subnets[subnet] = leads_out(table, default=default)
    return WaysToS3(subnets=subnets, vpcs=vpcs, endpoints=endpoints)


def leads_out(table: RouteTableTypeDef, *, default: str = "0.0.0.0/0") -> bool:
    """Whether a route table has a default route to something that is there."""
    for route in table.get("Routes", []):
        values: Mapping[str, object] = route
        is_default = default in (route.get("DestinationCidrBlock"), route.get("DestinationIpv6CidrBlock"))
        if is_default and route.get("State", "active") == "active" and any(values.get(name) for name in _EXITS):
            return True
    return False
