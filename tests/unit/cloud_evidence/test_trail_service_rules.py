"""Calls of attacks in the shapes that public recordings have them, details invented.

Sources of the shapes: Stratus Red Team's detonation logs (DataDog/stratus-red-team, ``docs/detonation-logs``), the trail of a whole account
under the same attacks (invictus-ir/aws_dataset), the rule tests of panther-labs/panther-analysis, TrailDiscover's collection of events.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import botocore.session
import pytest

from forensics.attack_techniques import TECHNIQUES
from forensics.cloud_evidence.trail_call_rules import RULES
from forensics.cloud_evidence.trail_service_rules import ROWS
from lab.evidence.trail_records import Json
from lab.scenarios.trail_stories import ACCOUNT, ALARM, ELSEWHERE, GROUP
from tests.unit.cloud_evidence.trail_reading import read

A = ACCOUNT
OUTSIDE = "999988887777"
PUBLIC_POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "s3:GetObject"}],
}
OWN_POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": A.account_id}, "Action": "s3:*"}],
}
NARROW = {
    "Effect": "Allow",
    "Principal": "*",
    "Action": "*",
    "Condition": {"StringEquals": {"aws:SourceAccount": A.account_id}},
}


def said(calls: Iterable[Json], **changes: Any) -> dict[str, tuple[str, str]]:
    """Rule to severity and title; the first of a rule."""
    found: dict[str, tuple[str, str]] = {}
    for f in read(calls, **changes).findings:
        found.setdefault(f.id.removeprefix("cloudtrail-").rpartition("-")[0], (f.severity.value, f.title))
    return found


def mine(call: str, parameters: Json | None = None, **more: Any) -> Json:
    return A.call(ALARM, call, A.instance(), parameters, **more)


@pytest.mark.parametrize(
    ("call", "parameters", "rule", "severity", "words"),
    [
        ("rds:ModifyDBSnapshotAttribute", {"attributeName": "restore", "dBSnapshotIdentifier": "copy", "valuesToAdd": [OUTSIDE]}, "database-shared", "critical", f"copy of a database was shared with account {OUTSIDE}"),
        ("rds:ModifyDBSnapshotAttribute", {"attributeName": "restore", "dBSnapshotIdentifier": "copy", "valuesToAdd": ["all"]}, "database-shared", "critical", "shared with everybody"),
        ("rds:ModifyDBSnapshotAttribute", {"attributeName": "restore", "dBSnapshotIdentifier": "copy", "valuesToRemove": [OUTSIDE]}, "", "", ""),
        ("rds:ModifyDBInstance", {"dBInstanceIdentifier": "orders", "masterUserPassword": "****", "applyImmediately": True}, "database-changed", "high", "orders"),
        ("rds:ModifyDBInstance", {"dBInstanceIdentifier": "orders", "publiclyAccessible": True}, "database-changed", "high", "orders"),
        ("rds:ModifyDBInstance", {"dBInstanceIdentifier": "orders", "allocatedStorage": 40}, "", "", ""),
        ("rds:StartExportTask", {"sourceArn": f"arn:aws:rds:eu-central-1:{A.account_id}:snapshot:orders", "s3BucketName": "x"}, "database-copied", "high", "snapshot:orders"),
        ("lambda:AddPermission20150331v2", {"action": "lambda:InvokeFunction", "functionName": "report", "principal": "*", "statementId": "s"}, "opened-to-all", "critical", "report was opened to everybody"),
        ("lambda:AddPermission20150331v2", {"functionName": "report", "principal": OUTSIDE}, "resource-policy", "high", "Who may use report was changed"),
        ("s3:PutBucketPolicy", {"bucketName": "data", "bucketPolicy": PUBLIC_POLICY}, "opened-to-all", "critical", "data was opened to everybody"),
        ("s3:PutBucketPolicy", {"bucketName": "data", "bucketPolicy": {"Statement": [NARROW]}}, "resource-policy", "high", "data"),
        ("s3:PutBucketPolicy", {"bucketName": "data", "bucketPolicy": OWN_POLICY}, "resource-policy", "high", "data"),
        ("ecr:SetRepositoryPolicy", {"repositoryName": "app", "policyText": '{"Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]}'}, "opened-to-all", "critical", "app was opened"),
        ("s3:PutBucketAcl", {"bucketName": "data", "x-amz-acl": ["public-read"]}, "opened-to-all", "critical", "data"),
        ("s3:PutBucketAcl", {"bucketName": "data", "AccessControlPolicy": {"AccessControlList": {"Grant": [{"Grantee": {"URI": "http://acs.amazonaws.com/groups/global/AllUsers"}}]}}}, "opened-to-all", "critical", "data"),
        ("s3:PutBucketVersioning", {"bucketName": "data", "VersioningConfiguration": {"Status": "Suspended"}}, "bucket-versions", "high", "data"),
        ("s3:PutBucketVersioning", {"bucketName": "data", "VersioningConfiguration": {"Status": "Enabled"}}, "", "", ""),
        ("s3:PutBucketLogging", {"bucketName": "data", "logging": "", "BucketLoggingStatus": {"xmlns": "http://s3.amazonaws.com/doc/2006-03-01/"}}, "bucket-logging", "high", "data"),
        ("s3:PutBucketLogging", {"bucketName": "data", "BucketLoggingStatus": {"LoggingEnabled": {"TargetBucket": "logs"}}}, "", "", ""),
        ("s3:PutBucketLifecycle", {"bucketName": "trail", "LifecycleConfiguration": {"Rule": {"Status": "Enabled", "Expiration": {"Days": 1}}}}, "bucket-expiry", "high", "trail"),
        ("s3:CopyObject", {"bucketName": "data", "key": "a", "x-amz-server-side-encryption-customer-algorithm": "AES256"}, "objects-encrypted", "critical", "data"),
        ("s3:CopyObject", {"bucketName": "data", "key": "a", "x-amz-server-side-encryption-aws-kms-key-id": f"arn:aws:kms:eu-central-1:{OUTSIDE}:key/k"}, "objects-encrypted", "critical", "data"),
        ("s3:CopyObject", {"bucketName": "data", "key": "a", "x-amz-server-side-encryption-aws-kms-key-id": f"arn:aws:kms:eu-central-1:{A.account_id}:key/k"}, "", "", ""),
        ("s3:PutObject", {"bucketName": "data", "key": "finance/HOW_TO_DECRYPT_FILES.txt"}, "ransom-note", "critical", "data"),
        ("s3:PutObject", {"bucketName": "data", "key": "docs/README.md"}, "", "", ""),
        ("organizations:LeaveOrganization", None, "organization", "critical", "LeaveOrganization"),
        ("rolesanywhere:CreateTrustAnchor", {"enabled": True, "name": "anchor", "source": {"sourceType": "CERTIFICATE_BUNDLE"}}, "door", "high", "CreateTrustAnchor anchor"),
        ("iam:CreateSAMLProvider", {"name": "idp", "sAMLMetadataDocument": "<x/>"}, "door", "high", "idp"),
        ("iam:DeactivateMFADevice", {"userName": "admin", "serialNumber": "arn:aws:iam::1:mfa/a"}, "second-factor", "high", "admin"),
        ("iam:UpdateAccessKey", {"userName": "old", "status": "Active"}, "key-changed", "high", "old"),
        ("iam:UpdateAccessKey", {"userName": "old", "status": "Inactive"}, "", "", ""),
        ("sts:GetFederationToken", {"name": "op"}, "federation", "high", "GetFederationToken op"),
        ("bedrock:PutUseCaseForModelAccess", None, "models-allowed", "high", "PutUseCaseForModelAccess"),
        ("bedrock:InvokeModel", {"modelId": "some.model-v1:0"}, "models-used", "medium", "some.model-v1:0"),
        ("bedrock:DeleteModelInvocationLoggingConfiguration", None, "guards", "high", "DeleteModelInvocationLoggingConfiguration"),
        ("securityhub:UpdateFindings", {"Filters": {}}, "guards", "high", "UpdateFindings"),
        ("logs:DeleteLogGroup", {"logGroupName": "/aws/app"}, "guards", "high", "/aws/app"),
        ("ses:SendEmail", {"source": "a@example.com"}, "mail", "high", "ses:SendEmail"),
        ("ecs:RunTask", {"cluster": "c", "taskDefinition": "t"}, "computing", "medium", "ecs:RunTask c"),
        ("ec2:CreateNetworkAclEntry", {"networkAclId": "acl-1", "ruleAction": "allow", "cidrBlock": "0.0.0.0/0", "egress": False}, "network-opened", "high", "acl-1"),
        ("ec2:CreateTrafficMirrorTarget", {"CreateTrafficMirrorTargetRequest": {"NetworkInterfaceId": "eni-1"}}, "mirror-set-up", "high", "CreateTrafficMirrorTarget"),
        ("ec2:DisableSnapshotBlockPublicAccess", {}, "sharing-allowed", "high", "DisableSnapshotBlockPublicAccess"),
        ("ebs:GetSnapshotBlock", {"snapshotId": "snap-0123456789abcdef0", "blockIndex": 3}, "snapshot-read", "high", "snap-0123456789abcdef0"),
        ("servicequotas:RequestServiceQuotaIncrease", {"serviceCode": "ec2", "quotaCode": "L-1"}, "limits-raised", "high", "L-1"),
        ("ec2:DeleteFlowLogs", {"DeleteFlowLogsRequest": {"FlowLogId": {"tag": 1, "content": "fl-0123456789abcdef0"}}}, "logs-cut", "critical", "ec2:DeleteFlowLogs on fl-0123456789abcdef0"),
    ],
)  # fmt: skip
def test_a_call_with_the_followed_credentials_is_named(
    call: str, parameters: Json | None, rule: str, severity: str, words: str
) -> None:
    found = said([mine(call, parameters)])
    found.pop("rotate", None), found.pop("touched", None)
    if not rule:
        assert not found
        return
    assert set(found) == {rule}
    assert found[rule][0] == severity and words in found[rule][1]


# Names that no model of botocore has, as CloudTrail records them; the sources above, and AWS's guides for the console's own calls.
RECORDED = frozenset(
    {
        "DeleteBucketPublicAccessBlock", "PutBucketPublicAccessBlock",  # S3 puts the kind of thing into the name
        "DeleteAccountPublicAccessBlock", "PutAccountPublicAccessBlock",  # as GetAccountPublicAccessBlock, which is recorded
        "SharedSnapshotVolumeCreated", "SharedSnapshotCopyInitiated",  # events of EC2 (EBS user guide, Share a snapshot)
        "sso-directory:AddMemberToGroup", "sso-directory:CreateGroup", "sso-directory:CreateUser", "sso:UpdateSsoConfiguration",
        "PasswordUpdated", "ConsoleLogin", "GetSigninToken", "cloudshell:CreateSession", "PutFoundationModelEntitlement",
        "macie:UpdateMacieSession",
    }
)  # fmt: skip


def test_every_call_that_a_row_names_is_one_of_aws_s() -> None:
    """botocore's models know each operation by name; Lambda and CloudFront record theirs with the date of their API."""
    session = botocore.session.get_session()
    known: dict[str, set[str]] = {}
    for service in session.get_available_services():
        model = session.get_service_model(service)
        for name in {model.endpoint_prefix, model.signing_name, service}:
            known.setdefault(name, set()).update(model.operation_names)
    every = set().union(*known.values())
    wrong = set()
    for name in {name for row in RULES for name in row.names} - RECORDED:
        service, _, call = name.rpartition(":")
        plain = re.sub(r"(\d{8}(v2)?|\d{4}_\d\d_\d\d)$", "", call)
        if plain not in (known.get(service, set()) if service else every):
            wrong.add(name)
    assert not wrong


