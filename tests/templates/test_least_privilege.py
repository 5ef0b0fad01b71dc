"""The templates' policies, resolved and evaluated: what each role may do, and above all what it may not."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest

from infra.deployment import templates
from infra.deployment.intrinsics import Resolver
from lab.emulator.iam.policy import Request, decide, listed

FORENSIC, MEMBER, REGION = "222233334444", "333344445555", "eu-central-1"
CASE, OTHER = "fc-20260101-0000000001", "fc-20260101-0000000002"
ORGANIZATION = "o-examplelab1"
BUCKET = "arn:aws:s3:::forensics-evidence"
KEY = f"arn:aws:kms:{REGION}:{FORENSIC}:key/evidence"
NAMES = {
    "RolePrefix": "forensics-", "ForensicAccountId": FORENSIC, "OrganizationId": ORGANIZATION, "EvidenceBucketArn": BUCKET,
    "EvidenceKeyArn": KEY, "LandingBucketArn": "arn:aws:s3:::forensics-landing", "AnalysisSubnetId": "subnet-1",
    "AnalysisSecurityGroupId": "sg-analysis", "AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com", "AWS::Region": REGION,
    "SummaryModel": "amazon.nova-pro-v1:0", "SummaryGuardrailId": "abcd1234",
}  # fmt: skip
ROLES = {
    "triage": ("member-roles", "Triage", MEMBER), "acquire": ("member-roles", "Acquire", MEMBER), "logs": ("member-roles", "Logs", MEMBER),
    "contain": ("member-containment", "Contain", MEMBER), "release": ("member-containment", "Release", MEMBER),
    "custodian": ("roles-forensic", "Custodian", FORENSIC), "holds": ("hold-role", "Holds", FORENSIC), "analyse": ("roles-forensic", "Analyse", FORENSIC),
    "reader": ("roles-forensic", "Reader", FORENSIC), "summary": ("summary-role", "Summary", FORENSIC), "execution": ("execution-role", "Execution", FORENSIC),
}  # fmt: skip


@lru_cache(maxsize=16)
def policies(role: str) -> dict[str, Any]:
    """The role's policies with every function resolved."""
    template, logical, account = ROLES[role]
    body = templates.committed()[template]
    unknown = {name: f"arn:none:{name}" for name in body["Parameters"] if name not in NAMES}
    resolver = Resolver(
        names={**NAMES, **unknown, "AWS::AccountId": account}, conditions={}, ref=lambda name: name,
        attribute=lambda name, attribute: f"{name}.{attribute}",
    )  # fmt: skip
    found = resolver.value(body["Resources"][logical]["Properties"]["Policies"])
    return {p["PolicyName"]: p["PolicyDocument"] for p in found}


def may(role: str, action: str, resource: str, **context: str) -> bool:
    """Whether a session of the role for CASE is allowed; keys of the context have ``__`` for ``:``."""
    keys = {"aws:SourceIdentity": CASE, "aws:PrincipalOrgID": ORGANIZATION}
    keys |= {name.replace("__", ":"): value for name, value in context.items()}
    return decide(policies(role), Request(action, resource, keys)).allowed


def tagged(case: str) -> dict[str, str]:
    return {"aws__ResourceTag/forensics__case": case}


def arn(kind: str, name: str, account: str = MEMBER) -> str:
    return f"arn:aws:ec2:{REGION}:{account}:{kind}/{name}"


SNAPSHOT = f"arn:aws:ec2:{REGION}::snapshot/snap-1"


