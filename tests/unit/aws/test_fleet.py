"""An account's running instances at once, and which networks have a way to S3."""

from __future__ import annotations

import pytest

from forensics.aws.fleet import FleetGateway, WaysToS3, leads_out
from tests.unit.aws.conftest import Stub

IGW = {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1", "State": "active"}
LOCAL = {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "State": "active"}
DEAD = {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "blackhole"}


def test_a_default_route_leads_out_while_its_target_is_there() -> None:
    assert leads_out({"Routes": [LOCAL, IGW]})  # type: ignore[typeddict-item, list-item]
    assert not leads_out({"Routes": [LOCAL, DEAD]})  # type: ignore[typeddict-item, list-item]


@pytest.mark.parametrize(
    ("vpc", "subnet", "open_"),
    [("vpc-e", "any", True), ("vpc-a", "subnet-a", False), ("vpc-a", "subnet-b", True), ("vpc-x", "subnet-x", True)],
)
def test_the_subnets_own_table_goes_before_the_main_one(vpc: str, subnet: str, open_: bool) -> None:
    ways = WaysToS3(subnets={"subnet-a": False}, vpcs={"vpc-a": True}, endpoints=frozenset({"vpc-e"}))
    assert ways.open(vpc_id=vpc, subnet_id=subnet) is open_


def test_ways_are_read_from_route_tables_and_endpoints(stubbed: Stub) -> None:
    ec2 = stubbed("ec2")
    tables = [
        {"VpcId": "vpc-1", "Routes": [LOCAL], "Associations": [{"Main": True}]},
        {"VpcId": "vpc-1", "Routes": [LOCAL, IGW], "Associations": [{"Main": False, "SubnetId": "subnet-1"}]},
    ]
    ec2.add_response("describe_route_tables", {"RouteTables": tables})
    endpoint = {"VpcId": "vpc-2", "ServiceName": "com.amazonaws.eu-central-1.s3", "State": "available"}
    other = {"VpcId": "vpc-3", "ServiceName": "com.amazonaws.eu-central-1.ssm", "State": "available"}
    ec2.add_response("describe_vpc_endpoints", {"VpcEndpoints": [endpoint, other]})
    fleet = FleetGateway(ec2.client, stubbed("ssm").client, account_id="1", region="eu-central-1")
    ways = fleet.ways_to_s3()
    assert (ways.subnets, ways.vpcs, ways.endpoints) == ({"subnet-1": True}, {"vpc-1": False}, {"vpc-2"})


def test_a_host_without_ipv4_has_ways_of_its_own(stubbed: Stub) -> None:
    """VPC user guide, "Egress-only internet gateways"; EC2 API reference, VpcEndpoint, IpAddressType."""
    ec2 = stubbed("ec2")
    out6 = {"DestinationIpv6CidrBlock": "::/0", "EgressOnlyInternetGatewayId": "eigw-1", "State": "active"}
    tables = [
        {"VpcId": "vpc-1", "Routes": [LOCAL, out6], "Associations": [{"Main": True}]},
        {"VpcId": "vpc-2", "Routes": [LOCAL, IGW], "Associations": [{"Main": True}]},
    ]
    ec2.add_response("describe_route_tables", {"RouteTables": tables})
    s3 = {"ServiceName": "com.amazonaws.eu-central-1.s3", "State": "available"}
    found = [
        {**s3, "VpcId": "vpc-3", "IpAddressType": "dualstack"},
        {**s3, "VpcId": "vpc-4", "IpAddressType": "ipv4"},
        {**s3, "VpcId": "vpc-5"},
    ]
    ec2.add_response("describe_vpc_endpoints", {"VpcEndpoints": found})
    ways = FleetGateway(ec2.client, stubbed("ssm").client, account_id="1", region="eu-central-1").ways_to_s3()
    for vpc, four, six in (("vpc-1", False, True), ("vpc-2", True, False), ("vpc-3", True, True)):
        assert (ways.open(vpc_id=vpc, subnet_id="s"), ways.open(vpc_id=vpc, subnet_id="s", ipv6=True)) == (four, six)
    assert ways.ipv6 is not None and ways.ipv6.endpoints == {"vpc-3"}


def test_keys_are_those_of_attached_encrypted_volumes(stubbed: Stub) -> None:
    ec2 = stubbed("ec2")
    volumes = [{"KmsKeyId": "arn:k", "Attachments": [{"InstanceId": "i-1"}]}, {"Attachments": [{"InstanceId": "i-2"}]}]
    ec2.add_response("describe_volumes", {"Volumes": volumes})
    fleet = FleetGateway(ec2.client, stubbed("ssm").client, account_id="1", region="eu-central-1")
    assert fleet.keys_of_volumes() == {"i-1": {"arn:k"}}
