"""The AWS calls that containment and release are made of. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from forensics.deployment import DEPLOYMENT
from forensics.models.base import format_utc
from forensics.models.containment import ApiCall
from forensics.models.target_facts import (
    AddressFacts,
    InterfaceFacts,
    MembershipFacts,
    MetadataFacts,
    ProfileFacts,
    ScalingFacts,
)
from forensics.naming import TAG_CONTAINED, TAG_PROTECTED, tags

ALL_V4, ALL_V6 = "0.0.0.0/0", "::/0"
EVERYTHING: list[dict[str, object]] = [
    {"IpProtocol": "-1", "IpRanges": [{"CidrIp": ALL_V4}], "Ipv6Ranges": [{"CidrIpv6": ALL_V6}]}
]
DEFAULT_EGRESS: list[dict[str, object]] = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": ALL_V4}]}]
V6_EGRESS: list[dict[str, object]] = [{"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": ALL_V6}]}]
# EC2's default of connection tracking for established TCP, in seconds (5 days; Nitro v6 types: 350).
DEFAULT_IDLE_SECONDS = 432_000
UNREAD_ROLE = "${role:"


def ec2_call(operation: str, **params: object) -> ApiCall:
    """An EC2 call."""
    return ApiCall(service="ec2", operation=operation, params=params)


def protection(instance_id: str, *, attribute: str, value: bool) -> ApiCall:
    """``DisableApiTermination`` or ``DisableApiStop``; EC2 takes one attribute per call."""
    return ec2_call("modify_instance_attribute", InstanceId=instance_id, **{attribute: {"Value": value}})


def mark(case_id: str, *, ids: Sequence[str]) -> ApiCall:
    """Tag instance and interfaces as contained by this case."""
    return ec2_call("create_tags", Resources=list(ids), Tags=[{"Key": TAG_CONTAINED, "Value": case_id}])


def unmark(case_id: str, *, ids: Sequence[str]) -> ApiCall:
    """Take this case's tag off again; one of another case stays."""
    return ec2_call("delete_tags", Resources=list(ids), Tags=[{"Key": TAG_CONTAINED, "Value": case_id}])


def guard(case_id: str, *, instance_id: str) -> ApiCall:
    """Tag the instance as protected by this case while it is acquired."""
    return ec2_call("create_tags", Resources=[instance_id], Tags=[{"Key": TAG_PROTECTED, "Value": case_id}])


def unguard(case_id: str, *, instance_id: str) -> ApiCall:
    """Take that tag off again; one of another case stays."""
    return ec2_call("delete_tags", Resources=[instance_id], Tags=[{"Key": TAG_PROTECTED, "Value": case_id}])


def shutdown_behavior(instance_id: str, *, value: str) -> ApiCall:
    """What a shutdown from inside the guest does: ``stop`` or ``terminate``."""
    return ec2_call(
        "modify_instance_attribute", InstanceId=instance_id, InstanceInitiatedShutdownBehavior={"Value": value}
    )


def keep_volumes(instance_id: str, *, devices: list[str], delete: bool) -> ApiCall:
    """DeleteOnTermination of the volumes on these devices."""
    mappings = [{"DeviceName": d, "Ebs": {"DeleteOnTermination": delete}} for d in devices]
    return ec2_call("modify_instance_attribute", InstanceId=instance_id, BlockDeviceMappings=mappings)


def keep_interface(interface: InterfaceFacts, *, delete: bool) -> ApiCall:
    """DeleteOnTermination of an interface: it holds the addresses that attribution needs."""
    return ec2_call(
        "modify_network_interface_attribute",
        NetworkInterfaceId=interface.id,
        Attachment={"AttachmentId": interface.attachment_id, "DeleteOnTermination": delete},
    )


def auto_recovery(instance_id: str, *, value: str) -> ApiCall:
    """Simplified automatic recovery: it would move the instance to another host and lose its memory."""
    return ec2_call("modify_instance_maintenance_options", InstanceId=instance_id, AutoRecovery=value)


