"""Stories of attacks with exact times, each as the calls that CloudTrail would record, and what must be said of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from forensics.cloud_evidence.followed import Followed
from lab.evidence.trail_records import Account, Json

ACCOUNT = Account("333344445555", "eu-central-1", "i-0123456789abcdef0")
ALARM = datetime(2026, 11, 28, 14, 0, tzinfo=UTC)
VOLUME, GROUP, INTERFACE = "vol-0aaaabbbbccccddd1", "sg-0aaaabbbbccccddd2", "eni-0aaaabbbbccccddd3"
OTHER, FOREIGN, ELSEWHERE = "i-0fedcba9876543210", "999988887777", "198.51.100.7"
STOLEN: dict[str, Any] = {"address": ELSEWHERE, "userAgent": "Boto3/1.34.0 md/Botocore#1.34.0 ua/2.0 os/linux"}


@dataclass(frozen=True)
class Story:
    """One attack: ``rule`` has to find it, by ``who``, at the time of the ``first`` of its calls that counts, on ``subject``."""

    name: str
    rule: str
    who: str
    subject: str
    grave: bool
    calls: tuple[Json, ...]
    first: int = 0

    @property
    def time(self) -> datetime:
        """When the act that has to be found was done."""
        return datetime.strptime(self.calls[self.first]["eventTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


_A = ACCOUNT
_SESSION = f"arn:aws:sts::{_A.account_id}:assumed-role/web-server/{_A.instance_id}"
_MALLORY = f"arn:aws:iam::{_A.account_id}:user/mallory"
_made: list[Callable[[], Story]] = []


def _story(
    rule: str, who: str, subject: str, *, grave: bool = True, first: int = 0
) -> Callable[[Callable[[], list[Json]]], None]:
    def keep(make: Callable[[], list[Json]]) -> None:
        name = make.__name__.strip("_").replace("_", " ")
        _made.append(lambda: Story(name, rule, who, subject, grave, tuple(make()), first))

    return keep


def followed() -> Followed:
    """What a case on the stories' instance follows at its beginning."""
    first = Followed(
        instance_id=ACCOUNT.instance_id, ids=(ACCOUNT.instance_id, VOLUME, GROUP, INTERFACE), roles=(ACCOUNT.role,)
    )
    return first.with_more(ids=[])


def at(minutes: float) -> datetime:
    """A time so many minutes after the alarm (before it when negative)."""
    return ALARM + timedelta(minutes=minutes)


def _mine(minutes: float, call: str, parameters: Json | None = None, answer: Json | None = None, **more: Any) -> Json:
    who = {k: more.pop(k) for k in ("address", "key", "userAgent") if k in more}
    return _A.call(at(minutes), call, _A.instance(**who), parameters, answer, **more)


def _mallory(
    minutes: float, call: str, parameters: Json | None = None, answer: Json | None = None, **more: Any
) -> Json:
    return _A.call(at(minutes), call, _A.user("mallory", address="192.0.2.99"), parameters, answer, **more)


@_story("used-elsewhere", _SESSION, ELSEWHERE)
def _credentials_used_from_another_address() -> list[Json]:
    return [_mine(-5, "sts:GetCallerIdentity", **STOLEN), _mine(-4, "s3:ListBuckets", **STOLEN)]


@_story("used-elsewhere", _SESSION, "10.20.7.7")
def _credentials_used_from_another_machine_of_the_network() -> list[Json]:
    return [_mine(-5, "ec2:DescribeInstances", address="10.20.7.7", vpcEndpointId="vpce-0123456789abcdef0")]


@_story("password-data", _SESSION, OTHER)
def _password_data_read() -> list[Json]:
    return [_mine(-9, "ec2:GetPasswordData", {"instanceId": OTHER})]


