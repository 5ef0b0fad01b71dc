"""What the watch over the lab's answers takes and refuses; the models are botocore's own, the answers are written here by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.emulator.contract import answers, notes
from lab.emulator.contract.watch import Watch

INSTANCE = "<item><instanceId>i-1</instanceId>{}</item>"


def found(service: str, name: str, body: str | dict, *, status: int = 200, **headers: str) -> list[str]:
    operation = answers.operation(service, name)
    assert operation is not None
    text = json.dumps(body) if isinstance(body, dict) else body
    return answers.problems(operation, status, {k.replace("_", "-"): v for k, v in headers.items()}, text.encode())


def instances(inside: str) -> str:
    reservation = (
        f"<item><reservationId>r-1</reservationId><instancesSet>{INSTANCE.format(inside)}</instancesSet></item>"
    )
    return f"<DescribeInstancesResponse><requestId>r</requestId><reservationSet>{reservation}</reservationSet></DescribeInstancesResponse>"


@pytest.mark.parametrize(
    ("inside", "problem"),
    [
        ("<launchTime>2026-11-01T00:00:00.000Z</launchTime><ebsOptimized>false</ebsOptimized>", None),
        ("<architecture>m68k</architecture>", "Architecture: 'm68k' is none of"),
        ("<launchTime>2026-11-01 00:00:00</launchTime>", "is not a timestamp as this protocol writes it"),
        ("<launchTime>1764547200</launchTime>", "is not a timestamp as this protocol writes it"),
        ("<ebsOptimized>False</ebsOptimized>", "is not a boolean as this protocol writes it"),
        ("<amiLaunchIndex>one</amiLaunchIndex>", "is not a integer as this protocol writes it"),
        ("<colour>red</colour>", "Instances[].colour: not a member of Instance"),
        ("<instanceId>i-2</instanceId>", "InstanceId: given twice"),
        ("<groupSet><member><groupId>sg-1</groupId></member></groupSet>", "an item is called member, not item"),
        ("<imageId><id>ami-1</id></imageId>", "elements where a string belongs"),
    ],
)
def test_xml_is_read_member_by_member(inside: str, problem: str | None) -> None:
    problems = found("ec2", "DescribeInstances", instances(inside))
    assert problems == [] if problem is None else len(problems) == 1 and problem in problems[0]


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"KeyId": "k", "KeyUsage": "SIGN_VERIFY", "CreationDate": 1764547200.5}, None),
        ({"KeyUsage": "SIGN_VERIFY"}, "KeyMetadata.KeyId: missing, and KeyMetadata requires it"),
        ({"KeyId": "k", "KeyUsage": "BOTH"}, "KeyUsage: 'BOTH' is none of"),
        ({"KeyId": "k", "KeyUsage": None}, "KeyUsage: null, which AWS leaves out"),
        ({"KeyId": "k", "Enabled": "true"}, "is not a boolean"),
        ({"KeyId": "k", "CreationDate": "2026-11-01T00:00:00Z"}, "is not a timestamp"),
        ({"KeyId": "k", "Colour": "red"}, "KeyMetadata.Colour: not a member of KeyMetadata"),
        ({"KeyId": 7}, "7 is not a string"),
        ({"KeyId": "k", "EncryptionAlgorithms": "SYMMETRIC_DEFAULT"}, "is not a list"),
    ],
)
def test_json_is_read_member_by_member(metadata: dict, problem: str | None) -> None:
    problems = found("kms", "DescribeKey", {"KeyMetadata": metadata})
    assert problems == [] if problem is None else len(problems) == 1 and problem in problems[0]


def test_a_query_answer_has_its_wrapper() -> None:
    inner = "<RoleName>r</RoleName>"
    assert "GetRoleResult is missing" in found("iam", "GetRole", f"<GetRoleResponse>{inner}</GetRoleResponse>")


def test_headers_and_statuses_are_read() -> None:
    good = {"last_modified": "Sun, 29 Nov 2026 07:00:00 GMT", "content_length": "1"}
    assert found("s3", "HeadObject", "", **good) == []
    assert "is not a timestamp" in found("s3", "HeadObject", "", **good | {"last_modified": "2026-11-29T07:00:00Z"})[0]
    assert "is none of GOVERNANCE" in found("s3", "HeadObject", "", **good, x_amz_object_lock_mode="STRICT")[0]
    assert found("s3", "DeleteObject", "", status=200) == ["HTTP status 200, not 204"]


@pytest.mark.parametrize(
    ("service", "name", "code", "status", "problem"),
    [
        ("kms", "DescribeKey", "NotFoundException", 400, None),
        ("kms", "DescribeKey", "AccessDeniedException", 400, None),
        ("kms", "DescribeKey", "NoSuchKey", 400, "error NoSuchKey: not in botocore's list"),
        ("ebs", "ListSnapshotBlocks", "ResourceNotFoundException", 400, "HTTP status 400, not 404"),
        (
            "ebs",
            "ListSnapshotBlocks",
            "AccessDeniedException",
            403,
            "Reason: missing, and AccessDeniedException requires it",
        ),
        ("sqs", "SendMessage", "QueueDoesNotExist", 400, "no header x-amzn-query-error"),
        ("ssm", "SendCommand", "InternalFailure", 500, "the lab itself failed"),
    ],
)
def test_an_error_is_one_that_the_service_has(
    service: str, name: str, code: str, status: int, problem: str | None
) -> None:
    problems = found(service, name, {"__type": code, "message": "no"}, status=status)
    assert problems == [] if problem is None else len(problems) == 1 and problem in problems[0]


def test_codes_of_ec2_are_the_documented_ones() -> None:
    body = "<Response><Errors><Error><Code>{}</Code><Message>no</Message></Error></Errors><RequestID>r</RequestID></Response>"
    assert found("ec2", "LockSnapshot", body.format("InvalidSnapshot.NotFound"), status=400) == []
    (problem,) = found("ec2", "LockSnapshot", body.format("SnapshotNotFound"), status=400)
    assert "not in beyond_the_models.yaml" in problem


def test_what_a_recording_has_and_the_model_has_not_is_taken() -> None:
    """cloud-custodian/cloud-custodian, tests/data/placebo/*/ec2.DescribeVpcEndpoints_1.json."""
    item = "<item><vpcEndpointId>vpce-1</vpcEndpointId><state>{}</state></item>"
    body = f"<DescribeVpcEndpointsResponse><vpcEndpointSet>{item}</vpcEndpointSet></DescribeVpcEndpointsResponse>"
    assert found("ec2", "DescribeVpcEndpoints", body.format("available")) == []
    assert found("ec2", "DescribeVpcEndpoints", body.format("there")) != []


def test_a_kind_of_problem_is_noted_once(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    for number in (1, 2):
        body = json.dumps({"KeyMetadata": {"KeyId": number}}).encode()
        watch.answered(
            "kms", "DescribeKey", status=200, headers=[("Content-Type", "application/x-amz-json-1.1")], body=body
        )
    watch.answered("kms", "EncryptTwice", status=200, headers=[], body=b"{}")
    played, problems = notes.report(tmp_path)
    assert played == {("kms", "DescribeKey"), ("kms", "EncryptTwice")}
    assert [str(problem) for problem in problems] == [
        "kms.DescribeKey: DescribeKey.KeyMetadata.KeyId: 1 is not a string",
        "kms.EncryptTwice: botocore knows no such operation",
    ]
