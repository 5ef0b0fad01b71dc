"""By which addresses a subnet's traffic leaves its VPC, as EC2 describes routes and NAT gateways."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from forensics.aws.egress import EgressGateway

VPC, SUBNET, OTHER = "vpc-1", "subnet-1", "subnet-2"
ANYWHERE = "0.0.0.0/0"


def table(*routes: dict[str, Any], subnet: str = "", main: bool = False) -> dict[str, Any]:
    association: dict[str, Any] = {"Main": main, **({"SubnetId": subnet} if subnet else {})}
    return {
        "RouteTableId": "rtb-1",
        "Associations": [association],
        "Routes": [{"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local"}, *routes],
    }


def exits(tables: list[dict[str, Any]], nat: str = "", subnets: tuple[str, ...] = (SUBNET,)) -> tuple[str, ...] | None:
    client = boto3.client("ec2", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stub:
        stub.add_response(
            "describe_route_tables", {"RouteTables": tables}, {"Filters": [{"Name": "vpc-id", "Values": [VPC]}]}
        )
        if nat:
            addresses = [{"PublicIp": "203.0.113.9", "PrivateIp": "10.0.0.9"}, {"PrivateIp": "10.0.0.10"}]
            stub.add_response(
                "describe_nat_gateways", {"NatGateways": [{"NatGatewayAddresses": addresses}]}, {"NatGatewayIds": [nat]}
            )
        found = EgressGateway(client, account_id="333344445555", region="eu-central-1").exits(
            vpc_id=VPC, subnet_ids=subnets
        )
        stub.assert_no_pending_responses()
    return found


def test_a_nat_gateway_s_public_addresses_are_the_exits() -> None:
    nat = {"DestinationCidrBlock": ANYWHERE, "NatGatewayId": "nat-1"}
    assert exits([table(nat, subnet=SUBNET), table(main=True)], nat="nat-1") == ("203.0.113.9",)


def test_a_subnet_without_a_table_of_its_own_has_the_main_one() -> None:
    nat = {"DestinationCidrBlock": ANYWHERE, "NatGatewayId": "nat-1"}
    assert exits([table(subnet=OTHER), table(nat, main=True)], nat="nat-1") == ("203.0.113.9",)


@pytest.mark.parametrize(
    "route",
    [
        {"DestinationCidrBlock": ANYWHERE, "GatewayId": "igw-1"},
        {"DestinationIpv6CidrBlock": "::/0", "EgressOnlyInternetGatewayId": "eigw-1"},
    ],
)
def test_an_internet_gateway_adds_no_address(route: dict[str, Any]) -> None:
    assert exits([table(route, main=True)]) == ()


@pytest.mark.parametrize(
    "way", [{"TransitGatewayId": "tgw-1"}, {"NetworkInterfaceId": "eni-1"}, {"GatewayId": "vgw-1"}]
)
def test_where_another_network_decides_the_exits_are_not_known(way: dict[str, str]) -> None:
    assert exits([table({"DestinationCidrBlock": ANYWHERE, **way}, main=True)]) is None


def test_no_default_route_is_no_exit() -> None:
    assert exits([table(main=True)]) == ()
