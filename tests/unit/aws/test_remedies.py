"""A call that finds no way, or is refused on it, ends in a message with the path, the call and the line of the deployment file.

The words of the refusals are AWS's: IAM user guide, "Troubleshoot access denied error messages" (VPC endpoint policies, service control
policies), AWS STS API reference, AssumeRole, and the error of an expired token as EC2 gives it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from botocore.stub import Stubber

from forensics.aws import reachability
from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.errors import AccessDeniedError, AwsError, UnreachableError
from tests.unit.builders import ACCOUNT
from tests.unit.moto_store import KEYS

FILE = "deployment.yaml"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    monkeypatch.setattr("forensics.aws.remedies._home", lambda: "eu-central-1")
    reachability.forget()
    yield
    reachability.forget()


def session(region: str, *, abroad: bool = False) -> AwsSession:
    return AwsSession(boto=boto3.session.Session(**KEYS), account_id=ACCOUNT, region=region, abroad=abroad)


def drop(client: Any) -> list[int]:
    """Every packet is dropped; the tries that were made."""
    tries: list[int] = []

    def send(**_: Any) -> None:
        tries.append(1)
        raise ConnectTimeoutError(endpoint_url=client.meta.endpoint_url)

    client.meta.events.register_last("before-send", send)
    return tries


@pytest.mark.parametrize(
    ("service", "operation", "region", "way", "line"),
    [
        (
            "ec2", "describe_instances", "eu-west-1", "no way from Airflow's subnets to ec2 in eu-west-1, for DescribeInstances",
            f"add eu-west-1 to member_regions in {FILE}",
        ),
        (
            "kms", "list_keys", "eu-central-1", "no way from Airflow's subnets to kms in eu-central-1, for ListKeys",
            f"parameters.Profile in {FILE} decides",
        ),
        ("iam", "list_roles", "eu-central-1", "no way from Airflow's subnets to iam", f"parameters.Profile in {FILE} opens the way to IAM"),
        ("elbv2", "describe_target_groups", "us-east-1", "to elasticloadbalancing in us-east-1", f"add us-east-1 to member_regions in {FILE}"),
    ],
)  # fmt: skip
def test_a_closed_way_is_named(service: str, operation: str, region: str, way: str, line: str) -> None:
    client = session(region, abroad=True).client(service)
    drop(client)
    with pytest.raises(UnreachableError) as caught, aws_errors("look at the target"):
        getattr(client, operation)()
    assert "look at the target: AWS could not be reached" in caught.value.message and way in caught.value.message
    assert line in caught.value.next_action and caught.value.retryable


def test_another_region_costs_one_short_time_out() -> None:
    """Yesterday: six tries of ten seconds for each call."""
    client = session("eu-west-1", abroad=True).client("ec2")
    tries = drop(client)
    for _ in range(3):
        with pytest.raises(UnreachableError), aws_errors("look at the target"):
            client.describe_instances()  # type: ignore[attr-defined]
    assert (len(tries), client.meta.config.connect_timeout) == (1, 3)


def test_at_home_a_call_is_tried_again() -> None:
    client = session("eu-central-1").client("ec2")
    tries = drop(client)
    with pytest.raises(UnreachableError), aws_errors("look at the target"):
        client.describe_instances()  # type: ignore[attr-defined]
    assert len(tries) > 3


ENDPOINT = (
    "User: arn:aws:sts::222233334444:assumed-role/forensics-execution/a is not authorized to perform: s3:DeleteObject on resource: "
    '"arn:aws:s3:::forensics-landing/cases/x/manifest.txt" because no VPC endpoint policy allows the s3:DeleteObject action'
)
ROLE = (
    "User: arn:aws:sts::222233334444:assumed-role/forensics-execution/a is not authorized to perform: sts:AssumeRole on resource: "
    "arn:aws:iam::333344445555:role/forensics-acquire"
)
ORGANIZATION = (
    "User: arn:aws:sts::333344445555:assumed-role/forensics-contain/fc is not authorized to perform: ec2:CreateSecurityGroup on resource: "
    "arn:aws:ec2:eu-central-1:333344445555:vpc/vpc-1 with an explicit deny in a service control policy"
)


@pytest.mark.parametrize(
    ("service", "operation", "params", "code", "message", "path", "line"),
    [
        (
            "s3", "delete_object", {"Bucket": "forensics-landing", "Key": "x"}, "AccessDenied", ENDPOINT,
            "the VPC endpoint's policy refuses s3:DeleteObject in eu-central-1", f"parameters.OrganizationId in {FILE}",
        ),
        (
            "sts", "assume_role", {"RoleArn": "arn:aws:iam::333344445555:role/forensics-acquire", "RoleSessionName": "fc-1"},
            "AccessDenied", ROLE, "sts:AssumeRole in eu-central-1",
            f"deploy stack forensics-member-roles in account 333344445555: the account has to be in accounts.members in {FILE}",
        ),
        (
            "ec2", "describe_instances", {}, "ExpiredToken", "The security token included in the request is expired",
            "the credentials that sign ec2:DescribeInstances in eu-central-1 have ended", f"settings.aws_conn_id in {FILE}",
        ),
        (
            "ec2", "describe_instances", {}, "OptInRequired", "You are not subscribed to this service",
            "ec2:DescribeInstances in eu-central-1; the account may not have this Region", f"out of member_regions in {FILE}",
        ),
        (
            "ec2", "create_security_group", {"GroupName": "q", "Description": "q"}, "UnauthorizedOperation", ORGANIZATION,
            "a policy of the organization refuses ec2:CreateSecurityGroup in eu-central-1", f"parameters.TargetIds in {FILE}",
        ),
    ],
    ids=["endpoint policy", "missing role", "expired token", "closed Region", "organization"],
)  # fmt: skip
def test_a_refusal_names_path_call_and_line(
    service: str, operation: str, params: dict[str, str], code: str, message: str, path: str, line: str
) -> None:
    client = session("eu-central-1").client(service)
    with Stubber(client) as stub:
        stub.add_client_error(operation, service_error_code=code, service_message=message)
        with pytest.raises(AccessDeniedError) as caught, aws_errors("do the work"):
            getattr(client, operation)(**params)
    assert code in caught.value.message and path in caught.value.message
    assert line in caught.value.next_action


def test_what_has_no_line_keeps_its_own_advice() -> None:
    with pytest.raises(AwsError) as caught, aws_errors("lock"):
        raise ClientError({"Error": {"Code": "InternalError", "Message": "try again"}}, "LockSnapshot")
    assert caught.value.next_action == AwsError.default_action and "path" not in caught.value.message


def test_the_call_of_earlier_work_is_not_named() -> None:
    client = session("eu-west-1", abroad=True).client("ec2")
    drop(client)
    with pytest.raises(UnreachableError), aws_errors("first"):
        client.describe_instances()  # type: ignore[attr-defined]
    with pytest.raises(UnreachableError) as caught, aws_errors("second"):
        raise ConnectTimeoutError(endpoint_url="https://sqs.eu-central-1.amazonaws.com/")
    assert "eu-west-1" not in caught.value.message and "sqs.eu-central-1" in caught.value.next_action
