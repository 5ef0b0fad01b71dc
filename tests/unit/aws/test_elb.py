"""Load balancers: every registration of the target, by its id or one of its addresses."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import Stubber

from forensics.aws import elb
from forensics.aws.elb import BalancerGateway
from forensics.models.target_facts import MembershipFacts
from tests.unit.aws.conftest import Stub
from tests.unit.builders import INSTANCE

ARN = "arn:aws:elasticloadbalancing:eu-central-1:333344445555:targetgroup"


@pytest.fixture
def classic(stubbed: Stub) -> Stubber:
    """Classic balancers."""
    return stubbed("elb")


@pytest.fixture
def current(stubbed: Stub, monkeypatch: pytest.MonkeyPatch) -> Stubber:
    """Target groups; read one after the other, since stubbed answers have an order."""
    monkeypatch.setattr(elb, "PARALLEL", 1)
    return stubbed("elbv2")


def memberships(classic: Stubber, current: Stubber) -> tuple[MembershipFacts, ...]:
    gateway = BalancerGateway(classic.client, current.client, account_id="333344445555", region="eu-central-1")
    return gateway.memberships(INSTANCE, addresses=["10.0.0.5"], vpc_ids=["vpc-1"])


def health(target: str, state: str = "healthy", **more: Any) -> dict[str, Any]:
    """A line of DescribeTargetHealth."""
    return {"Target": {"Id": target, **more}, "TargetHealth": {"State": state}}


def no_classic(classic: Stubber) -> None:
    classic.add_response("describe_load_balancers", {"LoadBalancerDescriptions": []}, {})


def test_only_groups_that_can_hold_the_target_are_read(classic: Stubber, current: Stubber) -> None:
    groups = [
        {"TargetGroupArn": f"{ARN}/here", "TargetType": "instance", "VpcId": "vpc-1"},
        {"TargetGroupArn": f"{ARN}/elsewhere", "TargetType": "instance", "VpcId": "vpc-2"},
        {"TargetGroupArn": f"{ARN}/function", "TargetType": "lambda"},
        {"TargetGroupArn": f"{ARN}/peered", "TargetType": "ip", "VpcId": "vpc-2"},
    ]
    current.add_response("describe_target_groups", {"TargetGroups": groups}, {})
    mine = health(INSTANCE, Port=8080, AvailabilityZone="all")
    others = [health("i-0fedcba9876543210"), health("i-0fedcba9876543211", state="draining")]
    current.add_response(
        "describe_target_health",
        {"TargetHealthDescriptions": [mine, *others]},
        {"TargetGroupArn": f"{ARN}/here"},
    )
    current.add_response(
        "describe_target_health",
        {"TargetHealthDescriptions": [health("10.0.0.5"), health("10.0.0.9")]},
        {"TargetGroupArn": f"{ARN}/peered"},
    )
    no_classic(classic)
    assert memberships(classic, current) == (
        MembershipFacts(kind="elbv2", balancer=f"{ARN}/here", target_id=INSTANCE, port=8080, zone="all", others=1),
        MembershipFacts(kind="elbv2", balancer=f"{ARN}/peered", target_id="10.0.0.5", others=1),
    )


def test_a_target_that_is_leaving_is_not_registered(classic: Stubber, current: Stubber) -> None:
    group = {"TargetGroupArn": f"{ARN}/here", "TargetType": "instance", "VpcId": "vpc-1"}
    current.add_response("describe_target_groups", {"TargetGroups": [group]})
    current.add_response("describe_target_health", {"TargetHealthDescriptions": [health(INSTANCE, state="draining")]})
    no_classic(classic)
    assert memberships(classic, current) == ()


def test_classic_balancers_know_the_target_by_its_id(classic: Stubber, current: Stubber) -> None:
    current.add_response("describe_target_groups", {"TargetGroups": []})
    balancers = [
        {"LoadBalancerName": "old", "Instances": [{"InstanceId": INSTANCE}, {"InstanceId": "i-0fedcba9876543210"}]},
        {"LoadBalancerName": "other", "Instances": [{"InstanceId": "i-0fedcba9876543210"}]},
    ]
    classic.add_response("describe_load_balancers", {"LoadBalancerDescriptions": balancers}, {})
    assert memberships(classic, current) == (MembershipFacts(kind="elb", balancer="old", target_id=INSTANCE, others=1),)
