"""Shapes of real answers go through the product's gateways: which members are there, absent, empty, how often, in which order.

tests/data/recorded/*.json: shapes of answers that others recorded at AWS, each with its source (repository and path) and invented contents;
scripts/recorded_shapes.py makes answers.json and errors.json, recent.json is written by hand from recordings of September 2026.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from forensics.aws.error_map import aws_errors, error_code
from forensics.errors import AwsError
from tests.contract import recorded_ec2 as ec2
from tests.contract import recorded_others as others
from tests.contract.recorded import ANSWERS, ERRORS

PLAYERS: dict[str, Callable[[dict[str, Any]], None]] = {
    "ec2.DescribeInstances": ec2.instances, "ec2.DescribeNetworkInterfaces": ec2.interfaces, "ec2.DescribeAddresses": ec2.addresses,
    "ec2.DescribeSecurityGroups": ec2.groups, "ec2.DescribeVolumes": ec2.volumes, "ec2.DescribeSnapshots": ec2.snapshots,
    "ec2.DescribeInstanceAttribute": ec2.attributes, "ec2.DescribeSnapshotAttribute": ec2.permissions, "ec2.DescribeVpcEndpoints": ec2.endpoints,
    "ec2.DescribeVpcs": ec2.vpcs, "ec2.DescribeIamInstanceProfileAssociations": ec2.associations, "ec2.DescribeInstanceTypes": ec2.types,
    "ec2.CopySnapshot": ec2.copies, "ebs.ListSnapshotBlocks": others.block_lists, "kms.DescribeKey": others.keys, "iam.GetRole": others.roles,
    "iam.ListInstanceProfilesForRole": others.profiles, "iam.ListRolePolicies": others.own_policies, "iam.SimulatePrincipalPolicy": others.simulations,
    "autoscaling.DescribeAutoScalingGroups": others.scaling, "elasticloadbalancing.DescribeLoadBalancers": others.balancers,
    "elasticloadbalancing.DescribeTargetGroups": others.target_groups, "elasticloadbalancing.DescribeTargetHealth": others.target_health,
    "ssm.DescribeInstanceInformation": others.managed, "ssm.SendCommand": others.sent, "ssm.GetCommandInvocation": others.invocations, "ssm.GetParameter": others.parameters,
    "securityhub.GetFindings": others.findings, "guardduty.ListDetectors": others.detectors, "s3.HeadObject": others.heads, "s3.ListObjectVersions": others.versions,
    "s3.GetObject": others.bodies, "sqs.GetQueueAttributes": others.queue_attributes, "sqs.ReceiveMessage": others.messages,
}  # fmt: skip
PLAYED = [a for a in ANSWERS if a["operation"] in PLAYERS and a["status"] == 200]


def _id(shape: Mapping[str, Any]) -> str:
    return f"{shape['operation']}-{Path(shape['path']).parent.name}"


@pytest.mark.parametrize("shape", PLAYED, ids=_id)
def test_a_gateway_reads_what_aws_answered(shape: dict[str, Any]) -> None:
    PLAYERS[shape["operation"]](shape["answer"])


@pytest.mark.parametrize("shape", ERRORS, ids=lambda s: f"{s['service']}-{s['code']}-{s['status']}")
def test_an_error_of_aws_becomes_one_of_ours(shape: dict[str, Any]) -> None:
    answer: Any = {
        "Error": {"Code": shape["code"], "Message": "words of the service"},
        "ResponseMetadata": {"HTTPStatusCode": shape["status"]},
    }
    with pytest.raises(AwsError) as caught, aws_errors("do something"):
        raise ClientError(answer, "Operation")
    assert "do something" in str(caught.value)
    assert error_code(caught.value) == shape["code"]
    assert caught.value.next_action


def test_there_are_at_least_150_shapes_and_each_names_its_source() -> None:
    assert len(PLAYED) + len(ERRORS) >= 150
    assert all(shape["repository"].count("/") == 1 and shape["path"] for shape in [*ANSWERS, *ERRORS])
    services = Counter(shape["operation"].split(".")[0] for shape in PLAYED)
    assert {
        "ec2",
        "ebs",
        "ssm",
        "kms",
        "iam",
        "autoscaling",
        "elasticloadbalancing",
        "securityhub",
        "guardduty",
        "s3",
        "sqs",
    } <= set(services)
