"""What a step left in the lab, without what differs from run to run: ids, times, random names."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from forensics.case_keys import LEASE
from lab.emulator.patches import ssm
from tests.integration.conftest import SmallLab

Picture = Counter[str]

# Longest first: an ARN's parts are replaced like any other text.
_VARIES = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(\+00:00|Z| UTC)?"), "<time>"),
    (re.compile(r"\d{8}T\d{6}(\.?\d+)?Z"), "<time>"),
    (re.compile(r"\b\d\d:\d\d:\d\d(\.\d+)?Z?\b"), "<time>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\b(i|vol|snap|sg|sgr|eni|ami|eipalloc|eipassoc|iip-assoc|r|vpce|lt)-[0-9a-z]{8,}\b"), r"\1-<id>"),
    (re.compile(r"\b(eni-attach|iip-assoc)-[0-9a-f]+\b"), r"\1-<id>"),
    (re.compile(r"\b(?!fc-)[0-9a-f]{8,}\b"), "<hex>"),
    (re.compile(r"\b(AROA|ASIA|AIDA)[A-Z0-9]+"), r"\1<id>"),
    (re.compile(r"[A-Za-z0-9+/]{60,}={0,2}"), "<base64>"),
    (re.compile(r"\b\d+\.\d+( s\b)?"), "<number>"),
    (re.compile(r"\b10\.\d+\.\d+\.\d+\b|\b127\.\d+\.\d+\.\d+(:\d+)?"), "<address>"),
)
# What an item says that must be the same, whoever wrote it in which try. Times, counters, digests and the calls of one try may differ.
_SAID = frozenset(
    {"action", "outcome", "status", "state", "kind", "standing", "decision", "phase", "stage", "severity", "case_id"}
)
# A state in passing is the one in which it ends.
_ENDS_AS = {
    "pending": "running",
    "stopping": "stopped",
    "shutting-down": "terminated",
    "creating": "available",
    "attaching": "attached",
}


def plain(text: str) -> str:
    """The text with everything that varies replaced by its kind."""
    for pattern, kind in _VARIES:
        text = pattern.sub(kind, text)
    return text


def picture(lab: SmallLab) -> Picture:
    """Every trace of the product in the lab, each as often as it is there."""
    return Counter(
        plain(line) for part in (_items, _objects, _ec2, _grants, _commands, _mail, _iam) for line in part(lab)
    )


def _items(lab: SmallLab) -> Iterator[str]:
    pages = lab.client("dynamodb").get_paginator("scan").paginate(TableName=lab.facts["case_table"])
    for page in pages:
        for item in page["Items"]:
            if item["SK"]["S"].startswith(LEASE):
                continue  # one of a worker that died ends by itself; nothing waits for it longer than its seconds
            key = f"{item['PK']['S']} {item['SK']['S']}"
            said = {k: v for k, v in {**item, **item.get("data", {}).get("M", {})}.items() if k in _SAID}
            yield f"item {key} {json.dumps(said, sort_keys=True)}"


def _objects(lab: SmallLab) -> Iterator[str]:
    s3 = lab.client("s3")
    for name in ("evidence_bucket", "landing_bucket", "tools_bucket"):
        bucket = lab.facts[name]
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for found in page.get("Versions", []):
                yield f"object {bucket} {found['Key']}"
            for found in page.get("DeleteMarkers", []):
                yield f"delete marker {bucket} {found['Key']}"
        for found in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
            yield f"open upload {bucket} {found['Key']}"


def _ec2(lab: SmallLab) -> Iterator[str]:
    for account in ("forensic", "member"):
        ec2 = lab.client("ec2", account)
        for page in ec2.describe_instances()["Reservations"]:
            for one in page["Instances"]:
                groups = sorted(g["GroupName"] for i in one["NetworkInterfaces"] for g in i["Groups"])
                profile = one.get("IamInstanceProfile", {}).get("Arn")
                yield f"{account} instance {_ENDS_AS.get(one['State']['Name'], one['State']['Name'])} {_tags(one)} {groups} {profile}"
        for one in ec2.describe_volumes()["Volumes"]:
            attached = [_end(a["State"]) for a in one["Attachments"]]
            yield f"{account} volume {_end(one['State'])} {_tags(one)} {attached}"
        for one in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]:
            shared = ec2.describe_snapshot_attribute(SnapshotId=one["SnapshotId"], Attribute="createVolumePermission")
            users = sorted(p.get("UserId", "") for p in shared.get("CreateVolumePermissions", []))
            yield f"{account} snapshot {_end(one['State'])} {_tags(one)} shared {users}"
        for one in ec2.describe_locked_snapshots()["Snapshots"]:
            yield f"{account} lock {one['LockState']}"
        for one in ec2.describe_security_groups()["SecurityGroups"]:
            rules = json.dumps([one["IpPermissions"], one["IpPermissionsEgress"]], sort_keys=True)
            yield f"{account} group {one['GroupName']} {_tags(one)} {rules}"
        for one in ec2.describe_addresses()["Addresses"]:
            yield f"{account} address {'associated' if one.get('AssociationId') else 'free'}"


def _end(state: str) -> str:
    return "completed" if state == "pending" else _ENDS_AS.get(state, state)


def _tags(found: dict[str, Any]) -> str:
    return json.dumps({t["Key"]: t["Value"] for t in found.get("Tags", [])}, sort_keys=True)


def _grants(lab: SmallLab) -> Iterator[str]:
    for account in ("forensic", "member"):
        kms = lab.client("kms", account)
        for key in kms.list_keys()["Keys"]:
            for grant in kms.list_grants(KeyId=key["KeyId"])["Grants"]:
                yield f"{account} grant {grant.get('Name')} {sorted(grant['Operations'])}"


def _commands(_: SmallLab) -> Iterator[str]:
    for one in _all_commands():
        for invocation in one.invocations:
            yield f"command {one.request.get('DocumentName')} {one.request.get('Comment')} {invocation.status}"


def _all_commands() -> Iterable[Any]:
    return [command for commands in ssm._commands.values() for command in commands.values()]


def _mail(lab: SmallLab) -> Iterator[str]:
    for mail in lab.mail():
        yield f"mail {mail['attributes'].get('event')} {mail['subject']}"


def _iam(lab: SmallLab) -> Iterator[str]:
    iam = lab.client("iam", "member")
    for role in iam.list_roles()["Roles"]:
        yield f"role {role['RoleName']} {iam.list_role_policies(RoleName=role['RoleName'])['PolicyNames']}"