def test_contain_role_cannot_read_evidence_nor_open_anything() -> None:
    for action in ("s3:GetObject", "kms:Decrypt", "dynamodb:GetItem", "ssm:SendCommand", "ebs:GetSnapshotBlock"):
        assert not may("contain", action, f"{BUCKET}/cases/{CASE}/x", kms__ViaService=f"s3.{REGION}.amazonaws.com")
    assert may("contain", "ec2:ModifyNetworkInterfaceAttribute", arn("security-group", "sg-1"), **tagged(CASE))
    for other in (tagged(OTHER), {}):
        assert not may("contain", "ec2:ModifyNetworkInterfaceAttribute", arn("security-group", "sg-1"), **other)
        assert not may("contain", "ec2:AuthorizeSecurityGroupIngress", arn("security-group", "sg-1"), **other)


def test_contain_role_gives_the_deny_all_profile_only_and_never_touches_the_product_s_roles() -> None:
    role = f"arn:aws:iam::{MEMBER}:role/"
    ec2 = {"iam__PassedToService": "ec2.amazonaws.com"}
    assert may("contain", "iam:PassRole", f"{role}forensics-isolated", **ec2)
    assert not may("contain", "iam:PassRole", f"{role}admin", **ec2)
    assert may("contain", "iam:PutRolePolicy", f"{role}web-server")
    assert not may("contain", "iam:PutRolePolicy", f"{role}forensics-contain")
    assert not may("release", "iam:DeleteRolePolicy", f"{role}forensics-isolated")


@pytest.mark.parametrize(
    "action", ["ec2:TerminateInstances", "ec2:AttachVolume", "ec2:DeleteVolume", "ssm:SendCommand"]
)
def test_analyse_role_cannot_touch_members_nor_other_cases(action: str) -> None:
    kind = "volume" if "Volume" in action else "instance"
    case = {"ssm__resourceTag/forensics__case": CASE} if action.startswith("ssm") else tagged(CASE)
    assert may("analyse", action, arn(kind, "x-1", FORENSIC), **case)
    assert not may("analyse", action, arn(kind, "x-1", MEMBER), **case)
    assert not may("analyse", action, arn(kind, "x-1", FORENSIC), **tagged(OTHER))
    assert not may("analyse", "sts:AssumeRole", f"arn:aws:iam::{MEMBER}:role/forensics-contain")
    assert not may("analyse", "s3:GetObject", f"{BUCKET}/cases/{CASE}/x")


def test_execution_role_has_no_ec2_no_evidence_and_assumes_phase_roles_of_the_organization_only() -> None:
    for action in ("ec2:DescribeInstances", "ec2:RunInstances", "ssm:SendCommand", "iam:PassRole"):
        assert not may("execution", action, "*")
    assert not may("execution", "s3:GetObject", f"{BUCKET}/cases/{CASE}/x")
    phase = f"arn:aws:iam::{MEMBER}:role/forensics-triage"
    assert may("execution", "sts:AssumeRole", phase, aws__ResourceOrgID=ORGANIZATION)
    assert not may("execution", "sts:AssumeRole", phase, aws__ResourceOrgID="o-somebodyelse")
    assert not may("execution", "sts:AssumeRole", f"arn:aws:iam::{MEMBER}:role/admin", aws__ResourceOrgID=ORGANIZATION)


def test_custodian_writes_its_own_case_and_deletes_nothing() -> None:
    assert may("custodian", "s3:PutObject", f"{BUCKET}/cases/{CASE}/evidence/x")
    assert not may("custodian", "s3:PutObject", f"{BUCKET}/cases/{OTHER}/evidence/x")
    assert may("custodian", "s3:GetObject", f"{BUCKET}/cases/{OTHER}/evidence/x")
    for action in (
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        "s3:BypassGovernanceRetention",
        "ec2:DescribeInstances",
    ):
        assert not may("custodian", action, f"{BUCKET}/cases/{CASE}/x")


