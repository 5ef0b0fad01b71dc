"""Which ways a subnet has, by the deployed templates: endpoints, route tables, security groups.

Sources: AWS PrivateLink guide ("Access an AWS service using an interface VPC endpoint", "Gateway endpoints", "AWS services that integrate
with AWS PrivateLink"); IAM user guide, "Create a VPC endpoint for IAM" (only in the Region of its control plane); Amazon VPC user guide,
"Configure route tables", "NAT gateways".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import boto3
import pytest
from moto import mock_aws

from lab.emulator.network import routes
from lab.emulator.network.places import ANALYSIS, CONTROL, Place
from lab.emulator.network.routes import NoPath
from tests.lab.emulator.network.deployed import Deployed, body, endpoints_for, make

ACCOUNT, REGION = "123456789012", "eu-central-1"
Fixture = tuple[Deployed, Any]


@cache
def client(service: str) -> Any:
    make_client: Any = boto3.client
    return make_client(service, region_name=REGION)


@pytest.fixture
def closed() -> Iterator[Fixture]:
    """The committed VPC, with endpoints for four services; and EC2."""
    with deployed("closed", "s3", "dynamodb", "ssm", "sts") as made:
        yield made


@contextmanager
def deployed(profile: str, *services: str, names: str = "iam.amazonaws.com") -> Iterator[Fixture]:
    """The committed VPC with endpoints for some services, the names that resolve beside the home Region's; and EC2."""
    with mock_aws():
        templates = {"network": body("network"), "endpoints": endpoints_for(*services)}
        yield make(client, ACCOUNT, REGION, profile=profile, more={"EgressNames": names}, **templates), client("ec2")


def way(place: Place, service: str, region: str = REGION) -> str:
    """How a place reaches a service, or why it does not."""
    try:
        return routes.find(place, service, region).how.split(" ")[0]
    except NoPath as error:
        return str(error)


def endpoint(ec2: Any, service: str) -> str:
    name = [{"Name": "service-name", "Values": [f"com.amazonaws.{REGION}.{service}"]}]
    return next(
        str(e["VpcEndpointId"])
        for e in ec2.describe_vpc_endpoints()["VpcEndpoints"]
        if e["ServiceName"] == name[0]["Values"][0]
    )


def test_airflow_reaches_what_the_endpoints_are_for_and_nothing_else(closed: Fixture) -> None:
    control = closed[0].place(CONTROL)
    assert [way(control, s) for s in ("s3", "dynamodb", "ssm", "sts")] == ["endpoint"] * 4
    nothing = way(control, "ec2")
    assert nothing.startswith("no path to ec2 (eu-central-1) from the control subnets: in subnet-")
    assert nothing.endswith(
        "there is no endpoint com.amazonaws.eu-central-1.ec2; and the route table has no default route"
    )


def test_an_endpoint_serves_its_own_region_only() -> None:
    with deployed("closed", "ssm", names="iam.amazonaws.com,ssm.eu-west-1.amazonaws.com") as (made, _):
        reason = way(made.place(CONTROL), "ssm", "eu-west-1")
        assert reason.startswith("no path to ssm (eu-west-1)") and "com.amazonaws.eu-west-1.ssm" in reason


def test_a_name_that_the_dns_firewall_does_not_list_leads_nowhere() -> None:
    """Route 53 developer guide, "How Route 53 Resolver DNS Firewall works": the first list that has the name decides."""
    with deployed("standard", names="iam.amazonaws.com,ec2.eu-west-1.amazonaws.com") as (made, _):
        control = made.place(CONTROL)
        assert way(control, "ec2", "eu-west-1") == "internet"
        reason = way(control, "ec2", "eu-west-2")
        assert reason.endswith(
            f"the DNS firewall of {made.outputs['VpcId']} does not let ec2.eu-west-2.amazonaws.com resolve"
        )


def test_iam_is_in_one_region_and_has_an_endpoint_there_only(closed: Fixture) -> None:
    """Fault A2: the templates of November 2026 had no endpoint for IAM, and no other way out."""
    reason = way(closed[0].place(CONTROL), "iam", routes.region_of("iam", REGION))
    assert reason.startswith("no path to iam (us-east-1) from the control subnets")
    assert "there is no endpoint com.amazonaws.iam;" in reason
    assert [routes.region_of("iam", r) for r in ("cn-northwest-1", "us-gov-east-1")] == ["cn-north-1", "us-gov-west-1"]


@pytest.mark.parametrize(
    ("profile", "expected"), [("closed", "endpoint"), ("standard", "internet"), ("economy", "internet")]
)
def test_every_profile_leads_airflow_to_iam_and_forensic_instances_nowhere(profile: str, expected: str) -> None:
    with deployed(profile, "iam", "ssm") as (made, _):
        assert way(made.place(CONTROL), "iam", "us-east-1") == expected
        assert way(made.place(ANALYSIS), "iam", "us-east-1").startswith(
            "no path to iam (us-east-1) from the analysis subnet"
        )
        assert way(made.place(ANALYSIS), "ssm") == "endpoint"


