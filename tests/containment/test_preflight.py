"""What has no DryRun is put to IAM's simulator: the role's own policies decide what the plan says of those steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from forensics.containment.permissions import given_profile, permission
from forensics.containment.plan_preflight import preflight
from forensics.models.containment import ApiCall, PlanPreflight, PreflightAnswer
from tests.containment.drive import Driver
from tests.containment.world import ACCOUNT, DENY_PROFILE, EC2_TRUST, REGION, Cell, Recorder, World

ROLE = "asked-about"
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
TARGET = Cell(interfaces=1, v6=False, address=False, group=True, role="own", running=True)
WITHOUT_DRY_RUN = {"autoscaling", "elb", "elbv2", "iam"}


@pytest.fixture
def role(world: World) -> Iterator[Any]:
    """Give the role these statements; it is gone after the test."""
    arn = world.iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=EC2_TRUST)["Role"]["Arn"]

    def allow(*statements: dict[str, Any]) -> str:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        world.iam.put_role_policy(RoleName=ROLE, PolicyName="own", PolicyDocument=document)
        return str(arn)

    yield allow
    for name in world.iam.list_role_policies(RoleName=ROLE)["PolicyNames"]:
        world.iam.delete_role_policy(RoleName=ROLE, PolicyName=name)
    world.iam.delete_role(RoleName=ROLE)


def preflighted(world: World, role_arn: str) -> tuple[PlanPreflight, dict[str, str]]:
    """A target's plan asked about, and the service of each of its steps."""
    made = world.make(TARGET)
    recorder = Recorder()
    driver = Driver.start(world.gateway(recorder, role_arn=role_arn), made.instance_id)
    plan = driver.plan(driver.original)
    found = preflight(driver.gateway, plan)
    assert recorder.changes == [], "asking changes nothing"
    return found, {s.id: s.call.service for s in plan.steps}


def test_every_step_is_asked_about_but_what_needs_an_earlier_one(world: World, role: Any) -> None:
    found, services = preflighted(world, role(EVERYTHING))
    assert found.of(PreflightAnswer.REFUSED) == ()
    assert [s for s in found.of(PreflightAnswer.NOT_ASKED) if "earlier step makes" not in s.detail] == []
    simulated = [s for s in found.of(PreflightAnswer.ALLOWED) if s.detail == "IAM would allow it"]
    # the profile's replacement is EC2's and has no DryRun either
    assert {services[s.name] for s in simulated} == {"autoscaling", "elbv2", "iam", "ec2"}


def test_what_iam_would_refuse_is_said_before_anything_is_changed(world: World, role: Any) -> None:
    own_roles = {"Effect": "Deny", "Action": "iam:PutRolePolicy", "Resource": "*"}
    ec2_only = {"Effect": "Allow", "Action": ["ec2:*", "iam:PutRolePolicy"], "Resource": "*"}
    found, services = preflighted(world, role(ec2_only, own_roles))
    refused = {s.name: s.detail for s in found.of(PreflightAnswer.REFUSED)}
    # scaling group and balancer; the deny on the target's role; and the deny-all profile, whose role may not be passed
    assert {services[name] for name in refused} == {"autoscaling", "elbv2", "iam", "ec2"}
    assert any("iam:PassRole" in text and "implicitDeny" in text for text in refused.values())
    assert any("iam:PutRolePolicy" in text and "explicitDeny" in text for text in refused.values())
    assert any("autoscaling:EnterStandby" in text or "autoscaling:DetachInstances" in text for text in refused.values())


def test_a_condition_that_iam_cannot_judge_is_no_refusal(world: World, role: Any) -> None:
    tagged = {"StringEquals": {"aws:ResourceTag/team": "web"}}
    others = {"Effect": "Allow", "Action": ["ec2:*", "iam:*"], "Resource": "*"}
    found, services = preflighted(world, role(others, {**EVERYTHING, "Action": "autoscaling:*", "Condition": tagged}))
    asked = [s for s in found.steps if services[s.name] == "autoscaling"]
    assert asked and {s.answer for s in asked} == {PreflightAnswer.NOT_ASKED}
    assert all("without aws:ResourceTag/team" in s.detail for s in asked)


def test_an_explicit_deny_is_a_refusal_whatever_else_is_missing(world: World, role: Any) -> None:
    tagged = {"StringEquals": {"aws:ResourceTag/team": "web"}}
    denied = {"Effect": "Deny", "Action": "autoscaling:*", "Resource": "*"}
    found, services = preflighted(world, role(EVERYTHING, {**EVERYTHING, "Condition": tagged}, denied))
    asked = [s for s in found.steps if services[s.name] == "autoscaling"]
    assert asked and {s.answer for s in asked} == {PreflightAnswer.REFUSED}


def test_a_role_that_iam_does_not_know_leaves_the_steps_unasked(world: World) -> None:
    found, services = preflighted(world, f"arn:aws:iam::{ACCOUNT}:role/nobody")
    asked = [s for s in found.steps if services[s.name] in WITHOUT_DRY_RUN]
    assert asked and {s.answer for s in asked} == {PreflightAnswer.NOT_ASKED}
    assert all("IAM did not answer" in s.detail and "nobody" in s.detail for s in asked)


def test_a_deny_all_profile_that_lost_its_role_is_found_out(world: World, role: Any) -> None:
    made = world.make(TARGET)
    driver = Driver.start(world.gateway(role_arn=role(EVERYTHING)), made.instance_id)
    plan = driver.plan(driver.original)
    world.iam.remove_role_from_instance_profile(InstanceProfileName=DENY_PROFILE, RoleName=DENY_PROFILE)
    try:
        refused = preflight(driver.gateway, plan).of(PreflightAnswer.REFUSED)
    finally:
        world.iam.add_role_to_instance_profile(InstanceProfileName=DENY_PROFILE, RoleName=DENY_PROFILE)
    assert [s.detail for s in refused] == [
        f"instance profile {DENY_PROFILE} does not exist in account {ACCOUNT}, or holds no role"
    ]


@pytest.mark.parametrize(
    ("call", "operation", "expected"),
    [
        (
            ApiCall(service="autoscaling", operation="enter_standby", params={"AutoScalingGroupName": "web"}),
            "EnterStandby",
            f"autoscaling:EnterStandby on arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:*:autoScalingGroupName/web",
        ),
        (
            ApiCall(service="elb", operation="x", params={"LoadBalancerName": "old"}),
            "DeregisterInstancesFromLoadBalancer",
            "elasticloadbalancing:DeregisterInstancesFromLoadBalancer on "
            f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/old",
        ),
        (
            ApiCall(service="elbv2", operation="x", params={"TargetGroupArn": "arn:tg"}),
            "DeregisterTargets",
            "elasticloadbalancing:DeregisterTargets on arn:tg",
        ),
        (
            ApiCall(service="ec2", operation="x", params={"AssociationId": "iip-assoc-1"}),
            "DisassociateIamInstanceProfile",
            f"ec2:DisassociateIamInstanceProfile on arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-1",
        ),
    ],
    ids=["scaling", "classic balancer", "target group", "profile"],
)
def test_what_a_call_asks_for(call: ApiCall, operation: str, expected: str) -> None:
    assert str(permission(call, operation=operation, account=ACCOUNT, region=REGION, instance_id="i-1")) == expected
    assert given_profile(call) is None