def test_the_pages_role_reads_reports_and_what_tools_made_and_no_evidence() -> None:
    """It signs the links that people download by, so a link can lead to nothing else."""
    for folder in ("report/20261124T041500.000000Z/report.html", "artifacts/memory/memory-image/raw.tar.gz"):
        assert may("reader", "s3:GetObject", f"{BUCKET}/cases/{CASE}/{folder}")
        assert not may("reader", "s3:PutObject", f"{BUCKET}/cases/{CASE}/{folder}")
    for folder in ("evidence/memory/x", "custody/head.json", "bundle/x.tar"):
        assert not may("reader", "s3:GetObject", f"{BUCKET}/cases/{CASE}/{folder}")
    assert not may("reader", "kms:Sign", KEY)


def test_the_summary_s_role_asks_its_one_model_at_home_and_sees_no_evidence() -> None:
    def model(region: str, name: str) -> str:
        return f"arn:aws:bedrock:{region}::foundation-model/{name}"

    def guardrail(name: str) -> str:
        return f"arn:aws:bedrock:{REGION}:{FORENSIC}:guardrail/{name}"

    assert may("summary", "bedrock:InvokeModel", model(REGION, "amazon.nova-pro-v1:0"))
    assert may("summary", "bedrock:ApplyGuardrail", guardrail("abcd1234"))
    assert not may("summary", "bedrock:ApplyGuardrail", guardrail("another1"))
    for other in (model(REGION, "amazon.nova-lite-v1:0"), model("us-east-1", "amazon.nova-pro-v1:0")):
        assert not may("summary", "bedrock:InvokeModel", other)
    profile = f"arn:aws:bedrock:{REGION}:{FORENSIC}:inference-profile/eu.amazon.nova-pro-v1:0"
    assert not may("summary", "bedrock:InvokeModel", profile)
    for action in ("s3:GetObject", "s3:PutObject", "s3:ListBucket"):
        assert not may("summary", action, f"{BUCKET}/cases/{CASE}/report/report.json")
    for action in (
        "kms:Decrypt",
        "dynamodb:GetItem",
        "sts:AssumeRole",
        "bedrock:InvokeAgent",
        "bedrock:CreateGuardrail",
    ):
        assert not may("summary", action, "*")


