"""Which authorizations the lab's IAM asks for: action, resource and keys of calls, as the service authorization reference has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.ec2.models import ec2_backends

from lab.emulator.iam.requests import Asked, authorizations

ACCOUNT, REGION = "123456789012", "eu-central-1"


def asks(service: str, action: str, *, path: str = "/", **given: Any) -> list[tuple[str, str]]:
    """(action, resource) of every question about a call; parameters of query services by name."""
    asked = Asked(
        service=service, action=action, account=ACCOUNT, region=REGION, query={k.replace("__", "."): v for k, v in given.items()},
        document=given, headers={}, path=path, method="POST",
    )  # fmt: skip
    return [(r.action, r.resource) for r in authorizations(asked)]


@pytest.fixture
def aws() -> Iterator[None]:
    """moto in this process."""
    with mock_aws():
        yield


@pytest.mark.parametrize(
    ("service", "action", "given", "expected"),
    [
        ("sqs", "DeleteMessageBatch", {"QueueUrl": f"http://x/{ACCOUNT}/q"}, ("sqs:DeleteMessage", f"arn:aws:sqs:{REGION}:{ACCOUNT}:q")),
        ("securityhub", "BatchUpdateFindings", {}, ("securityhub:BatchUpdateFindings", f"arn:aws:securityhub:{REGION}:{ACCOUNT}:hub/default")),
        ("securityhub", "BatchUpdateFindingsV2", {}, ("securityhub:BatchUpdateFindings", f"arn:aws:securityhub:{REGION}:{ACCOUNT}:hubv2/default")),
        ("guardduty", "ListDetectors", {"path": "/detector"}, ("guardduty:ListDetectors", "*")),
        ("guardduty", "ArchiveFindings", {"path": "/detector/d1/findings/archive"}, ("guardduty:ArchiveFindings", f"arn:aws:guardduty:{REGION}:{ACCOUNT}:detector/d1")),
        ("iam", "PutRolePolicy", {"RoleName": "r"}, ("iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/r")),
        ("iam", "GetInstanceProfile", {"InstanceProfileName": "p"}, ("iam:GetInstanceProfile", f"arn:aws:iam::{ACCOUNT}:instance-profile/p")),
        ("elasticloadbalancing", "DescribeTargetGroups", {}, ("elasticloadbalancing:DescribeTargetGroups", "*")),
        ("elasticloadbalancing", "DeregisterTargets", {"TargetGroupArn": "arn:t"}, ("elasticloadbalancing:DeregisterTargets", "arn:t")),
        ("imagebuilder", "StartImagePipelineExecution", {"imagePipelineArn": "arn:p"}, ("imagebuilder:StartImagePipelineExecution", "arn:p")),
        ("monitoring", "PutMetricData", {"Namespace": "Forensics"}, ("cloudwatch:PutMetricData", "*")),
        ("ssm", "PutParameter", {"Name": "/a/b"}, ("ssm:PutParameter", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/a/b")),
    ],
)  # fmt: skip
def test_one_question(aws: None, service: str, action: str, given: dict[str, Any], expected: tuple[str, str]) -> None:
    assert asks(service, action, **given) == [expected]


def test_a_rule_is_about_the_group_that_has_it(aws: None) -> None:
    own, other = "sg-00000000000000001", "sg-00000000000000002"
    found = asks("ec2", "AuthorizeSecurityGroupEgress", GroupId=own, IpPermissions__1__Groups__1__GroupId=other)
    assert found == [("ec2:AuthorizeSecurityGroupEgress", f"arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/{own}")]


def test_taking_an_address_is_about_the_address_and_its_interface(aws: None) -> None:
    ec2: Any = boto3.client("ec2", region_name=REGION)
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    interface = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    association = ec2.associate_address(AllocationId=address, NetworkInterfaceId=interface)["AssociationId"]
    assert asks("ec2", "DisassociateAddress", AssociationId=association) == [
        ("ec2:DisassociateAddress", f"arn:aws:ec2:{REGION}:{ACCOUNT}:elastic-ip/{address}"),
        ("ec2:DisassociateAddress", f"arn:aws:ec2:{REGION}:{ACCOUNT}:network-interface/{interface}"),
    ]


def test_reading_blocks_of_an_encrypted_snapshot_uses_its_key(aws: None) -> None:
    ec2: Any = boto3.client("ec2", region_name=REGION)
    key = boto3.client("kms", region_name=REGION).create_key()["KeyMetadata"]["Arn"]
    volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1, Encrypted=True, KmsKeyId=key)["VolumeId"]
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    # the lab's patches pass the volume's key on to its snapshots; stock moto does not
    ec2_backends[ACCOUNT][REGION].snapshots[snapshot].kms_key_id = key
    arn = f"arn:aws:ec2:{REGION}::snapshot/{snapshot}"
    assert asks("ebs", "ListSnapshotBlocks", path=f"/snapshots/{snapshot}/blocks") == [("ebs:ListSnapshotBlocks", arn)]
    found = asks("ebs", "GetSnapshotBlock", path=f"/snapshots/{snapshot}/blocks/0")
    assert found == [("ebs:GetSnapshotBlock", arn), ("kms:Decrypt", key)]


def test_listing_versions_is_asked_with_its_prefix(aws: None) -> None:
    asked = Asked(
        service="s3", action="ListObjectVersions", account=ACCOUNT, region=REGION, query={"prefix": "cases/1/"}, document={},
        headers={}, path="/bucket", method="GET",
    )  # fmt: skip
    (request,) = authorizations(asked)
    assert (request.action, request.context) == ("s3:ListBucketVersions", {"s3:prefix": "cases/1/"})


def test_a_copy_is_asked_about_its_source_with_the_owner_and_about_what_it_makes(aws: None) -> None:
    """Service authorization reference, Amazon EC2, CopySnapshot: ``snapshot*`` with the key ``ec2:Owner``."""
    ec2 = boto3.client("ec2", region_name=REGION)
    volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1)["VolumeId"]
    source = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    query = {
        "SourceSnapshotId": source,
        "SourceRegion": REGION,
        "TagSpecification.1.Tag.1.Key": "forensics:case",
        "TagSpecification.1.Tag.1.Value": "fc",
    }
    asked = Asked(
        service="ec2", action="CopySnapshot", account=ACCOUNT, region=REGION, query=query, document={}, headers={}, path="/", method="POST",
    )  # fmt: skip
    of_source, made, tagged = authorizations(asked)
    assert (of_source.resource, of_source.context["ec2:Owner"]) == (f"arn:aws:ec2:{REGION}::snapshot/{source}", ACCOUNT)
    assert (
        made.resource == f"arn:aws:ec2:{REGION}::snapshot/*" and made.context["aws:RequestTag/forensics:case"] == "fc"
    )
    assert "ec2:Owner" not in made.context and tagged.action == "ec2:CreateTags"