def test_every_row_has_a_known_technique_and_a_name_of_its_own() -> None:
    assert {row.technique for row in ROWS} <= set(TECHNIQUES)
    assert len({row.rule for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "198.51.100.7/0", "128.0.0.0/1"])
def test_a_network_of_everybody_counts_however_it_is_written(network: str) -> None:
    """The recording of an opened port 22 has an address with the length 0."""
    group = {
        "groupId": GROUP,
        "cidrIp": network,
        "fromPort": 22,
        "toPort": 22,
        "ipProtocol": "tcp",
        "ipPermissions": {},
    }
    assert "group-opened" in said([mine("ec2:AuthorizeSecurityGroupIngress", group)])
    group["cidrIp"] = "198.51.100.0/24"
    assert set(said([mine("ec2:AuthorizeSecurityGroupIngress", group)])) >= {"network-changed"}
    assert "group-opened" not in said([mine("ec2:AuthorizeSecurityGroupIngress", group)])


def test_one_act_on_many_things_is_one_finding() -> None:
    """Thirty refused GetPasswordData were thirty findings and thirty more of what was touched."""
    calls = [
        A.call(
            ALARM + timedelta(seconds=n), "ec2:GetPasswordData", A.instance(address=ELSEWHERE), {"instanceId": f"i-{n:017x}"},
            errorCode="Client.UnauthorizedOperation",
        )
        for n in range(1, 31)
    ]  # fmt: skip
    reading = read(calls)
    (password,) = [f for f in reading.findings if "password-data" in f.id]
    assert (
        password.title == f"Windows password data of i-{1:017x}, i-{2:017x} and 28 more were read: tried, and refused"
    )
    assert password.data["calls"] == 30 and len(password.data["subjects"]) == 30  # type: ignore[arg-type]
    (touched,) = [f for f in reading.findings if "touched" in f.id]
    assert "30 instances" in touched.title and touched.title.endswith("every call was refused")