@_story("user-data-changed", _MALLORY, _A.instance_id, grave=False, first=1)
def _user_data_changed_while_stopped() -> list[Json]:
    return [
        _mallory(-30, "ec2:StopInstances", {"instancesSet": {"items": [{"instanceId": _A.instance_id}]}}),
        _mallory(
            -28,
            "ec2:ModifyInstanceAttribute",
            {"instanceId": _A.instance_id, "userData": "<sensitiveDataRemoved>"},
            {"_return": True},
        ),
        _mallory(-27, "ec2:StartInstances", {"instancesSet": {"items": [{"instanceId": _A.instance_id}]}}),
    ]


@_story("user-data-read", _SESSION, OTHER, grave=False)
def _user_data_of_others_read() -> list[Json]:
    return [_mine(-11, "ec2:DescribeInstanceAttribute", {"instanceId": OTHER, "attribute": "userData"})]


@_story("ssm-command", _SESSION, OTHER)
def _command_by_ssm_to_another_instance() -> list[Json]:
    given = {
        "documentName": "AWS-RunShellScript",
        "instanceIds": [OTHER],
        "parameters": "HIDDEN_DUE_TO_SECURITY_REASONS",
        "interactive": False,
    }
    return [_mine(-12, "ssm:SendCommand", given, {"command": {"commandId": "0b1c2d3e-0000-4000-8000-000000000001"}})]


@_story("ssm-session", _MALLORY, _A.instance_id, grave=False)
def _session_on_the_target() -> list[Json]:
    return [
        _mallory(
            -20,
            "ssm:StartSession",
            {"target": _A.instance_id},
            {"sessionId": "mallory-0123456789abcdef0", "tokenValue": "Value hidden due to security reasons."},
        )
    ]


@_story("snapshot-shared", _MALLORY, FOREIGN, first=1)
def _snapshot_of_the_target_shared() -> list[Json]:
    return [
        _mallory(
            -60,
            "ec2:CreateSnapshot",
            {"volumeId": VOLUME},
            {"snapshotId": "snap-0aaaabbbbccccddd4", "volumeId": VOLUME},
        ),
        _mallory(
            -55,
            "ec2:ModifySnapshotAttribute",
            {
                "snapshotId": "snap-0aaaabbbbccccddd4",
                "createVolumePermission": {"add": {"items": [{"userId": FOREIGN}]}},
                "attributeType": "CREATE_VOLUME_PERMISSION",
            },
            {"_return": True},
        ),
    ]


@_story("image-shared", _MALLORY, "everybody", first=1)
def _image_of_the_target_made_public() -> list[Json]:
    return [
        _mallory(
            -60, "ec2:CreateImage", {"instanceId": _A.instance_id, "name": "x"}, {"imageId": "ami-0aaaabbbbccccddd5"}
        ),
        _mallory(
            -50,
            "ec2:ModifyImageAttribute",
            {"imageId": "ami-0aaaabbbbccccddd5", "launchPermission": {"add": {"items": [{"group": "all"}]}}},
            {"_return": True},
        ),
    ]


@_story("group-opened", _SESSION, GROUP)
def _security_group_opened() -> list[Json]:
    rule = {
        "items": [
            {
                "ipProtocol": "tcp",
                "fromPort": 22,
                "toPort": 22,
                "groups": {},
                "ipRanges": {"items": [{"cidrIp": "0.0.0.0/0"}]},
                "ipv6Ranges": {},
            }
        ]
    }
    return [
        _mine(-14, "ec2:AuthorizeSecurityGroupIngress", {"groupId": GROUP, "ipPermissions": rule}, {"_return": True})
    ]


@_story("serial-console", _MALLORY, _A.instance_id, grave=False)
def _key_for_the_serial_console() -> list[Json]:
    return [
        _mallory(
            -16,
            "ec2-instance-connect:SendSerialConsoleSSHPublicKey",
            {"instanceId": _A.instance_id, "serialPort": 0, "sSHPublicKey": "ssh-ed25519 AAAAexample"},
            {"success": True},
        )
    ]