def test_the_logs_role_reads_what_aws_wrote_of_its_own_account_and_nothing_else() -> None:
    org = {"aws__ResourceOrgID": ORGANIZATION}
    for folder in (f"AWSLogs/{MEMBER}", f"logs/AWSLogs/{ORGANIZATION}/{MEMBER}"):
        assert may("logs", "s3:GetObject", f"arn:aws:s3:::trail-bucket/{folder}/CloudTrail/x.json.gz", **org)
        assert not may(
            "logs",
            "s3:GetObject",
            f"arn:aws:s3:::trail-bucket/{folder}/CloudTrail/x.json.gz",
            aws__ResourceOrgID="o-other",
        )
    for key in (f"AWSLogs/{FORENSIC}/CloudTrail/x.json.gz", f"cases/{CASE}/evidence/x", "customers.csv"):
        assert not may("logs", "s3:GetObject", f"arn:aws:s3:::trail-bucket/{key}", **org)
    assert may("logs", "s3:ListBucket", "arn:aws:s3:::trail-bucket", s3__prefix=f"AWSLogs/{MEMBER}/", **org)
    assert not may("logs", "s3:ListBucket", "arn:aws:s3:::trail-bucket", s3__prefix="", **org)
    for action in ("s3:PutObject", "s3:DeleteObject", "cloudtrail:StopLogging", "ec2:RunInstances", "ssm:SendCommand"):
        assert not may("logs", action, f"arn:aws:s3:::trail-bucket/AWSLogs/{MEMBER}/x", **org)
    for owner in (MEMBER, FORENSIC):  # another account's store lets in or not by its own policy
        store = f"arn:aws:cloudtrail:{REGION}:{owner}:eventdatastore/01234567-89ab-cdef-0123-456789abcdef"
        assert may("logs", "cloudtrail:StartQuery", store, **org) and may(
            "logs", "cloudtrail:CancelQuery", store, **org
        )
        assert not may("logs", "cloudtrail:StartQuery", store, aws__ResourceOrgID="o-other")
        for action in ("cloudtrail:DeleteEventDataStore", "cloudtrail:StopEventDataStoreIngestion"):
            assert not may("logs", action, store, **org)
    group = f"arn:aws:logs:{REGION}:{MEMBER}:log-group:vpc-flows"
    assert may("logs", "logs:FilterLogEvents", group, **{"aws__ResourceTag/forensics:records": "read"})
    for tags in ({}, {"aws__ResourceTag/forensics:records": "no"}):
        assert not may("logs", "logs:FilterLogEvents", group, **tags)
    for action in ("logs:GetLogEvents", "logs:DeleteLogGroup", "logs:PutLogEvents"):
        assert not may("logs", action, group, **{"aws__ResourceTag/forensics:records": "read"})
    role = f"arn:aws:iam::{MEMBER}:role/web-server"
    assert may("logs", "iam:GetRole", role) and may(
        "logs", "iam:GetPolicy", "arn:aws:iam::aws:policy/AdministratorAccess"
    )
    assert may("logs", "ssm:GetDocument", f"arn:aws:ssm:{REGION}:{MEMBER}:document/SSM-SessionManagerRunShell")
    assert not may("logs", "ssm:GetDocument", f"arn:aws:ssm:{REGION}:{MEMBER}:document/runbook-with-secrets")
    for action in ("iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy", "iam:CreateAccessKey", "iam:PassRole"):
        assert not may("logs", action, role)
    for action in (
        "ssm:StartSession",
        "ssm:TerminateSession",
        "config:StopConfigurationRecorder",
        "route53resolver:DeleteResolverQueryLogConfig",
    ):
        assert not may("logs", action, "*")
    key = f"arn:aws:kms:{REGION}:{MEMBER}:key/trail"
    assert may("logs", "kms:Decrypt", key, kms__ViaService=f"s3.{REGION}.amazonaws.com", **org)
    assert not may("logs", "kms:Decrypt", key, kms__ViaService=f"secretsmanager.{REGION}.amazonaws.com", **org)


def test_the_role_for_holds_lifts_holds_of_its_case_and_does_nothing_else() -> None:
    off, on = {"s3__object-lock-legal-hold": "OFF"}, {"s3__object-lock-legal-hold": "ON"}
    assert may("holds", "s3:PutObjectLegalHold", f"{BUCKET}/cases/{CASE}/x", **off)
    assert not may("holds", "s3:PutObjectLegalHold", f"{BUCKET}/cases/{OTHER}/x", **off)
    assert not may("holds", "s3:PutObjectLegalHold", f"{BUCKET}/cases/{CASE}/x", **on)
    for action in (
        "s3:GetObject",
        "s3:PutObject",
        "s3:PutObjectRetention",
        "s3:DeleteObjectVersion",
        "s3:BypassGovernanceRetention",
    ):
        assert not may("holds", action, f"{BUCKET}/cases/{CASE}/x")


@pytest.mark.parametrize("removal", ["", f"arn:aws:iam::{FORENSIC}:role/Removal"], ids=["in use", "being removed"])
@pytest.mark.parametrize(
    ("template", "policy"),
    [
        ("evidence-store", "EvidenceBucketPolicy"),
        ("evidence-store", "AccessLogBucketPolicy"),
        ("ledger-archive", "ArchiveBucketPolicy"),
    ],
)
def test_versions_are_deleted_by_the_role_of_a_removal_alone(template: str, policy: str, removal: str) -> None:
    for role in ("Removal", "Admin", "forensics-custodian", "forensics-holds", "forensics-execution"):
        arn_of_role = f"arn:aws:iam::{FORENSIC}:role/{role}"
        may_delete = not denied(template, policy, arn_of_role, "s3:DeleteObjectVersion", removal=removal)
        assert may_delete is (arn_of_role == removal), role
        for action in ("s3:DeleteObject", "s3:BypassGovernanceRetention"):
            if (policy, action) != ("AccessLogBucketPolicy", "s3:BypassGovernanceRetention"):
                assert denied(template, policy, arn_of_role, action, removal=removal), f"{role} {action}"