def test_many_secrets_are_one_thing_to_do() -> None:
    calls = [
        A.call(
            ALARM + timedelta(seconds=n),
            "secretsmanager:GetSecretValue",
            A.instance(address=ELSEWHERE),
            {"secretId": f"s{n}"},
        )
        for n in range(20)
    ]
    rotate = [f for f in read(calls).findings if "rotate" in f.id]
    assert sum("secret" in f.title for f in rotate) == 1
    (secrets,) = [f for f in rotate if "20 secrets: " in f.title]
    assert secrets.data["secrets"] == [f"s{n}" for n in range(20)]


def test_a_batch_of_secrets_names_no_secret_and_counts_at_once() -> None:
    """BatchGetSecretValue's record has the filter alone (recorded so by Stratus Red Team)."""
    found = said([mine("secretsmanager:BatchGetSecretValue", {"filters": [{"key": "tag-key", "values": ["!none"]}]})])
    assert found["secrets-read"][1].startswith("All secrets that a filter fits were read")
    refused = said(
        [
            mine(
                "secretsmanager:BatchGetSecretValue",
                {"filters": [{"key": "name", "values": ["p"]}]},
                errorCode="AccessDenied",
            )
        ]
    )
    assert refused["secrets-tried"][0] == "medium"


def test_a_call_through_cloudformation_is_the_caller_s_and_one_of_a_service_is_not() -> None:
    """CloudFormation acts with the identity of who called it; a backup's role is assumed by the service alone."""
    person = A.person("mallory", invokedBy="cloudformation.amazonaws.com")
    assert said([A.call(ALARM, "cloudtrail:DeleteTrail", person, {"name": "t"})])["logs-cut"][0] == "high"
    backup = A.service("backup.amazonaws.com")
    assert "snapshot-made" not in said(
        [A.call(ALARM, "ec2:CreateSnapshot", backup, {"volumeId": "vol-0aaaaaaaaaaaaaaa1"})]
    )