@_story("instance-connect", _SESSION, OTHER)
def _key_pushed_to_another_instance() -> list[Json]:
    return [
        _mine(
            -17,
            "ec2-instance-connect:SendSSHPublicKey",
            {"instanceId": OTHER, "instanceOSUser": "ec2-user"},
            {"success": True},
        )
    ]


@_story("user-made", _SESSION, "helpdesk")
def _user_made() -> list[Json]:
    return [
        _iam(
            -18,
            "CreateUser",
            {"userName": "helpdesk"},
            {"user": {"userName": "helpdesk", "userId": "AIDAEXAMPLE0000000"}},
        )
    ]


@_story("key-made", _SESSION, "helpdesk", first=1)
def _key_made_and_used_later() -> list[Json]:
    key = "AKIAHELPDESK00EXAMPLE"
    return [
        _iam(-19, "CreateUser", {"userName": "helpdesk"}, {"user": {"userName": "helpdesk"}}),
        _iam(
            -18,
            "CreateAccessKey",
            {"userName": "helpdesk"},
            {"accessKey": {"accessKeyId": key, "userName": "helpdesk", "status": "Active"}},
        ),
        _A.call(at(30), "s3:ListBuckets", _A.user("helpdesk", key=key, address=ELSEWHERE)),
    ]


def _iam(minutes: float, name: str, parameters: Json, answer: Json | None = None, **more: Any) -> Json:
    return _mine(minutes, f"iam:{name}", parameters, answer, awsRegion="us-east-1", **more)


