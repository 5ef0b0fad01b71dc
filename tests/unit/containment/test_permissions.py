"""What IAM has to allow for a call."""

from __future__ import annotations

import pytest

from forensics.containment.permissions import given_profile, passing, permission
from forensics.models.containment import ApiCall, Permission
from tests.unit.builders import ACCOUNT, INSTANCE, REGION

CASES = [
    ("autoscaling", {"AutoScalingGroupName": "web"}, "EnterStandby", "autoscaling:EnterStandby",
     f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:*:autoScalingGroupName/web"),
    ("elb", {"LoadBalancerName": "old"}, "Deregister", "elasticloadbalancing:Deregister",
     f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/old"),
    ("elbv2", {"TargetGroupArn": "arn:tg"}, "DeregisterTargets", "elasticloadbalancing:DeregisterTargets", "arn:tg"),
    ("iam", {"RoleName": "app"}, "PutRolePolicy", "iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/app"),
    ("ec2", {"AssociationId": "a"}, "DisassociateIamInstanceProfile", "ec2:DisassociateIamInstanceProfile",
     f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{INSTANCE}"),
]  # fmt: skip


@pytest.mark.parametrize(("service", "params", "operation", "action", "resource"), CASES, ids=[c[0] for c in CASES])
def test_what_a_call_needs(service: str, params: dict[str, object], operation: str, action: str, resource: str) -> None:
    call = ApiCall(service=service, operation="any", params=params)
    found = permission(call, operation=operation, account=ACCOUNT, region=REGION, instance_id=INSTANCE)
    assert found == Permission(action, resource)


def test_a_profile_that_is_given_has_a_role_to_pass() -> None:
    call = ApiCall(service="ec2", operation="x", params={"IamInstanceProfile": {"Name": "isolated"}})
    assert given_profile(call) == "isolated"
    assert given_profile(ApiCall(service="ec2", operation="x", params={})) is None
    assert passing("arn:role") == Permission("iam:PassRole", "arn:role", {"iam:PassedToService": "ec2.amazonaws.com"})