def test_a_forensic_instance_is_let_out_to_s3_and_not_to_the_case_table(closed: Fixture) -> None:
    """Both are in its route table; the analysis group names the prefix list of S3 only."""
    analysis = closed[0].place(ANALYSIS)
    assert [way(analysis, s) for s in ("s3", "ssm")] == ["endpoint", "endpoint"]
    assert f"is not let out to by the caller's groups {analysis.groups[0]}" in way(analysis, "dynamodb")


def test_an_endpoint_that_admits_nobody_is_no_way(closed: Fixture) -> None:
    made, ec2 = closed
    group = made.outputs["EndpointSecurityGroupId"]
    rules = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=rules)
    assert "does not admit 10.80.0.64/26 on port 443" in way(made.place(CONTROL), "sts")


def test_a_gateway_endpoint_serves_the_subnets_whose_table_has_it(closed: Fixture) -> None:
    made, ec2 = closed
    association = next(
        a["RouteTableAssociationId"]
        for t in ec2.describe_route_tables(RouteTableIds=[made.outputs["ControlRouteTableId"]])["RouteTables"]
        for a in t["Associations"]
        if a.get("SubnetId") == made.outputs["ControlSubnetIdB"]
    )
    ec2.disassociate_route_table(AssociationId=association)
    reason = way(made.place(CONTROL), "s3")
    assert f"in {made.outputs['ControlSubnetIdB']}" in reason and "is not in the route table" in reason


def test_a_deleted_endpoint_is_gone_for_the_next_request(closed: Fixture) -> None:
    made, ec2 = closed
    ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint(ec2, "ssm")])
    assert "there is no endpoint com.amazonaws.eu-central-1.ssm" in way(made.place(CONTROL), "ssm")


def test_without_private_dns_the_services_name_leads_past_the_endpoint(closed: Fixture) -> None:
    made, ec2 = closed
    ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint(ec2, "ssm")])
    ec2.create_vpc_endpoint(
        VpcId=made.outputs["VpcId"], VpcEndpointType="Interface", ServiceName=f"com.amazonaws.{REGION}.ssm",
        SubnetIds=[made.outputs["ControlSubnetIdA"]], PrivateDnsEnabled=False,
    )  # fmt: skip
    assert "has no private DNS name" in way(made.place(CONTROL), "ssm")


def own_vpc(ec2: Any, *, nat: bool, beyond: bool) -> Place:
    """A VPC of one's own, without endpoints: a private subnet, perhaps a NAT gateway, perhaps an internet gateway behind it."""
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    private, public = (
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{n}.0/24", AvailabilityZone=f"{REGION}a")["Subnet"]["SubnetId"]
        for n in (1, 2)
    )
    tables = [ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"] for _ in range(2)]
    for subnet, table in zip((private, public), tables, strict=True):
        ec2.associate_route_table(SubnetId=subnet, RouteTableId=table)
    if beyond:
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        ec2.create_route(RouteTableId=tables[1], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    if nat:
        address = ec2.allocate_address(Domain="vpc")["AllocationId"]
        made = ec2.create_nat_gateway(SubnetId=public, AllocationId=address)["NatGateway"]["NatGatewayId"]
        ec2.create_route(RouteTableId=tables[0], DestinationCidrBlock="0.0.0.0/0", NatGatewayId=made)
    return Place(CONTROL, ACCOUNT, REGION, (private,))


def test_a_vpc_of_ones_own_without_endpoints_reaches_nothing_unless_it_has_a_way_out() -> None:
    """``EndpointsExist`` in the deployment file says that there are some; nothing in the lab believes it."""
    with mock_aws():
        ec2 = client("ec2")
        assert "there is no endpoint com.amazonaws.eu-central-1.s3" in way(own_vpc(ec2, nat=False, beyond=False), "s3")
        through = own_vpc(ec2, nat=True, beyond=True)
        assert [way(through, *to) for to in (("s3",), ("iam", "us-east-1"), ("ec2", "eu-west-1"))] == ["internet"] * 3
        assert "has no way to the internet" in way(own_vpc(ec2, nat=True, beyond=False), "s3")


def test_an_internet_gateway_carries_nobody_without_a_public_address() -> None:
    """Amazon VPC user guide, "Enable internet access": Airflow's workers have private addresses only."""
    with mock_aws():
        ec2 = client("ec2")
        place = own_vpc(ec2, nat=False, beyond=False)
        (table,) = [
            t["RouteTableId"]
            for t in ec2.describe_route_tables()["RouteTables"]
            if any(a.get("SubnetId") == place.subnets[0] for a in t["Associations"])
        ]
        vpc = ec2.describe_subnets(SubnetIds=list(place.subnets))["Subnets"][0]["VpcId"]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
        assert "carries only those who have a public address" in way(place, "s3")
