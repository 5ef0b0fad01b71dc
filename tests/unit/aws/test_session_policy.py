"""A phase's session reaches its own target and no other, in one Region; judged by the evaluator that enforces policies in the lab."""

from __future__ import annotations

import json

import pytest

from forensics.aws.session_policy import session_policy
from lab.emulator.iam.policy import Request, decide

ACCOUNT, REGION, TARGET = "111122223333", "eu-central-1", "i-0123456789abcdef0"


def instance(name: str, *, account: str = ACCOUNT, region: str = REGION) -> str:
    return f"arn:aws:ec2:{region}:{account}:instance/{name}"


def allowed(action: str, resource: str, *, instance_id: str = TARGET, region: str = REGION) -> bool:
    policy = session_policy(account_id=ACCOUNT, region=REGION, instance_id=instance_id)
    return decide({"session": policy}, Request(action, resource, {"aws:RequestedRegion": region})).allowed


@pytest.mark.parametrize(
    "action", ["ssm:SendCommand", "ec2:CreateSnapshots", "ec2:ModifyInstanceAttribute", "ec2:GetConsoleOutput"]
)
def test_only_the_target_can_be_touched(action: str) -> None:
    assert allowed(action, instance(TARGET))
    assert not allowed(action, instance("i-0fedcba9876543210"))
    assert not allowed(action, instance(TARGET, account="999900001111"))
    assert not allowed(action, instance(TARGET, region="us-west-2"), region="us-west-2")


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("ec2:ModifyNetworkInterfaceAttribute", f"arn:aws:ec2:{REGION}:{ACCOUNT}:network-interface/eni-1"),
        ("ec2:CreateSnapshots", f"arn:aws:ec2:{REGION}:{ACCOUNT}:volume/vol-1"),
        ("ssm:SendCommand", f"arn:aws:ssm:{REGION}:{ACCOUNT}:document/forensics-probe_linux"),
        ("ec2:DescribeInstances", "*"),
        ("autoscaling:DescribeAutoScalingGroups", "*"),
        ("ssm:CancelCommand", "*"),
    ],
)
def test_anything_but_an_instance_is_left_to_the_role_in_this_region(action: str, resource: str) -> None:
    assert allowed(action, resource)
    assert not allowed(action, resource, region="us-west-2")


def test_iam_is_asked_in_its_one_region() -> None:
    assert allowed("iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/web", region="us-east-1")


def test_without_a_target_the_region_is_pinned() -> None:
    assert allowed("securityhub:GetFindings", "*", instance_id="")
    assert not allowed("securityhub:GetFindings", "*", instance_id="", region="us-west-2")


@pytest.mark.parametrize("artifact", ["snap-0123456789abcdef0", "ami-0123456789abcdef0"])
def test_the_case_of_an_artifact_can_touch_no_instance_at_all(artifact: str) -> None:
    for action in ("ssm:SendCommand", "ec2:CreateSnapshots", "ec2:ModifyInstanceAttribute", "ec2:GetConsoleOutput"):
        assert not allowed(action, instance(TARGET), instance_id=artifact)
        assert not allowed(action, instance(artifact), instance_id=artifact)
    snapshot = f"arn:aws:ec2:{REGION}::snapshot/snap-0123456789abcdef0"
    assert allowed("ec2:CopySnapshot", snapshot, instance_id=artifact)
    assert not allowed("ec2:CopySnapshot", snapshot, instance_id=artifact, region="us-west-2")


def test_sts_takes_it() -> None:
    text = json.dumps(session_policy(account_id=ACCOUNT, region="ap-southeast-1", instance_id=TARGET))
    assert len(text) < 2048, "AssumeRole takes 2,048 characters of session policy (STS API reference)"
