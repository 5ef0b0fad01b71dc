"""EC2's authorizations: which resources a call names, with which tags, and what is asked beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends

from lab.emulator.iam import keys
from lab.emulator.iam.policy import Request
from lab.emulator.patches.ec2_snapshots import visible_snapshot

_KINDS = {
    "i": "instance", "vol": "volume", "snap": "snapshot", "sg": "security-group", "eni": "network-interface", "vpc": "vpc",
    "subnet": "subnet", "ami": "image", "acl": "network-acl", "rtb": "route-table", "vpce": "vpc-endpoint",
    "eipalloc": "elastic-ip",
}  # fmt: skip
_ID = re.compile(r"^(i|vol|snap|sg|eni|vpc|subnet|ami|acl|rtb|vpce|eipalloc)-[0-9a-f]{8,17}$")
# Describing has no resource-level permissions, these readings have.
_READS_ONE = {"GetConsoleOutput", "GetConsoleScreenshot", "DescribeInstanceAttribute"}
_RULES = {
    "AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress", "RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress",
}  # fmt: skip
_MADE_KINDS = {
    "RunInstances": ("instance", "volume"), "CreateVolume": ("volume",), "CreateSnapshots": ("snapshot",),
    "CreateSnapshot": ("snapshot",), "CopySnapshot": ("snapshot",), "CreateSecurityGroup": ("security-group",),
}  # fmt: skip


def tags_of(account: str, region: str, resource_id: str) -> dict[str, str]:
    """Tags of a resource as EC2 has them now."""
    return dict(ec2_backends[account][region].tags.get(resource_id, {}))


def _arn(given: Any, kind: str, resource_id: str, *, region: str = "") -> str:
    # snapshots and images have no account in their ARN
    account = "" if kind in ("snapshot", "image") else given.account
    return f"arn:aws:ec2:{region or given.region}:{account}:{kind}/{resource_id}"


def _request_tags(given: Any) -> dict[str, Any]:
    found: dict[str, str] = {}
    for name, key in given.query.items():
        if match := re.fullmatch(r"((?:TagSpecification\.\d+\.)?Tag\.\d+)\.Key", name):
            found[key] = given.query.get(f"{match[1]}.Value", "")
    context: dict[str, Any] = {f"aws:RequestTag/{k}": v for k, v in found.items()}
    return context | ({"aws:TagKeys": sorted(found)} if found else {})


def _named(given: Any) -> list[str]:
    """Ids of resources that the call names, in order."""
    return list(dict.fromkeys(v for v in given.query.values() if _ID.match(v)))


def _about(given: Any, resource_id: str, **more: Any) -> Request:
    kind = _KINDS[resource_id.split("-")[0]]
    tags = {f"aws:ResourceTag/{k}": v for k, v in tags_of(given.account, given.region, resource_id).items()}
    return Request(f"ec2:{given.action}", _arn(given, kind, resource_id), {**tags, **more})


def authorizations(given: Any) -> Iterator[Request]:
    """Every authorization of an EC2 call."""
    action = given.action
    if action.startswith("Describe") and action not in _READS_ONE:
        yield Request(f"ec2:{action}", "*")
        return
    special = {"RunInstances": _run, "CreateSnapshots": _snapshots, "CopySnapshot": _copy, "ModifySnapshotAttribute": _share,
               "CreateTags": _tag, "DeleteTags": _tag, "DisassociateAddress": _address, "AssociateIamInstanceProfile": _profile,
               "DisassociateIamInstanceProfile": _profile, "ReplaceIamInstanceProfileAssociation": _profile}  # fmt: skip
    if action in special:
        yield from special[action](given)
    else:
        # a rule may name other groups; asked is about the group that has the rule
        ids = [given.query["GroupId"]] if action in _RULES and "GroupId" in given.query else _named(given)
        named = [_about(given, resource_id) for resource_id in ids]
        yield from named
        if not named:
            yield Request(f"ec2:{action}", "*")
        if action in ("CreateSecurityGroup", "CreateVolume"):
            yield from _made(given)
    if action == "CreateVolume":
        snapshot = given.query.get("SnapshotId", "")
        for key in _snapshot_key(given.account, given.region, snapshot):
            yield from _ebs_key(key, given.region, ("kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext"))


def _made(given: Any) -> Iterator[Request]:
    """What the call makes, under its request tags, and the tagging itself."""
    context = _request_tags(given)
    for kind in _MADE_KINDS[given.action]:
        yield Request(f"ec2:{given.action}", _arn(given, kind, "*"), context)
        if context:
            yield Request("ec2:CreateTags", _arn(given, kind, "*"), {**context, "ec2:CreateAction": given.action})


def _run(given: Any) -> Iterator[Request]:
    for resource_id in _named(given):
        yield _about(given, resource_id)
    yield Request("ec2:RunInstances", _arn(given, "network-interface", "*"))
    yield from _made(given)
    yield from _passed(given)


def _passed(given: Any) -> Iterator[Request]:
    """The role of the profile that the call gives to an instance."""
    arn = given.query.get("IamInstanceProfile.Arn", "")
    profile = given.query.get("IamInstanceProfile.Name") or arn.rsplit("/", 1)[-1]
    if profile:
        for role in iam_backends[given.account]["aws"].get_instance_profile(profile).roles:
            yield Request("iam:PassRole", role.arn, {"iam:PassedToService": "ec2.amazonaws.com"})


def _profile(given: Any) -> Iterator[Request]:
    """Profiles of instances: the instance itself, or that of the association."""
    known = ec2_backends[given.account][given.region].iam_instance_profile_associations.values()
    asked = given.query.get("AssociationId")
    instance = next((a.instance.id for a in known if a.association_id == asked), given.query.get("InstanceId", ""))
    yield _about(given, instance) if instance else Request(f"ec2:{given.action}", "*")
    yield from _passed(given)


def _address(given: Any) -> Iterator[Request]:
    """An elastic address that is taken from an interface, named by their association."""
    addresses: list[Any] = ec2_backends[given.account][given.region].addresses
    for address in addresses:
        if address.association_id == given.query.get("AssociationId"):
            yield _about(given, address.allocation_id)
            if address.eni:
                yield _about(given, address.eni.id)


def _snapshots(given: Any) -> Iterator[Request]:
    instance = given.query["InstanceSpecification.InstanceId"]
    yield _about(given, instance)
    for volume in ec2_backends[given.account][given.region].volumes.values():
        if volume.attachment and volume.attachment.instance.id == instance:
            yield _about(given, volume.id)
    yield from _made(given)


def _copy(given: Any) -> Iterator[Request]:
    source, region = given.query["SourceSnapshotId"], given.query["SourceRegion"]
    # of a snapshot that is somebody else's the caller's account knows no tags
    tags = {f"aws:ResourceTag/{k}": v for k, v in tags_of(given.account, region, source).items()}
    owner = _owner(given, source, region=region)
    yield Request("ec2:CopySnapshot", _arn(given, "snapshot", source, region=region), {**tags, **owner})
    yield from _made(given)
    if given.query.get("Encrypted") == "true" and given.query.get("KmsKeyId"):
        using = ("kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptTo", "kms:ReEncryptFrom")
        yield from _ebs_key(given.query["KmsKeyId"], given.region, using)


def _owner(given: Any, snapshot_id: str, *, region: str) -> dict[str, str]:
    """Condition key ``ec2:Owner`` of a source snapshot (service authorization reference, Amazon EC2, CopySnapshot: snapshot*)."""
    found = visible_snapshot(ec2_backends[given.account][region], snapshot_id)
    return {"ec2:Owner": str(found.owner_id)} if found is not None else {}


def _ebs_key(key: str, region: str, actions: tuple[str, ...]) -> Iterator[Request]:
    """EBS uses a customer's key by a grant, in the caller's name (Amazon EBS user guide, "EBS encryption")."""
    for action in actions:
        yield keys.request(action, key, via=f"ec2.{region}")
    yield keys.request("kms:CreateGrant", key, via=f"ec2.{region}", grant=True)


def _snapshot_key(account: str, region: str, snapshot_id: str) -> list[str]:
    snapshot = ec2_backends[account][region].snapshots.get(snapshot_id)
    key = getattr(snapshot, "kms_key_id", None) if snapshot else None
    return [key] if key and str(key).startswith("arn:") else []


def _share(given: Any) -> Iterator[Request]:
    users = [v for k, v in given.query.items() if re.match(r"(CreateVolumePermission\.Add\.\d+\.)?UserId", k)]
    context = {"ec2:Add/userId": users} if given.query.get("OperationType") == "add" or users else {}
    yield _about(given, given.query["SnapshotId"], **context)


def _tag(given: Any) -> Iterator[Request]:
    context = _request_tags(given)
    for resource_id in _named(given):
        yield _about(given, resource_id, **context)
