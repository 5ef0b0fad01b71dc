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


def test_keys_are_those_of_attached_encrypted_volumes(stubbed: Stub) -> None:
    ec2 = stubbed("ec2")
    volumes = [{"KmsKeyId": "arn:k", "Attachments": [{"InstanceId": "i-1"}]}, {"Attachments": [{"InstanceId": "i-2"}]}]
    ec2.add_response("describe_volumes", {"Volumes": volumes})
    fleet = FleetGateway(ec2.client, stubbed("ssm").client, account_id="1", region="eu-central-1")
    assert fleet.keys_of_volumes() == {"i-1": {"arn:k"}}
