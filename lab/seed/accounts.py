"""Resources of the forensic and the security account, as the templates in ``infra/`` would make them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.loaders import Loader

from lab.accounts import FORENSIC_ACCOUNT, MEMBER_ACCOUNT, REGION, ROOT_SECRET, SECURITY_ACCOUNT, root_access_key
from lab.paths import ROOT

BUS = "forensics"
TABLE = "forensics-cases"
AMI_PARAMETER = "/forensics/ami/current"
PROFILE = "forensics-instance"
CAPTURE_TOOL = ROOT / "lab" / "hosts" / "agent" / "avml.sh"
DOCUMENTS = ROOT / "ssm_documents"

# Every kind of event that may become a finding; which one does is decided by forensics.intake.readers, with a reason.
FINDING_PATTERNS = {
    "security-hub-imported": {
        "source": ["aws.securityhub"],
        "detail-type": ["Security Hub Findings - Imported"],
    },
    "security-hub-action": {
        "source": ["aws.securityhub"],
        "detail-type": ["Security Hub Findings - Custom Action"],
    },
    "urgent-security-hub-imported": {
        "source": ["aws.securityhub"],
        "detail-type": ["Security Hub Findings - Imported"],
        "detail": {"findings": {"Severity": {"Label": ["CRITICAL"]}}},
    },
    "urgent-security-hub-v2": {
        "source": ["aws.securityhub"],
        "detail-type": ["Findings Imported V2"],
        "detail": {"findings": {"severity_id": [5, 6]}},
    },
    "urgent-guardduty": {
        "source": ["aws.guardduty"],
        "detail-type": ["GuardDuty Finding"],
        "detail": {"severity": [{"numeric": [">=", 9]}]},
    },
    "security-hub-v2": {"source": ["aws.securityhub"], "detail-type": ["Findings Imported V2"]},
    "guardduty": {"source": ["aws.guardduty"], "detail-type": ["GuardDuty Finding"]},
    "config": {"source": ["aws.config"], "detail-type": ["Config Rules Compliance Change"]},
    "manual": {"source": ["forensics.manual"]},
    "preflight": {"source": ["forensics.preflight"]},
}
# What people order comes by the urgent queue too.
ORDERS = frozenset({"security-hub-action", "manual"})
# Names of the product's custom actions (forensics.models.finding.CustomAction) and their descriptions.
ACTION_TARGETS = {
    "ForensicTriage": "Acquire memory and disks, do not isolate",
    "ForensicIsolate": "Acquire memory and disks, isolate",
    "ForensicFull": "Acquire, isolate and investigate",
    "ForensicRelease": "Undo the containment of the target",
}


@dataclass(frozen=True)
class Account:
    """Makes clients that act as the root of one account of the lab."""

    account_id: str
    endpoint: str
    region: str = REGION

    def client(self, service: str) -> Any:
        """Return a boto3 client; it does not retry, since a lab that refuses a seed is broken."""
        return _client(self, service)


# Keeps the service models that it has read: every lab that a process seeds after the first is quicker.
_MODELS = Loader()


@lru_cache(maxsize=64)
def _client(account: Account, service: str) -> Any:
    core: Any = botocore.session.Session()
    core.register_component("data_loader", _MODELS)
    session: Any = boto3.session.Session(
        botocore_session=core,
        aws_access_key_id=root_access_key(account.account_id),
        aws_secret_access_key=ROOT_SECRET,
        region_name=account.region,
    )
    config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}, read_timeout=60)
    return session.client(service, endpoint_url=account.endpoint, config=config)


def trust(external_id: str) -> str:
    """Trust policy of a phase role: the forensic account only, with the external id."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{FORENSIC_ACCOUNT}:root"},
        "Action": ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"],
        "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def service_trust(service: str) -> str:
    """Trust policy for an AWS service."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def phase_roles(account: Account, *, phases: tuple[str, ...], external_id: str) -> None:
    """Make the roles ``forensics-<phase>``; what they may do is tested on the templates, not in the lab."""
    iam = account.client("iam")
    for phase in phases:
        iam.create_role(RoleName=f"forensics-{phase}", AssumeRolePolicyDocument=trust(external_id))


def documents(account: Account) -> list[str]:
    """Create the SSM documents in an account, as the StackSet would. Return their names."""
    ssm = account.client("ssm")
    names = []
    for file in sorted(DOCUMENTS.glob("*.yaml")):
        if file.stem == "registry":
            continue
        names.append(f"forensics-{file.stem}")
        ssm.create_document(
            Name=names[-1], Content=file.read_text("utf-8"), DocumentType="Command", DocumentFormat="YAML"
        )
    return names


def forensic_account(account: Account, *, external_id: str) -> dict[str, Any]:
    """Make everything that the forensic account owns. Return its part of ``lab.json``."""
    made: dict[str, Any] = {"external_id": external_id}
    steps: tuple[Callable[[Account], dict[str, Any]], ...] = (
        _keys, _tools_bucket, _table, _topic, _queues, _network, _ami,
    )  # fmt: skip
    for step in steps:
        made |= step(account)
    made |= _evidence_buckets(account, key=made["evidence_key_arn"])
    made |= _bus(
        account, queue=made["queue_arn"], urgent=made["urgent_queue_arn"], dead=made["target_dead_letter_queue_arn"]
    )
    phase_roles(account, phases=("custodian", "holds", "reader", "analyse"), external_id=external_id)
    made |= _instance_profile(account)
    made["documents"] = documents(account)
    return made


def _keys(account: Account) -> dict[str, Any]:
    kms = account.client("kms")
    evidence = kms.create_key(Description="evidence objects and snapshot copies")["KeyMetadata"]
    signing = kms.create_key(Description="custody ledger", KeySpec="ECC_NIST_P384", KeyUsage="SIGN_VERIFY")[
        "KeyMetadata"
    ]
    documents = kms.create_key(Description="people's documents", KeySpec="ECC_NIST_P384", KeyUsage="SIGN_VERIFY")[
        "KeyMetadata"
    ]
    kms.create_alias(AliasName="alias/forensics-documents", TargetKeyId=documents["KeyId"])
    kms.create_alias(AliasName="alias/forensics-evidence", TargetKeyId=evidence["KeyId"])
    kms.create_alias(AliasName="alias/forensics-signing", TargetKeyId=signing["KeyId"])
    return {
        "evidence_key_arn": evidence["Arn"],
        "signing_key_id": signing["KeyId"],
        "document_key_id": documents["KeyId"],
    }


def _bucket(account: Account, purpose: str, *, lock: bool = False) -> str:
    s3 = account.client("s3")
    name = f"forensics-{purpose}-{account.account_id}"
    s3.create_bucket(
        Bucket=name,
        CreateBucketConfiguration={"LocationConstraint": account.region},
        ObjectLockEnabledForBucket=lock,
    )
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def _evidence_buckets(account: Account, *, key: str) -> dict[str, Any]:
    s3 = account.client("s3")
    names = {
        "evidence_bucket": _bucket(account, "evidence", lock=True),
        "landing_bucket": _bucket(account, "landing"),
    }
    s3.put_object_lock_configuration(
        Bucket=names["evidence_bucket"],
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 365}},
        },
    )
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    s3.put_bucket_encryption(Bucket=names["evidence_bucket"], ServerSideEncryptionConfiguration={"Rules": [rule]})
    return names


def _tools_bucket(account: Account) -> dict[str, Any]:
    name = _bucket(account, "tools")
    tool = CAPTURE_TOOL.read_bytes()
    account.client("s3").put_object(Bucket=name, Key="tools/avml", Body=tool)
    return {"tools_bucket": name, "capture_tool_sha256": hashlib.sha256(tool).hexdigest()}


def _table(account: Account) -> dict[str, Any]:
    dynamodb = account.client("dynamodb")
    names = ("PK", "SK", "GSI1PK", "GSI1SK", "GSI2PK", "GSI2SK")

    def keys(partition: str, sort: str) -> list[dict[str, str]]:
        return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]

    dynamodb.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        KeySchema=keys("PK", "SK"),
        GlobalSecondaryIndexes=[
            {
                "IndexName": index,
                "KeySchema": keys(f"{index}PK", f"{index}SK"),
                "Projection": {"ProjectionType": "ALL"},
            }
            for index in ("GSI1", "GSI2")
        ],
        DeletionProtectionEnabled=True,
    )
    dynamodb.update_continuous_backups(
        TableName=TABLE, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    dynamodb.update_time_to_live(TableName=TABLE, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"})
    return {"case_table": TABLE}


def _topic(account: Account) -> dict[str, Any]:
    sns = account.client("sns")
    arn = sns.create_topic(Name="forensics-notices")["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="email", Endpoint="soc@forensics.invalid")
    return {"topic_arn": arn}


def _queue(account: Account, name: str, **attributes: str) -> tuple[str, str]:
    """A queue that EventBridge may send to."""
    sqs = account.client("sqs")
    service = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": "*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [service]})
    url = sqs.create_queue(QueueName=name, Attributes={**attributes, "Policy": policy})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return url, arn


def _queues(account: Account) -> dict[str, Any]:
    """The findings queue, its dead letter queue, and one for what EventBridge could not deliver."""
    fortnight = "1209600"
    dead_url, dead_arn = _queue(account, "forensics-findings-dead", MessageRetentionPeriod=fortnight)
    target_dead_url, target_dead_arn = _queue(account, "forensics-undelivered", MessageRetentionPeriod=fortnight)
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 10})
    (url, arn), (urgent_url, urgent_arn) = (
        _queue(account, name, VisibilityTimeout="120", MessageRetentionPeriod=fortnight, RedrivePolicy=redrive)
        for name in ("forensics-findings", "forensics-urgent")
    )
    return {
        "queue_url": url,
        "queue_arn": arn,
        "urgent_queue_url": urgent_url,
        "urgent_queue_arn": urgent_arn,
        "dead_letter_queue_url": dead_url,
        "target_dead_letter_queue_url": target_dead_url,
        "target_dead_letter_queue_arn": target_dead_arn,
    }


def _bus(account: Account, *, queue: str, urgent: str, dead: str) -> dict[str, Any]:
    events = account.client("events")
    arn = events.create_event_bus(Name=BUS)["EventBusArn"]
    for sender in (SECURITY_ACCOUNT, MEMBER_ACCOUNT):
        events.put_permission(
            EventBusName=BUS, Action="events:PutEvents", Principal=sender, StatementId=f"account-{sender}"
        )
    for name, pattern in FINDING_PATTERNS.items():
        rule, urgently = f"forensics-{name}", name in ORDERS or name.startswith("urgent-")
        events.put_rule(Name=rule, EventBusName=BUS, EventPattern=json.dumps(pattern), State="ENABLED")
        target = {
            "Id": "urgent-queue" if urgently else "findings-queue",
            "Arn": urgent if urgently else queue,
            "DeadLetterConfig": {"Arn": dead},
            "RetryPolicy": {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86400},
        }
        _accepted(events.put_targets(Rule=rule, EventBusName=BUS, Targets=[target]), rule=rule)
    return {"bus_name": BUS, "bus_arn": arn}


def _accepted(answer: dict[str, Any], *, rule: str) -> None:
    """Raise when EventBridge took the call but not the target (it answers 200 either way)."""
    if answer["FailedEntryCount"]:
        msg = f"EventBridge refused the target of rule {rule}: {answer['FailedEntries']}"
        raise RuntimeError(msg)


def _network(account: Account) -> dict[str, Any]:
    """The analysis network: nothing comes in, and out only https (to the VPC endpoints)."""
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.80.0.0/24")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.80.0.0/25", AvailabilityZone=f"{account.region}a")
    group = ec2.create_security_group(GroupName="forensics-analysis", Description="forensic instances", VpcId=vpc)[
        "GroupId"
    ]
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=everything)
    https = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.80.0.0/24"}]}
    ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[https])
    return {
        "analysis_vpc_id": vpc,
        "analysis_subnet_id": subnet["Subnet"]["SubnetId"],
        "analysis_security_group_id": group,
    }


def _ami(account: Account) -> dict[str, Any]:
    image = account.client("ec2").register_image(
        Name="forensics-instance-lab",
        Description="forensic instance: toolkit and its tools",
        Architecture="x86_64",
        VirtualizationType="hvm",
        RootDeviceName="/dev/xvda",
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 16, "VolumeType": "gp3"}}],
    )["ImageId"]
    account.client("ssm").put_parameter(Name=AMI_PARAMETER, Value=image, Type="String")
    return {"forensic_ami_id": image, "ami_parameter": AMI_PARAMETER}


def _instance_profile(account: Account) -> dict[str, Any]:
    iam = account.client("iam")
    iam.create_role(RoleName=PROFILE, AssumeRolePolicyDocument=service_trust("ec2.amazonaws.com"))
    iam.create_instance_profile(InstanceProfileName=PROFILE)
    iam.add_role_to_instance_profile(InstanceProfileName=PROFILE, RoleName=PROFILE)
    return {"analysis_instance_profile": PROFILE}


def security_account(account: Account, *, bus_arn: str, external_id: str) -> dict[str, Any]:
    """Enable Security Hub, create its custom actions, and forward its events to the forensic bus.

    The role ``forensics-triage`` lets the forensic account look findings up where their administrator sees them.
    """
    phase_roles(account, phases=("triage", "findings"), external_id=external_id)
    hub = account.client("securityhub")
    hub.enable_security_hub()
    actions = {
        name: hub.create_action_target(Name=name, Description=text, Id=name)["ActionTargetArn"]
        for name, text in ACTION_TARGETS.items()
    }
    iam = account.client("iam")
    role = iam.create_role(
        RoleName="forensics-forwarder", AssumeRolePolicyDocument=service_trust("events.amazonaws.com")
    )["Role"]["Arn"]
    events = account.client("events")
    rule = "forensics-forward-findings"
    pattern = {"source": ["aws.securityhub", "aws.guardduty", "aws.config", "forensics.manual", "forensics.preflight"]}
    events.put_rule(Name=rule, EventPattern=json.dumps(pattern), State="ENABLED")
    target = {"Id": "forensic-bus", "Arn": bus_arn, "RoleArn": role}
    _accepted(events.put_targets(Rule=rule, Targets=[target]), rule=rule)
    return {"action_targets": actions}