def interface_groups(interface_id: str, *, groups: list[str]) -> ApiCall:
    """Replace an interface's groups (ModifyInstanceAttribute fails with several interfaces)."""
    return ec2_call("modify_network_interface_attribute", NetworkInterfaceId=interface_id, Groups=groups)


def idle_timeout(interface_id: str, *, seconds: int) -> ApiCall:
    """Seconds after which a tracked, idle TCP connection is forgotten (60 is the least that EC2 takes)."""
    return ec2_call(
        "modify_network_interface_attribute",
        NetworkInterfaceId=interface_id,
        ConnectionTrackingSpecification={"TcpEstablishedTimeout": seconds},
    )


def create_group(case_id: str, *, name: str, vpc_id: str, purpose: str) -> ApiCall:
    """A new security group of this case."""
    return ec2_call(
        "create_security_group",
        GroupName=name,
        Description=f"Forensic {purpose} of case {case_id}",
        VpcId=vpc_id,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tags(case_id, purpose)}],
    )


def delete_group(group_id: str) -> ApiCall:
    """Remove a group that this product made."""
    return ec2_call("delete_security_group", GroupId=group_id)


def authorize(group_id: str, *, egress: bool, permissions: Sequence[Mapping[str, object]]) -> ApiCall:
    """Add rules to a group that this product made."""
    side = "egress" if egress else "ingress"
    return ec2_call(f"authorize_security_group_{side}", GroupId=group_id, IpPermissions=list(permissions))


def revoke(group_id: str, *, egress: bool, permissions: Sequence[Mapping[str, object]]) -> ApiCall:
    """Take rules from a group that this product made."""
    side = "egress" if egress else "ingress"
    return ec2_call(f"revoke_security_group_{side}", GroupId=group_id, IpPermissions=list(permissions))


def disassociate(address: AddressFacts) -> ApiCall:
    """Take an Elastic IP off; it stays allocated, so that it can be given back and traced."""
    return ec2_call("disassociate_address", AssociationId=address.association_id)


def associate(interface_id: str, *, address: AddressFacts) -> ApiCall:
    """Give an Elastic IP back to the private address it was on; never steals one that is in use elsewhere."""
    return ec2_call(
        "associate_address",
        AllocationId=address.allocation_id,
        NetworkInterfaceId=interface_id,
        PrivateIpAddress=address.private_ip,
        AllowReassociation=False,
    )


def metadata_off(instance_id: str) -> ApiCall:
    """Switch the instance metadata service off: no new credentials for anybody on the host."""
    return ec2_call(
        "modify_instance_metadata_options", InstanceId=instance_id, HttpEndpoint="disabled", HttpTokens="required"
    )


def metadata(instance_id: str, *, options: MetadataFacts) -> ApiCall:
    """Instance metadata options as they were."""
    return ec2_call(
        "modify_instance_metadata_options",
        InstanceId=instance_id,
        HttpEndpoint=options.endpoint,
        HttpTokens=options.tokens,
        HttpPutResponseHopLimit=options.hop_limit,
        HttpProtocolIpv6=options.ipv6,
        InstanceMetadataTags=options.tags,
    )


def replace_profile(association_id: str, *, name: str) -> ApiCall:
    """Give the instance another profile."""
    return ec2_call(
        "replace_iam_instance_profile_association", AssociationId=association_id, IamInstanceProfile={"Name": name}
    )


def drop_profile(association_id: str) -> ApiCall:
    """Take the profile off."""
    return ec2_call("disassociate_iam_instance_profile", AssociationId=association_id)


def give_profile(instance_id: str, *, name: str) -> ApiCall:
    """Give an instance without a profile one."""
    return ec2_call("associate_iam_instance_profile", InstanceId=instance_id, IamInstanceProfile={"Name": name})


def deny_policy_name(case_id: str) -> str:
    """Name of the inline policy that denies everything to the target's own sessions."""
    return f"{DEPLOYMENT}-deny-{case_id}"


def revoke_policy_name(case_id: str) -> str:
    """Name of the inline policy that denies everything to every session of the role that is older than it."""
    return f"{DEPLOYMENT}-revoke-{case_id}"