def test_a_federated_session_is_followed_and_says_that_it_outlives_the_key() -> None:
    key = "ASIAFEDERATED00EXAMPLE"
    identity = {
        "type": "FederatedUser", "principalId": f"{A.account_id}:op", "arn": f"arn:aws:sts::{A.account_id}:federated-user/op",
        "accountId": A.account_id, "accessKeyId": key, "sessionContext": {"sessionIssuer": {"type": "IAMUser", "userName": "ci"}},
    }  # fmt: skip
    stolen = A.call(
        ALARM,
        "sts:GetFederationToken",
        A.instance(address=ELSEWHERE),
        {"name": "op"},
        {"credentials": {"accessKeyId": key}},
    )
    later = A.call(
        ALARM + timedelta(minutes=1),
        "iam:CreateUser",
        {"userIdentity": identity, "sourceIPAddress": ELSEWHERE},
        {"userName": "back"},
        {"user": {"userName": "back"}},
    )
    reading = read([stolen, later])
    assert any(f.title == "User back was made" for f in reading.findings)
    assert any("federated session op, made by ci (it outlives the key" in f.title for f in reading.findings)


def test_a_sign_in_to_the_console_is_a_password_and_no_key() -> None:
    made = A.call(
        ALARM, "iam:CreateUser", A.instance(address=ELSEWHERE), {"userName": "back"}, {"user": {"userName": "back"}}
    )
    identity = {
        "type": "IAMUser",
        "userName": "back",
        "arn": f"arn:aws:iam::{A.account_id}:user/back",
        "accountId": A.account_id,
    }
    signed = A.call(
        ALARM + timedelta(minutes=2),
        "signin:ConsoleLogin",
        {"userIdentity": identity, "sourceIPAddress": ELSEWHERE},
        None,
        {"ConsoleLogin": "Success"},
    )
    titles = [f.title for f in read([made, signed]).findings]
    assert "Credential to rotate: console password of user back (change it)" in titles
    assert not any("access key  of" in t for t in titles)


