"""What an endpoint's policy lets through, in AWS's words.

Sources: IAM user guide, "Troubleshoot access denied error messages", section "Access denied due to VPC endpoint policies" (both forms);
a refusal recorded from SSM in public: ``… is not authorized to perform: ssm:UpdateInstanceInformation on resource: … because no VPC
endpoint policy allows the ssm:UpdateInstanceInformation action``; AWS PrivateLink guide, "Control access using endpoint policies".
"""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from moto import mock_aws

from lab.emulator.iam.policy import Request
from lab.emulator.iam.sessions import Session
from lab.emulator.network.endpoint_policy import is_about, refusal
from lab.emulator.network.routes import Path
from tests.lab.emulator.network.deployed import YESTERDAY_S3

ACCOUNT = "123456789012"
AIRFLOW = Session(f"arn:aws:iam::{ACCOUNT}:role/forensics-execution", "airflow", "", None, "control")
MANIFEST = "arn:aws:s3:::landing/cases/fc-1/manifest.txt"


def says(
    policy: dict[str, Any], action: str, resource: str, *, session: Session | None = AIRFLOW, account: str = ACCOUNT
) -> str | None:
    path = Path("endpoint vpce-1", "vpce-1", "vpc-1", policy)
    return refusal(path, session, account, Request(action, resource))


@pytest.fixture(autouse=True)
def bucket() -> Any:
    """A bucket of the organization."""
    with mock_aws():
        s3: Any = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="landing")
        yield


def test_yesterdays_policy_let_nothing_withdraw_a_manifest() -> None:
    assert says(YESTERDAY_S3, "s3:PutObject", MANIFEST) is None
    assert (
        says(YESTERDAY_S3, "s3:DeleteObject", MANIFEST)
        == "because no VPC endpoint policy allows the s3:DeleteObject action"
    )


def test_an_explicit_deny_has_its_own_words() -> None:
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:Put*", "Resource": "*"}
    both = {"Statement": [*YESTERDAY_S3["Statement"], deny]}
    assert says(both, "s3:PutObject", MANIFEST) == "with an explicit deny in a VPC endpoint policy"


def test_buckets_of_nobody_here_and_callers_without_credentials_are_not_of_the_organization() -> None:
    refused = "because no VPC endpoint policy allows the s3:GetObject action"
    assert says(YESTERDAY_S3, "s3:GetObject", "arn:aws:s3:::amazon-ssm-eu-central-1/agent.rpm") == refused
    assert says(YESTERDAY_S3, "s3:GetObject", MANIFEST, session=None, account="anonymous") == refused
    assert says(YESTERDAY_S3, "s3:GetObject", MANIFEST, session=None) is None


def test_conditions_know_the_endpoint() -> None:
    only = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}
    for key, value, wanted in (("aws:SourceVpce", "vpce-1", None), ("aws:SourceVpce", "vpce-2", "because"), ("aws:SourceVpc", "vpc-1", None)):  # fmt: skip
        only["Statement"][0]["Condition"] = {"StringEquals": {key: value}}  # type: ignore[assignment]
        assert (says(only, "s3:GetObject", MANIFEST) or "").split(" ")[0] == (wanted or "")


def test_keys_that_a_service_uses_behind_its_endpoint_do_not_pass_it() -> None:
    key = Request("kms:GenerateDataKey", "arn:aws:kms:eu-central-1:123456789012:key/k")
    assert not is_about("s3", key) and is_about("kms", key)
    assert is_about("monitoring", Request("cloudwatch:PutMetricData", "*"))
