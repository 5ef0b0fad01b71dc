"""The faults of a deployment that ``make preflight-check`` plays: which line must name each, and what it must advise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab.accounts import FORENSIC_ACCOUNT, MEMBER_ACCOUNT, SECURITY_ACCOUNT
from lab.scenarios.preflight_injections import (
    Inject,
    bucket_denies,
    bus_without_policy,
    changed_document,
    changed_object,
    closed_endpoints,
    disabled_key,
    disabled_rule,
    doomed_key,
    intake_stands_still,
    key_policy,
    message_key_without_eventbridge,
    missing_alias,
    missing_document,
    missing_object,
    missing_parameter,
    missing_role,
    network,
    no_source_identity,
    no_subscription,
    organization_denies,
    other_account,
    other_external_id,
    other_orchestrator,
    other_source_identity,
    plain_bucket,
    queue_without_policy,
    setting,
    trust,
    without,
)
from lab.scenarios.preflight_lab import Deployment


@dataclass(frozen=True)
class Fault:
    """``check`` and ``subject`` are the line that owns it, ``advice`` a word of its next action."""

    name: str
    inject: Inject
    check: str
    subject: str = ""
    advice: str = ""
    full: bool = False


EXECUTION, MEMBER, SECURITY = "forensics-execution", "member", "security"

QUICK: tuple[Fault, ...] = (
    Fault("wrong external id, role acquire", trust("forensics-acquire", MEMBER, other_external_id), "roles", f"acquire of {MEMBER_ACCOUNT}", "external id"),
    Fault("wrong external id, role findings", trust("forensics-findings", SECURITY, other_external_id), "roles", f"findings of {SECURITY_ACCOUNT}", "forensics-security"),
    Fault("trust names another role", trust("forensics-contain", MEMBER, other_orchestrator), "roles", f"contain of {MEMBER_ACCOUNT}", "forensics-member-containment"),
    Fault("trust names another account", trust("forensics-release", MEMBER, other_account), "roles", f"release of {MEMBER_ACCOUNT}", "trust"),
    Fault("trust without SetSourceIdentity", trust("forensics-triage", MEMBER, no_source_identity), "roles", f"triage of {MEMBER_ACCOUNT}", "forensics-member-roles"),
    Fault("trust asks for another source identity", trust("forensics-custodian", "forensic", other_source_identity), "roles", f"custodian of {FORENSIC_ACCOUNT}", "forensics-roles"),
    Fault("role contain is missing", missing_role("forensics-contain", MEMBER), "roles", f"contain of {MEMBER_ACCOUNT}", "has to exist"),
    Fault("role reader is missing", missing_role("forensics-reader", "forensic"), "roles", f"reader of {FORENSIC_ACCOUNT}", "forensics-roles"),
    Fault("role triage of the security account is missing", missing_role("forensics-triage", SECURITY), "roles", f"triage of {SECURITY_ACCOUNT}", "forensics-security"),
    Fault("a document differs in a member account", changed_document("forensics-acquire_memory_linux", MEMBER), "documents", MEMBER_ACCOUNT, "forensics-member-documents"),
    Fault("a document is missing in a member account", missing_document("forensics-live_response_linux", MEMBER), "documents", MEMBER_ACCOUNT, "forensics-member-documents"),
    Fault("a document differs in the forensic account", changed_document("forensics-investigate_memory_linux", "forensic"), "documents", FORENSIC_ACCOUNT, "forensics-documents"),
    Fault("the member's key is disabled", disabled_key("alias/forensics-member", MEMBER), "keys", MEMBER_ACCOUNT, "enable the key"),
    Fault("the member's key will be deleted", doomed_key("alias/forensics-member", MEMBER), "keys", MEMBER_ACCOUNT, "cancel its deletion"),
    Fault("the member's alias is missing", missing_alias("alias/forensics-member", MEMBER), "keys", MEMBER_ACCOUNT, "forensics-member-region"),
    Fault("the evidence key is disabled", disabled_key("evidence_key_arn"), "evidence", "", "enabled"),
    Fault("the evidence key's policy lost S3", key_policy("evidence_key_arn", "UseThroughS3"), "evidence", "", "forensics-keys"),
    Fault("the evidence bucket denies writing", bucket_denies("evidence_bucket", "s3:PutObject"), "evidence", "", "forensics-evidence-store"),
    Fault("the evidence bucket has no Object Lock", setting("evidence_bucket", plain_bucket), "evidence", "", "forensics-evidence-store"),
    Fault("the evidence bucket does not exist", setting("evidence_bucket", lambda _: "forensics-nowhere"), "evidence", "", "forensics-evidence-store"),
    Fault("the signing key is disabled", disabled_key("signing_key_id"), "ledger", "", "enabled"),
    Fault("the signing key's policy lost the custodian", key_policy("signing_key_id", "CustodianSigns"), "ledger", "", "forensics-keys"),
    Fault("the landing bucket denies uploads", bucket_denies("landing_bucket", "s3:PutObject"), "landing", "", "forensics-work-buckets"),
    Fault("the landing bucket does not exist", setting("landing_bucket", lambda _: "forensics-nowhere"), "landing", "", "forensics-work-buckets"),
    Fault("the landing key is disabled", disabled_key("landing_key_arn"), "landing", "", "KMS key"),
    Fault("manifests may not be deleted", without(EXECUTION, "forensic", "s3:DeleteObject"), "landing", "", "drift"),
    Fault("the endpoint's policy forbids deleting", network("no-action", "s3", "s3:DeleteObject"), "landing", "", "endpoint's policy"),
    Fault("the case table does not exist", setting("case_table", lambda _: "forensics-nowhere"), "case store", "", "forensics-case-store"),
    Fault("the case store may not be written", without(EXECUTION, "forensic", "dynamodb:PutItem"), "case store", "", "drift"),
    Fault("the capture tool is missing", missing_object("tools/avml"), "tools", "tools/avml", "upload it"),
    Fault("the capture tool is another one", changed_object("tools/avml"), "tools", "tools/avml", "correct the setting"),
    Fault("the AMI's parameter is missing", missing_parameter, "forensic AMI", "", "forensic_ami_build"),
    Fault("the topic has no subscription", no_subscription, "notices", "", "confirm"),
    Fault("the topic does not exist", setting("topic_arn", lambda lab: lab.facts["topic_arn"] + "-old"), "notices", "", "forensics-notifications"),
    Fault("the rule of the forensic bus is disabled", disabled_rule("forensic", "forensics"), "intake", "", "forensics-intake"),
    Fault("the rule of the security account is disabled", disabled_rule(SECURITY, "default"), "intake", "", "forensics-security"),
    Fault("the queue has no policy", queue_without_policy, "intake", "", "policy and key of the queue"),
    Fault("the bus has no policy", bus_without_policy, "intake", "", "policy of the bus"),
    Fault("the queue's key does not know EventBridge", message_key_without_eventbridge, "intake", "", "policy and key of the queue"),
    Fault("finding_intake is paused", intake_stands_still, "intake", "", "unpause"),
    Fault("the queue does not exist", setting("queue_url", lambda lab: lab.facts["queue_url"] + "-old"), "intake", "", "forensics-intake"),
    Fault("nothing answers for IAM", network("no-path", "iam"), "reach", "iam in us-east-1", "Profile: standard"),
    Fault("nothing answers for STS", network("no-path", "sts"), "reach", "sts in", "way there"),
    Fault("no way to KMS", network("no-path", "kms"), "reach", "kms in", "endpoints.yaml"),
    Fault("no way to DynamoDB", network("no-path", "dynamodb"), "reach", "dynamodb in", "endpoints.yaml"),
    Fault("the endpoints' group lets nobody in", closed_endpoints, "reach", "sts in", "security group"),
    Fault("an endpoint's policy lost parts of uploads", network("no-action", "s3", "s3:ListMultipartUploadParts"), "landing", "", "endpoint's policy"),
    Fault("the organization forbids describing instances", organization_denies("ec2:Describe*"), "reach", "ec2 in", "service control policy"),
    Fault("nothing answers for Auto Scaling", network("no-path", "autoscaling"), "reach", "autoscaling in", "endpoints.yaml"),
    Fault("an endpoint's policy forbids the queue", network("deny-action", "sqs", "sqs:GetQueueAttributes"), "reach", "sqs in", "endpoint's policy"),
    Fault("the organization forbids SSM", organization_denies("ssm:DescribeInstanceInformation"), "reach", "ssm in", "service control policy"),
    Fault("triage may not describe volumes", without("forensics-triage", MEMBER, "ec2:DescribeVolumes"), "reach", "ec2 in", "drift"),
    Fault("the security account's triage may not see findings", without("forensics-triage", SECURITY, "securityhub:GetFindings"), "reach", "securityhub in", "drift"),
)  # fmt: skip

FULL: tuple[Fault, ...] = (
    Fault("the organization forbids security groups", organization_denies("ec2:CreateSecurityGroup"), "group path", MEMBER_ACCOUNT, "service control policy", full=True),
    Fault("contain may not change interfaces", without("forensics-contain", MEMBER, "ec2:ModifyNetworkInterfaceAttribute"), "containment", "", "forensics-member-containment", full=True),
    Fault("acquire may not share snapshots", without("forensics-acquire", MEMBER, "ec2:ModifySnapshotAttribute"), "disk path", "", "drift", full=True),
    Fault("analyse may not copy snapshots", without("forensics-analyse", "forensic", "ec2:CopySnapshot"), "disk path", "", "drift", full=True),
    Fault("the evidence key's policy lost EC2", key_policy("evidence_key_arn", "UseThroughEc2"), "disk path", "", "key", full=True),
)  # fmt: skip


@contextmanager
def injected(lab: Deployment, fault: Fault) -> Iterator[None]:
    """The fault for the length of a with block."""
    undo = fault.inject(lab)
    try:
        yield
    finally:
        undo()