def test_a_shared_snapshot_that_another_account_used_is_critical() -> None:
    """An event of the service in the owner's account, without parameters (eventType AwsServiceEvent)."""
    event = A.call(
        ALARM, "ec2:SharedSnapshotVolumeCreated", {"userIdentity": {"accountId": A.account_id, "invokedBy": "ec2.amazonaws.com"}}, None,
        eventType="AwsServiceEvent", serviceEventDetails={"snapshotId": "snap-0feedfacefeedface"},
    )  # fmt: skip
    made = mine("ec2:CreateSnapshot", {"volumeId": "vol-0123456789abcdef0"})
    made["responseElements"] = {"snapshotId": "snap-0feedfacefeedface"}
    found = said([made, event])
    assert found["snapshot-used"] == (
        "critical",
        "Another account made a volume or a copy of the shared snapshot snap-0feedfacefeedface",
    )


def test_a_private_address_that_is_not_the_target_s_is_doubted_and_said() -> None:
    """A recording of stolen credentials in which addresses were replaced by private ones was silent."""
    reading = read([A.call(ALARM, "ec2:DescribeInstances", A.instance(address="192.168.10.20"))])
    (finding,) = [f for f in reading.findings if "used-elsewhere" in f.id]
    assert finding.severity.value == "medium" and "from another machine of the network: 192.168.10.20" in finding.title


@pytest.mark.parametrize(
    "agent",
    [
        "TruffleHog",
        "aws-cli/1.18.69 Python/3.9.2 Linux/5.10.0-kali3-amd64 botocore/1.16.19",
        "Boto3/1.9 Pacu",
        "stratus-red-team_0a1b",
    ],
)
def test_a_tool_of_attackers_is_named_by_its_user_agent(agent: str) -> None:
    assert said([mine("sts:GetCallerIdentity", None, userAgent=agent)])["attack-tool"][0] == "high"
    assert "attack-tool" not in said(
        [mine("sts:GetCallerIdentity", None, userAgent="aws-cli/2.15.1 Python/3.11.6 Linux/6.1.0")]
    )


def test_what_a_build_server_does_every_day_is_no_alarm() -> None:
    days = [
        A.call(ALARM - timedelta(days=d), "ecs:RunTask", A.instance(), {"cluster": "c"}, requestID=str(d))
        for d in range(5)
    ]
    assert said(days)["computing"][0] == "low" and said(days)["computing"][1].endswith("(as on days before)")


def test_objects_deleted_from_elsewhere_or_in_numbers_are_named() -> None:
    def deletes(count: int, address: str) -> list[Json]:
        return [
            A.call(
                ALARM + timedelta(seconds=n),
                "s3:DeleteObject",
                A.instance(address=address),
                {"bucketName": "data", "key": str(n)},
            )
            for n in range(count)
        ]

    assert "mass-deletes" in said(deletes(1, ELSEWHERE))
    assert "mass-deletes" in said(deletes(60, A.home)) and "mass-deletes" not in said(deletes(5, A.home))


def test_a_refused_role_has_no_name_in_its_record() -> None:
    found = said([A.call(ALARM, "sts:AssumeRole", A.instance(), None, errorCode="AccessDenied")])
    assert found["role-assumed"][1].endswith("one that its record does not name: tried, and refused")


@pytest.mark.parametrize("depth", [5_000])
def test_a_policy_that_is_nested_for_ever_is_looked_at_as_far_as_it_goes(depth: int) -> None:
    text = '{"Statement":' + "[" * depth + "]" * depth + "}"
    assert "resource-policy" in said([mine("s3:PutBucketPolicy", {"bucketName": "data", "bucketPolicy": text})])


def test_a_backup_that_reads_blocks_every_night_is_no_alarm() -> None:
    def nights(days: range) -> list[Json]:
        who = A.user("backup-tool")
        return [
            A.call(
                ALARM - timedelta(days=d),
                "ebs:GetSnapshotBlock",
                who,
                {"snapshotId": "snap-0feedfacefeedface"},
                requestID=str(d),
            )
            for d in days
        ]

    made = mine("ec2:CreateSnapshot", {"volumeId": "vol-0123456789abcdef0"})
    made["responseElements"] = {"snapshotId": "snap-0feedfacefeedface"}
    assert said([made, *nights(range(1))])["snapshot-read"][0] == "medium"
    assert said([made, *nights(range(5))])["snapshot-read"][0] == "low"