@_story("rights-given", _SESSION, "helpdesk", first=1)
def _administrator_rights_for_a_new_user() -> list[Json]:
    return [
        _iam(-19, "CreateUser", {"userName": "helpdesk"}, {"user": {"userName": "helpdesk"}}),
        _iam(
            -18,
            "AttachUserPolicy",
            {"userName": "helpdesk", "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
        ),
    ]


@_story("rights-given", _MALLORY, "web-server", grave=False)
def _rights_of_the_targets_role_extended() -> list[Json]:
    return [
        _mallory(
            -90,
            "iam:PutRolePolicy",
            {"roleName": "web-server", "policyName": "x", "policyDocument": "{}"},
            awsRegion="us-east-1",
        )
    ]


@_story("trust-changed", _SESSION, "backup-operator", first=1)
def _trust_of_a_role_opened() -> list[Json]:
    return [
        _iam(-25, "CreateRole", {"roleName": "backup-operator"}, {"role": {"roleName": "backup-operator"}}),
        _iam(-24, "UpdateAssumeRolePolicy", {"roleName": "backup-operator", "policyDocument": "{}"}),
    ]


@_story("logs-cut", _MALLORY, "organization", first=0)
def _trail_stopped() -> list[Json]:
    return [_mallory(-70, "cloudtrail:StopLogging", {"name": "organization"})]


@_story("logs-changed", _SESSION, "organization")
def _events_left_out_of_the_trail() -> list[Json]:
    return [_mine(-71, "cloudtrail:PutEventSelectors", {"trailName": "organization", "eventSelectors": []})]


@_story("other-region", _SESSION, "ap-southeast-3")
def _instances_launched_in_an_unused_region() -> list[Json]:
    given = {
        "instancesSet": {"items": [{"imageId": "ami-0aaaabbbbccccddd6", "minCount": 8, "maxCount": 8}]},
        "instanceType": "g5.48xlarge",
    }
    answer = {"instancesSet": {"items": [{"instanceId": "i-0aaaabbbbccccddd7"}]}}
    return [_mine(-40, "ec2:RunInstances", given, answer, awsRegion="ap-southeast-3")]


@_story("mass-reads", _SESSION, "600 objects of 3 buckets")
def _buckets_emptied() -> list[Json]:
    return [
        _mine(
            -60 + n / 20,
            "s3:GetObject",
            {"bucketName": f"customers-{n % 3}", "key": f"part-{n}"},
            additionalEventData={"bytesTransferredOut": 5_000_000},
        )
        for n in range(600)
    ]


@_story("role-assumed", _SESSION, f"arn:aws:iam::{FOREIGN}:role/deploy")
def _role_of_another_account_assumed() -> list[Json]:
    answer = {
        "credentials": {
            "accessKeyId": "ASIACHAINED000EXAMPLE",
            "sessionToken": "example",
            "expiration": "Nov 28, 2026, 3:00:00 PM",
        }
    }
    return [
        _mine(-33, "sts:AssumeRole", {"roleArn": f"arn:aws:iam::{FOREIGN}:role/deploy", "roleSessionName": "x"}, answer)
    ]


@_story("destroyed", f"arn:aws:sts::{_A.account_id}:assumed-role/admin/x", OTHER, first=1)
def _chained_role_ends_instances() -> list[Json]:
    key = "ASIACHAINED111EXAMPLE"
    chained = {"userIdentity": _A.assumed("admin", "x", key=key), "sourceIPAddress": _A.home}
    return [
        _mine(
            -35,
            "sts:AssumeRole",
            {"roleArn": f"arn:aws:iam::{_A.account_id}:role/admin", "roleSessionName": "x"},
            {"credentials": {"accessKeyId": key}},
        ),
        _A.call(at(-34), "ec2:TerminateInstances", chained, {"instancesSet": {"items": [{"instanceId": OTHER}]}}),
    ]


@_story("discovery", _SESSION, "kinds of calls", grave=False)
def _account_explored() -> list[Json]:
    names = (
        "iam:ListUsers",
        "iam:ListRoles",
        "s3:ListBuckets",
        "lambda:ListFunctions20150331",
        "ec2:DescribeSnapshots",
        "rds:DescribeDBInstances",
        "iam:GetAccountAuthorizationDetails",
    )
    return [_mine(-45 + n, name) for n, name in enumerate(names)]


@_story("denied", _SESSION, "kinds of calls were refused", grave=False)
def _rights_tried_out() -> list[Json]:
    names = (
        "iam:CreateUser",
        "iam:ListUsers",
        "s3:ListBuckets",
        "kms:ListKeys",
        "ec2:RunInstances",
        "lambda:ListFunctions20150331",
        "sqs:ListQueues",
        "sns:ListTopics",
        "rds:DescribeDBInstances",
    )
    return [
        _mine(-46 + n / 10, name, errorCode="AccessDenied", errorMessage="not authorized")
        for n, name in enumerate(names)
    ]


@_story("secrets-read", _SESSION, "6 secrets")
def _secrets_read() -> list[Json]:
    return [_mine(-47 + n / 10, "secretsmanager:GetSecretValue", {"secretId": f"prod/db-{n}"}) for n in range(6)]


@_story("profile-changed", _MALLORY, _A.instance_id, grave=False)
def _stronger_profile_for_the_target() -> list[Json]:
    given = {
        "AssociateIamInstanceProfileRequest": {"InstanceId": _A.instance_id, "IamInstanceProfile": {"Name": "admin"}},
        "instanceId": _A.instance_id,
    }
    return [_mallory(-80, "ec2:AssociateIamInstanceProfile", given)]


@_story("metadata-weakened", _MALLORY, _A.instance_id, grave=False)
def _metadata_without_token() -> list[Json]:
    given = {"ModifyInstanceMetadataOptionsRequest": {"HttpTokens": "optional", "InstanceId": _A.instance_id}}
    return [_mallory(-81, "ec2:ModifyInstanceMetadataOptions", given)]


@_story("mirrored", _MALLORY, INTERFACE)
def _traffic_mirrored() -> list[Json]:
    return [
        _mallory(
            -82,
            "ec2:CreateTrafficMirrorSession",
            {"networkInterfaceId": INTERFACE, "trafficMirrorTargetId": "tmt-0123456789abcdef0"},
        )
    ]


@_story("volume-moved", _MALLORY, VOLUME, grave=False)
def _volume_attached_elsewhere() -> list[Json]:
    return [_mallory(-83, "ec2:AttachVolume", {"volumeId": VOLUME, "instanceId": OTHER, "device": "/dev/sdg"})]


@_story("function-made", _SESSION, "cleanup")
def _function_left_behind() -> list[Json]:
    return [_mine(-84, "lambda:CreateFunction20150331", {"functionName": "cleanup", "runtime": "python3.12"})]


@_story("signed-in", _SESSION, "console")
def _console_with_the_instances_credentials() -> list[Json]:
    return [
        _mine(
            -85,
            "signin:GetSigninToken",
            {"SessionDuration": "43200"},
            awsRegion="us-east-1",
            eventType="AwsConsoleSignIn",
        )
    ]


def stories() -> list[Story]:
    """Every story, in the order of this file."""
    return [make() for make in _made]


def quiet_month(seed: int = 1, *, days: int = 30) -> Iterator[Json]:
    """A month in which nothing happened: agents, the application's reads, backups, deployments, administrators."""
    draw = random.Random(seed)  # noqa: S311 - noise, no secret
    a, begin = ACCOUNT, ALARM - timedelta(days=days)
    deploy = {
        "userIdentity": a.assumed("deployment", "pipeline", key="ASIADEPLOY0000EXAMPLE"),
        "sourceIPAddress": "192.0.2.45",
    }
    for day in range(days):
        morning = begin + timedelta(days=day)
        for n in range(24):
            moment = morning + timedelta(hours=n, minutes=draw.random() * 50)
            yield a.call(moment, "ssm:UpdateInstanceInformation", a.instance(), {"instanceId": a.instance_id})
            for _ in range(draw.randint(2, 6)):
                moment += timedelta(minutes=draw.random() * 5)
                yield a.call(
                    moment,
                    "s3:GetObject",
                    a.instance(),
                    {"bucketName": "shop-assets", "key": f"{draw.random()}"},
                    additionalEventData={"bytesTransferredOut": 20_000},
                )
        night = morning + timedelta(hours=2)
        yield a.call(
            night,
            "ec2:CreateSnapshot",
            a.service("backup.amazonaws.com"),
            {"volumeId": VOLUME},
            {"snapshotId": f"snap-0{draw.randrange(16**16):016x}"},
        )
        yield a.call(
            night,
            "sts:AssumeRole",
            a.instance(),
            {"roleArn": f"arn:aws:iam::{a.account_id}:role/reports", "roleSessionName": "nightly"},
            {"credentials": {"accessKeyId": f"ASIANIGHTLY{day:03d}EXAMPLE"}},
        )
        yield a.call(night, "secretsmanager:GetSecretValue", a.instance(), {"secretId": "shop/database"})
        if day % 7 == 1:
            given = {
                "documentName": "AWS-RunPatchBaseline",
                "instanceIds": [a.instance_id],
                "parameters": "HIDDEN_DUE_TO_SECURITY_REASONS",
            }
            yield a.call(morning + timedelta(hours=9), "ssm:SendCommand", deploy, given)
            yield a.call(
                morning + timedelta(hours=10), "ssm:StartSession", a.person("alice"), {"target": a.instance_id}
            )
            yield a.call(
                morning + timedelta(hours=11),
                "ec2:DescribeInstanceAttribute",
                a.person("alice"),
                {"instanceId": a.instance_id, "attribute": "userData"},
            )
        if day % 10 == 3:
            yield a.call(
                morning + timedelta(hours=12),
                "ec2:RebootInstances",
                a.person("bob"),
                {"instancesSet": {"items": [{"instanceId": a.instance_id}]}},
            )
            yield a.call(
                morning + timedelta(hours=13),
                "iam:ListUsers",
                a.instance(),
                errorCode="AccessDenied",
                awsRegion="us-east-1",
            )