@pytest.mark.parametrize(
    ("role", "status", "expected"),
    [
        ("forensics-custodian", "ON", True),
        ("forensics-custodian", "OFF", False),
        ("forensics-holds", "OFF", True),
        ("Admin", "ON", False),
        ("Admin", "OFF", False),
    ],
)
def test_a_hold_is_put_on_by_the_custodian_and_lifted_by_one_role(role: str, status: str, expected: bool) -> None:
    """Service authorization reference, Amazon S3: PutObjectLegalHold knows the condition key s3:object-lock-legal-hold."""
    arn_of_role = f"arn:aws:iam::{FORENSIC}:role/{role}"
    refused = denied(
        "evidence-store",
        "EvidenceBucketPolicy",
        arn_of_role,
        "s3:PutObjectLegalHold",
        **{"s3:object-lock-legal-hold": status},
    )
    assert refused is not expected


def denied(template: str, policy: str, role: str, action: str, *, removal: str = "", **context: str) -> bool:
    """Whether a bucket's policy denies it to a role of the forensic account."""
    body = templates.committed()[template]
    unknown = {name: f"arn:none:{name}" for name in body["Parameters"] if name not in NAMES}
    resolver = Resolver(
        names={**NAMES, **unknown, "RemovalRoleArn": removal, "AWS::AccountId": FORENSIC}, conditions={"Removal": bool(removal)},
        ref=lambda name: name, attribute=lambda name, attribute: f"arn:aws:s3:::{name}",
    )  # fmt: skip
    document = resolver.value(body["Resources"][policy]["Properties"]["PolicyDocument"])
    bucket = policy.removesuffix("Policy")
    keys = {
        "aws:PrincipalArn": role, "aws:PrincipalOrgID": ORGANIZATION, "aws:PrincipalIsAWSService": "false",
        "aws:SecureTransport": "true", "s3:TlsVersion": "1.3", "aws:PrincipalAccount": FORENSIC, **context,
    }  # fmt: skip
    answer = decide(
        {policy: document}, Request(action, f"arn:aws:s3:::{bucket}/cases/{CASE}/x", keys), principals=[role]
    )
    return answer.by.startswith("explicit deny")


def test_acquire_role_shares_with_the_forensic_account_only_and_snapshots_under_its_case_only() -> None:
    assert may("acquire", "ec2:ModifySnapshotAttribute", SNAPSHOT, **tagged(CASE), **{"ec2__Add/userId": FORENSIC})
    assert not may(
        "acquire", "ec2:ModifySnapshotAttribute", SNAPSHOT, **tagged(CASE), **{"ec2__Add/userId": "999988887777"}
    )
    assert not may("acquire", "ec2:ModifySnapshotAttribute", SNAPSHOT, **tagged(OTHER), **{"ec2__Add/userId": FORENSIC})
    assert may("acquire", "ec2:CreateSnapshots", SNAPSHOT, **{"aws__RequestTag/forensics__case": CASE})
    assert not may("acquire", "ec2:CreateSnapshots", SNAPSHOT, **{"aws__RequestTag/forensics__case": OTHER})
    assert not may("acquire", "ec2:DeleteSnapshot", SNAPSHOT, **tagged(CASE))
    assert not may("acquire", "ssm:SendCommand", f"arn:aws:ssm:{REGION}::document/AWS-RunShellScript")


@pytest.mark.parametrize("role", ["triage"])
def test_triage_changes_nothing(role: str) -> None:
    for document in policies(role).values():
        for statement in listed(document["Statement"]):
            for action in listed(statement["Action"]):
                assert action.split(":")[1].startswith(("Describe", "Get", "List")), action
