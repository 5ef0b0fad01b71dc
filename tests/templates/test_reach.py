"""Every call that a role's permission implies has a way from Airflow's subnets, in every profile and Region; no other subnet has one.

Truth from outside: ``infra/permissions.yaml`` is held against the code by test_permissions.py; the rules of the way are those of
``infra/deployment/paths.py`` with their AWS documents. Yesterday's templates are made again here by taking things out.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from infra.deployment import configuration, reach, rendering, templates
from infra.deployment.checks import validate
from infra.deployment.paths import ANALYSIS, Call, Network, calls, closed_ways, resource_of, text
from infra.deployment.plan import PlanError
from infra.deployment.regions import partition_of_region

EXAMPLE = configuration.read(templates.ROOT / "infra" / "deployment.example.yaml")
ORGANIZATION = str(EXAMPLE.parameters["OrganizationId"])
ABROAD = ("eu-central-1", "eu-west-1", "us-east-1")
Templates = dict[str, dict[str, Any]]


def configured(
    profile: str, *, home: str = "eu-central-1", members: tuple[str, ...] = ()
) -> configuration.Configuration:
    parameters = {**EXAMPLE.parameters, "Profile": profile, "BuildSubnetId": "subnet-0123456789abcdef0"}
    return replace(EXAMPLE, region=home, member_regions=(home, *members), parameters=parameters)


@cache
def network(profile: str, home: str = "eu-central-1", members: tuple[str, ...] = ()) -> Network:
    stacks = rendering.render(configured(profile, home=home, members=members))
    return Network.of(stacks, organization=ORGANIZATION)


@pytest.mark.parametrize(
    ("profile", "home", "members"),
    [
        ("standard", "eu-central-1", ()),
        ("standard", "eu-central-1", ABROAD),
        ("economy", "eu-central-1", ABROAD),
        ("closed", "eu-central-1", ()),
        ("closed", "us-east-1", ()),
        ("standard", "us-gov-west-1", ("us-gov-west-1", "us-gov-east-1")),
        ("economy", "eusc-de-east-1", ()),
    ],
)
def test_every_permission_has_a_way(profile: str, home: str, members: tuple[str, ...]) -> None:
    config = configured(profile, home=home, members=members)
    missing = closed_ways(config, rendering.render(config))
    assert not missing, "\n".join(missing[:20])


def test_the_calls_are_of_every_kind() -> None:
    """The test above cannot be green because it asks nothing."""
    asked = {(call.service, call.region) for _, call in calls(configured("standard", members=ABROAD))}
    assert {
        ("iam", "eu-central-1"),
        ("ebs", "eu-west-1"),
        ("s3", "eu-central-1"),
        ("securityhub", "us-east-1"),
    } <= asked
    assert len(calls(configured("standard", members=ABROAD))) > 250


@pytest.mark.parametrize("profile", ["economy", "standard", "closed"])
def test_forensic_instances_reach_their_agent_and_s3_and_nothing_else(profile: str) -> None:
    """Malware may run there: neither the NAT gateway nor any other endpoint."""
    found = network(profile, members=() if profile == "closed" else ABROAD)
    ((subnet, group),) = ANALYSIS.items()
    services = {call.service for _, call in calls(configured("standard", members=ABROAD))} | {"ssmmessages"}
    open_to = {
        service
        for service in services
        for region in ABROAD
        if found.refusal(subnet, group, Call(f"{service}:Anything", region)) is None
    }
    objects = found.refusal(
        subnet, group, Call("s3:GetObject", "eu-central-1", resource_of("s3:GetObject", "eu-central-1"))
    )
    assert (open_to, objects) == ({"ssm", "ssmmessages"}, None)


def test_only_names_of_apis_resolve() -> None:
    """A name under which somebody else can put a server would be a way out, by the NAT gateway or by DNS itself."""
    found = network("standard", members=ABROAD)
    for name in (
        "abc123.execute-api.eu-central-1.amazonaws.com", "x.elb.eu-central-1.amazonaws.com", "abc.lambda-url.eu-central-1.on.aws",
        "ec2-192-0-2-1.eu-central-1.compute.amazonaws.com", "bucket.s3.eu-west-1.amazonaws.com", "s3.amazonaws.com", "example.com",
        "d111111abcdef8.cloudfront.net", "ec2.ap-southeast-2.amazonaws.com",
    ):  # fmt: skip
        assert not found._resolves(name), name


# What each change of the templates has to be named as: yesterday's faults, and others of their kind.


def render_changed(profile: str, change: Callable[[Templates], None], members: tuple[str, ...] = ()) -> list[str]:
    known = copy.deepcopy(templates.committed())
    change(known)
    config = configured(profile, members=members)
    return closed_ways(config, rendering.render(config, known))


def no_deletion(known: Templates) -> None:
    """Yesterday's S3 endpoint: no statement for the deletion that follows every capture."""
    statements = known["endpoints"]["Resources"]["S3Endpoint"]["Properties"]["PolicyDocument"]["Statement"]
    statements[:] = [s for s in statements if s.get("Sid") != "WithdrawManifests"]


def no_resource(template: str, name: str) -> Callable[[Templates], None]:
    return lambda known: known[template]["Resources"].pop(name) and None


def other_organization(known: Templates) -> None:
    policy = known["endpoints"]["Resources"]["Ec2Endpoint"]["Properties"]["PolicyDocument"]
    policy["Statement"][0]["Condition"] = {"StringEquals": {"aws:PrincipalOrgID": "o-somebodyelse"}}


def group_shut(known: Templates) -> None:
    known["network"]["Resources"]["EndpointSecurityGroup"]["Properties"]["SecurityGroupIngress"].pop()