def deny_instance(case_id: str, *, profile: ProfileFacts, instance_id: str) -> ApiCall:
    """Deny everything to sessions of the role whose name is the instance id (EC2 names them so), and to no others.

    ``aws:userid`` is ``<role id>:<session name>``; source: IAM user guide, "Disabling permissions for temporary
    security credentials".
    """
    statement = {
        "Sid": "ForensicContainment",
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {"StringLike": {"aws:userid": f"*:{instance_id}"}},
    }
    return _put_policy(profile, name=deny_policy_name(case_id), statement=statement)


def revoke_role(case_id: str, *, profile: ProfileFacts, before: datetime) -> ApiCall:
    """Deny everything to every session of the role that was issued before a time (all users of the role)."""
    statement = {
        "Sid": "ForensicRevocation",
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {"DateLessThan": {"aws:TokenIssueTime": format_utc(before)}},
    }
    return _put_policy(profile, name=revoke_policy_name(case_id), statement=statement)


def role_reference(profile: ProfileFacts) -> str:
    """The role's name, or the placeholder that stands for it until IAM has said it."""
    return profile.role or f"{UNREAD_ROLE}{profile.name}}}"


def waits_for_role(call: ApiCall) -> bool:
    """Whether the call cannot be made before IAM has said which role a profile holds."""
    return str(call.params.get("RoleName", "")).startswith(UNREAD_ROLE)


def _put_policy(profile: ProfileFacts, *, name: str, statement: Mapping[str, object]) -> ApiCall:
    document = json.dumps({"Version": "2012-10-17", "Statement": [dict(statement)]}, sort_keys=True)
    return ApiCall(
        service="iam",
        operation="put_role_policy",
        params={"RoleName": role_reference(profile), "PolicyName": name, "PolicyDocument": document},
    )


def delete_policy(role: str, *, name: str) -> ApiCall:
    """Remove an inline policy that this product made."""
    return ApiCall(service="iam", operation="delete_role_policy", params={"RoleName": role, "PolicyName": name})


def scaling_call(operation: str, **params: object) -> ApiCall:
    """An Auto Scaling call."""
    return ApiCall(service="autoscaling", operation=operation, params=params)


def scale_in_protection(instance_id: str, *, facts: ScalingFacts, value: bool) -> ApiCall:
    """Whether the group may end this instance when it shrinks."""
    return scaling_call(
        "set_instance_protection",
        AutoScalingGroupName=facts.group,
        InstanceIds=[instance_id],
        ProtectedFromScaleIn=value,
    )


def leave_group(instance_id: str, *, facts: ScalingFacts, running: bool) -> ApiCall:
    """Standby, or detach where standby has no room to come back from; the group replaces the instance either way.

    AttachInstances takes running instances only, so a stopped one never leaves by detaching.
    """
    standby = facts.lifecycle == "InService" and (facts.desired < facts.maximum or not running)
    return scaling_call(
        "enter_standby" if standby else "detach_instances",
        AutoScalingGroupName=facts.group,
        InstanceIds=[instance_id],
        ShouldDecrementDesiredCapacity=False,
    )


def deregister(member: MembershipFacts) -> ApiCall:
    """Take the target out of a balancer."""
    return _registration(member, "deregister_targets", "deregister_instances_from_load_balancer")


def register(member: MembershipFacts) -> ApiCall:
    """Put the target back into a balancer."""
    return _registration(member, "register_targets", "register_instances_with_load_balancer")


def _registration(member: MembershipFacts, targets: str, classic: str) -> ApiCall:
    if member.kind == "elb":
        params = {"LoadBalancerName": member.balancer, "Instances": [{"InstanceId": member.target_id}]}
        return ApiCall(service="elb", operation=classic, params=params)
    target: dict[str, object] = {"Id": member.target_id}
    if member.port is not None:
        target["Port"] = member.port
    if member.zone and member.zone == "all":
        target["AvailabilityZone"] = member.zone
    return ApiCall(service="elbv2", operation=targets, params={"TargetGroupArn": member.balancer, "Targets": [target]})
