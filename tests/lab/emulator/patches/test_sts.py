"""STS of the lab: a role is assumed only by whom its trust policy names."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import requests
from botocore.exceptions import ClientError

from tests.lab.conftest import FORENSIC, MEMBER, Lab
from tests.lab.emulator.patches.test_ec2 import refused


def make_role(lab: Lab, account: str, principal: dict | str, **settings) -> str:
    actions = settings.pop("actions", ["sts:AssumeRole"])
    statement = {"Effect": "Allow", "Principal": principal, "Action": actions} | settings
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    made = lab.client("iam", account).create_role(
        RoleName=f"role-{time.monotonic_ns()}", AssumeRolePolicyDocument=policy
    )
    return str(made["Role"]["Arn"])


def assume(lab: Lab, role: str, *, account: str = FORENSIC, keys: dict | None = None, **settings) -> dict[str, str]:
    sts = lab.client("sts", account, **(keys or {}))
    made = sts.assume_role(RoleArn=role, RoleSessionName="case-1", **settings)["Credentials"]
    return {
        "aws_access_key_id": made["AccessKeyId"],
        "aws_secret_access_key": made["SecretAccessKey"],
        "aws_session_token": made["SessionToken"],
    }


def test_a_role_acts_in_its_own_account(lab: Lab) -> None:
    role = make_role(lab, MEMBER, {"AWS": f"arn:aws:iam::{FORENSIC}:root"})
    session = assume(lab, role)
    who = lab.client("sts", **session).get_caller_identity()
    assert (who["Account"], who["Arn"].split("/")[-1]) == (MEMBER, "case-1")


def test_a_missing_role_and_a_stranger_are_denied_alike(lab: Lab) -> None:
    with pytest.raises(ClientError, match=r"is not authorized to perform: sts:AssumeRole on resource") as caught:
        assume(lab, f"arn:aws:iam::{MEMBER}:role/nothing")
    assert caught.value.response["Error"]["Code"] == "AccessDenied"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    with refused("AccessDenied"):
        assume(lab, make_role(lab, MEMBER, {"AWS": "arn:aws:iam::444455556666:root"}))
    with refused("AccessDenied"):
        assume(lab, make_role(lab, MEMBER, {"Service": "ec2.amazonaws.com"}))


def test_an_external_id_must_match(lab: Lab) -> None:
    condition = {"StringEquals": {"sts:ExternalId": "secret-7"}}
    role = make_role(lab, MEMBER, {"AWS": FORENSIC}, Condition=condition)
    assume(lab, role, ExternalId="secret-7")
    with refused("AccessDenied"):
        assume(lab, role, ExternalId="secret-8")
    with refused("AccessDenied"):
        assume(lab, role)


def test_a_trust_in_one_role_is_for_that_role_only(lab: Lab) -> None:
    airflow = make_role(lab, FORENSIC, {"AWS": FORENSIC})
    target = make_role(lab, MEMBER, {"AWS": airflow})
    with refused("AccessDenied"):
        assume(lab, target)
    assume(lab, target, keys=assume(lab, airflow))
    with pytest.raises(ClientError, match="role chaining"):
        assume(lab, target, keys=assume(lab, airflow), DurationSeconds=7200)


def test_a_source_identity_needs_permission_and_is_returned(lab: Lab) -> None:
    with pytest.raises(ClientError, match="sts:SetSourceIdentity"):
        assume(lab, make_role(lab, MEMBER, {"AWS": FORENSIC}), SourceIdentity="case-1")
    role = make_role(lab, MEMBER, {"AWS": FORENSIC}, actions=["sts:AssumeRole", "sts:SetSourceIdentity"])
    answer = lab.client("sts").assume_role(RoleArn=role, RoleSessionName="case-1", SourceIdentity="case-1")
    assert answer["SourceIdentity"] == "case-1"


def test_session_tokens_are_as_long_as_real_ones(lab: Lab) -> None:
    """STS API reference, AssumeRole: the size of a token is not fixed; callers make no assumption about the maximum."""
    role = make_role(lab, MEMBER, {"AWS": FORENSIC})
    sizes = [len(assume(lab, role)["aws_session_token"]) for _ in range(8)]
    assert all(1500 <= size <= 4096 for size in sizes) and len(set(sizes)) > 1


def agent(lab: Lab, *, service: str = "airflow-env.amazonaws.com") -> Callable[[], dict[str, str]]:
    """What a task asks for the credentials of a role that trusts MWAA."""
    iam, name = lab.client("iam", FORENSIC), f"role-{time.monotonic_ns()}"
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
    }
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    return lambda: dict(lab.get(f"container-credentials?role_arn={role}&service={service}&name=airflow"))


def life(given: dict[str, str]) -> float:
    return (datetime.fromisoformat(given["Expiration"]) - datetime.now(UTC)).total_seconds()


def test_a_roles_credentials_may_have_little_life_left(lab: Lab) -> None:
    """botocore's refresh windows of 15 and 10 minutes; boto/botocore#2604: URLs are signed with whatever is left."""
    ask = agent(lab)
    first = ask()
    assert 600 < life(first) < 900
    assert ask()["AccessKeyId"] == first["AccessKeyId"], "asking does not renew them"
    lab.advance(300)
    assert life(ask()) > 3600


def test_a_presigned_url_ends_with_the_credentials_that_signed_it(lab: Lab) -> None:
    """S3 user guide, "Download and upload objects with presigned URLs": it expires when its credentials do."""
    given = agent(lab)()
    keys = {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["Token"],
    }
    bucket = f"bucket-{time.monotonic_ns()}"
    lab.client("s3", FORENSIC).create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    s3 = lab.client("s3", **keys, config={"signature_version": "s3v4", "s3": {"addressing_style": "path"}})
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "part"}, ExpiresIn=3600)
    assert requests.put(url, data=b"x", timeout=60).status_code == 200
    lab.advance(life(given) + 1)
    refused_now = requests.put(url, data=b"x", timeout=60)
    assert refused_now.status_code == 403 and "ExpiredToken" in refused_now.text
