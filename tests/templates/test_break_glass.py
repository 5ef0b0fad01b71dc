"""The roles of people for the day on which Airflow is down: who may have them, what they may do, and that each use is reported.

Condition keys: IAM user guide, "AWS global condition context keys" (aws:MultiFactorAuthPresent is absent from requests with an access key
alone, so that Bool does not match then) and "Available keys for AWS STS" (sts:RoleSessionName).
"""

from __future__ import annotations

from typing import Any

import pytest

from infra.deployment import configuration, contradictions, templates
from infra.deployment.intrinsics import Resolver
from lab.emulator.iam.policy import Request, decide
from lab.emulator.patches.events import matches
from tests.templates.test_tamper_rules import pattern

FORENSIC, ORGANIZATION, REGION = "222233334444", "o-examplelab1", "eu-central-1"
ALICE, BOB = f"arn:aws:iam::{FORENSIC}:user/alice", f"arn:aws:iam::{FORENSIC}:user/bob"
KEY = f"arn:aws:kms:{REGION}:{FORENSIC}:key/approvals"
NAMES = {
    "RolePrefix": "forensics-", "OrganizationId": ORGANIZATION, "BreakGlassUserArns": [ALICE], "BreakGlassApproverArns": [BOB],
    "KeyAdministratorArn": f"arn:aws:iam::{FORENSIC}:role/KeyAdministrator", "AWS::Partition": "aws", "AWS::AccountId": FORENSIC,
    "AWS::Region": REGION, "AWS::URLSuffix": "amazonaws.com", "CaseTableArn": "arn:table", "TopicArn": "arn:topic",
    "AlarmTopicArn": "arn:alarms", "DataKeyArn": "arn:data-key", "MessageKeyArn": "arn:message-key",
}  # fmt: skip


def resolved(logical: str) -> dict[str, Any]:
    resolver = Resolver(
        names=NAMES,
        conditions={},
        ref=lambda name: name,
        attribute=lambda n, a: KEY if n == "ApprovalKey" else f"{n}.{a}",
    )
    found: dict[str, Any] = resolver.value(templates.committed()["break-glass"]["Resources"][logical]["Properties"])
    return found


def may(logical: str, action: str, resource: str, **keys: str) -> bool:
    policies = {p["PolicyName"]: p["PolicyDocument"] for p in resolved(logical)["Policies"]}
    return decide(policies, Request(action, resource, {k.replace("__", ":"): v for k, v in keys.items()})).allowed


def enters(logical: str, **keys: str) -> bool:
    """Whether the trust policy's conditions let a user with these keys in."""
    (statement,) = resolved(logical)["AssumeRolePolicyDocument"]["Statement"]
    plain = {name: value for name, value in statement.items() if name != "Principal"}
    document = {"trust": {"Version": "2012-10-17", "Statement": [{**plain, "Resource": "*"}]}}
    found = {"aws:PrincipalOrgID": ORGANIZATION, **{k.replace("__", ":"): v for k, v in keys.items()}}
    return decide(document, Request("sts:AssumeRole", "arn:role", found)).allowed