def one_zone_without_route(known: Templates) -> None:
    known["network"]["Resources"]["ControlSubnetBRoutes"]["Properties"]["RouteTableId"] = {"Ref": "RouteTable"}


def firewall_without(list_name: str) -> Callable[[Templates], None]:
    def change(known: Templates) -> None:
        rules = known["network"]["Resources"]["DnsFirewall"]["Properties"]["FirewallRules"]
        rules[:] = [r for r in rules if r["FirewallDomainListId"] != {"Ref": list_name}]

    return change


@pytest.mark.parametrize(
    ("profile", "change", "named"),
    [
        ("standard", no_deletion, "no VPC endpoint policy allows the s3:DeleteObject action (endpoints.yaml, S3Endpoint"),
        ("closed", no_resource("endpoints", "IamEndpoint"), "iam:PutRolePolicy): there is no endpoint for iam"),
        ("standard", no_resource("network", "ControlToNat"), "iam:PutRolePolicy): there is no endpoint for iam"),
        ("standard", no_resource("network", "InternetGatewayAttachment"), "no route to a NAT gateway"),
        ("closed", no_resource("endpoints", "AutoScalingEndpoint"), "no endpoint for autoscaling"),
        ("standard", other_organization, "no VPC endpoint policy allows the ec2:"),
        ("standard", group_shut, "security group EndpointSecurityGroup of KmsEndpoint lets https from ControlSubnetB not in"),
        ("standard", one_zone_without_route, "no way from ControlSubnetB to iam"),
        ("standard", firewall_without("OtherNames"), "lets iam.amazonaws.com not resolve"),
        ("standard", firewall_without("HomeNames"), "lets kms.eu-central-1.amazonaws.com not resolve"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)  # fmt: skip
def test_a_missing_way_is_named(profile: str, change: Callable[[Templates], None], named: str) -> None:
    missing = render_changed(profile, change)
    assert any(named in line for line in missing), "\n".join(missing[:10]) or "nothing was missed"


def test_another_region_needs_its_names() -> None:
    """Yesterday's network for a target abroad: no name, no route."""
    missing = closed_ways(configured("standard", members=("eu-west-1",)), rendering.render(configured("standard")))
    assert {line.split(" in ")[0].split()[-1] for line in missing} == set(reach.services_abroad())


# The deployment's part.


def test_closed_network_with_targets_abroad_is_refused() -> None:
    assert reach.problems(configured("closed")) == []
    (said,) = reach.problems(configured("closed", members=("eu-west-1",)))
    assert "eu-west-1" in said and "Profile: standard" in said


def test_regions_of_stack_sets_count() -> None:
    given = replace(EXAMPLE, parameters={**EXAMPLE.parameters, "MemberRegions": ["eu-central-1", "eu-north-1"]})
    assert reach.regions_abroad(given) == ["eu-north-1"]
    assert "ssm.eu-north-1.amazonaws.com" in reach.egress_names(given)


def test_more_regions_than_a_parameter_holds_are_refused() -> None:
    """CloudFormation quotas: 4,096 bytes for the value of a parameter."""
    every = tuple(r for r, partition in partition_of_region().items() if partition == "aws")
    (said,) = reach.problems(configured("standard", members=every))
    assert "4096" in said
    some = configured("standard", members=every[:15])
    lists = reach.egress_lists(some)
    assert reach.problems(some) == [] and max(map(len, lists)) <= 4096
    assert ",".join(lists).split(",") == reach.egress_names(some)
    assert reach.egress_lists(configured("standard"))[1] in reach.egress_lists(configured("standard"))[0]


@pytest.mark.parametrize(
    ("region", "name", "control_plane"),
    [
        ("eu-central-1", "iam.amazonaws.com", "us-east-1"),
        ("us-gov-east-1", "iam.us-gov.amazonaws.com", "us-gov-west-1"),
        ("cn-northwest-1", "iam.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("eusc-de-east-1", "iam.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
    ],
)
def test_iam_is_known_in_every_partition(region: str, name: str, control_plane: str) -> None:
    """botocore's endpoint data; the same names are in "AWS Identity and Access Management endpoints and quotas"."""
    assert reach.endpoint("iam", region) == (name, control_plane)


def test_a_region_that_does_not_exist_is_said_before_its_names_are_made() -> None:
    with pytest.raises(PlanError, match="no Region"):
        validate(replace(EXAMPLE, member_regions=("eu-nowhere-1",)))


def test_the_closed_network_says_what_it_leaves_out() -> None:
    """Organizations is not among AWS PrivateLink's cross-Region services; what then happens is said before the deployment."""
    said = text(configured("closed"))
    assert "Not reached with Profile closed: organizations. Where the policy's scope names tags" in said
    assert "Not reached" not in text(configured("standard"))
    asked = {call.service for _, call in calls(configured("closed"))}
    assert "organizations" not in asked and "organizations" in {c.service for _, c in calls(configured("standard"))}
    refusal = network("closed").refusal(
        "ControlSubnetA", "MwaaSecurityGroup", Call("organizations:ListTagsForResource", "eu-central-1")
    )
    assert refusal and "there is no endpoint for organizations" in refusal


def test_the_plan_says_what_airflow_reaches() -> None:
    said = text(configured("standard", members=("eu-west-1",)))
    assert "eu-central-1, eu-west-1, none without a way" in said
    own = replace(EXAMPLE, parameters={**EXAMPLE.parameters, "VpcId": "vpc-0123456789abcdef0"})
    assert "the preflight tries every way" in text(own)


def test_image_builder_is_reached_where_it_makes_the_ami() -> None:
    assert "imagebuilder" not in {call.service for _, call in calls(EXAMPLE)}
    assert "imagebuilder" in {call.service for _, call in calls(configured("closed"))}