@pytest.mark.parametrize("logical", ["BreakGlass", "Approve"])
def test_only_named_users_with_fresh_mfa_and_under_their_own_name(logical: str) -> None:
    (statement,) = resolved(logical)["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"AWS": [ALICE if logical == "BreakGlass" else BOB]}
    good = {
        "aws__MultiFactorAuthPresent": "true",
        "aws__MultiFactorAuthAge": "60",
        "aws__username": "alice",
        "sts__RoleSessionName": "alice",
    }
    assert enters(logical, **good)
    assert not enters(logical, **{k: v for k, v in good.items() if "MultiFactor" not in k}), "an access key alone"
    for key, wrong in (("aws__MultiFactorAuthPresent", "false"), ("aws__MultiFactorAuthAge", "7200"), ("sts__RoleSessionName", "bob"), ("aws__PrincipalOrgID", "o-other")):  # fmt: skip
        assert not enters(logical, **{**good, key: wrong}), key


def test_who_breaks_the_glass_becomes_three_roles_of_the_organization_and_signs_no_approval() -> None:
    org = {"aws__ResourceOrgID": ORGANIZATION}
    for role, yes in (
        ("contain", True),
        ("release", True),
        ("custodian", False),
        ("acquire", False),
        ("analyse", False),
    ):
        assert may("BreakGlass", "sts:AssumeRole", f"arn:aws:iam::333344445555:role/forensics-{role}", **org) is yes, (
            role
        )
    assert may("BreakGlass", "sts:AssumeRole", f"arn:aws:iam::{FORENSIC}:role/forensics-custodian", **org)
    assert not may(
        "BreakGlass", "sts:AssumeRole", "arn:aws:iam::333344445555:role/forensics-contain", aws__ResourceOrgID="o-other"
    )
    assert may("BreakGlass", "kms:Verify", KEY) and not may("BreakGlass", "kms:Sign", KEY)
    for action in (
        "s3:GetObject",
        "s3:PutObject",
        "ec2:ModifyInstanceAttribute",
        "dynamodb:DeleteTable",
        "dynamodb:Scan",
    ):
        assert not may("BreakGlass", action, "arn:table"), action


def test_who_approves_reads_and_signs_and_changes_nothing() -> None:
    assert may("Approve", "kms:Sign", KEY) and may("Approve", "dynamodb:GetItem", "arn:table")
    for action in ("dynamodb:PutItem", "dynamodb:UpdateItem", "sts:AssumeRole", "sns:Publish"):
        assert not may("Approve", action, "arn:table"), action


def test_the_key_itself_lets_approvers_sign_and_nobody_else() -> None:
    policy = {"key": resolved("ApprovalKey")["KeyPolicy"]}

    def signs(role: str) -> bool:
        return decide(
            policy, Request("kms:Sign", KEY, {"aws:PrincipalArn": f"arn:aws:iam::{FORENSIC}:role/{role}"})
        ).allowed

    assert signs("forensics-break-glass-approve")
    assert not any(map(signs, ("forensics-break-glass", "forensics-custodian", "forensics-execution", "Administrator")))


@pytest.mark.parametrize("role", ["forensics-break-glass", "forensics-break-glass-approve", "forensics-custodian"])
@pytest.mark.parametrize("refused", [False, True])
def test_each_use_and_each_try_is_reported(role: str, refused: bool) -> None:
    """CloudTrail user guide, "Example event: AssumeRole"; a refused call has ``errorCode`` beside."""
    detail = {
        "eventName": "AssumeRole",
        "requestParameters": {"roleArn": f"arn:aws:iam::{FORENSIC}:role/{role}", "roleSessionName": "alice"},
    }
    event = {"source": "aws.sts", "detail-type": "AWS API Call via CloudTrail", "detail": {**detail, **({"errorCode": "AccessDenied"} if refused else {})}}  # fmt: skip
    assert matches(event, pattern("break-glass", "Used")) is ("break-glass" in role)


@pytest.mark.parametrize(
    ("users", "approvers", "said"),
    [([ALICE], [BOB], None), ([ALICE, BOB], [BOB], "is one of BreakGlassUserArns too"), ([ALICE], [], "go together"),
     ([f"arn:aws:iam::{FORENSIC}:role/Admin"], [BOB], "is not the ARN of an IAM user")],
)  # fmt: skip
def test_one_person_with_both_roles_is_named_before_anything_is_deployed(
    users: list[str], approvers: list[str], said: str | None
) -> None:
    config = configuration.read(templates.ROOT / "infra" / "deployment.example.yaml")
    config.parameters.update({"BreakGlassUserArns": users, "BreakGlassApproverArns": approvers})
    lines = [
        line for line in contradictions.found(config, partition="aws") if "BreakGlass" in line or "IAM user" in line
    ]
    assert (lines == []) if said is None else any(said in line for line in lines)
