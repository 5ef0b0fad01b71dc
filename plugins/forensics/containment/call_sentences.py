"""What one call opens or closes, in a plain sentence. Pure.

The values in a sentence are AWS's names and ids; whoever shows one escapes it (``forensics.printable``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from forensics.models.containment import ApiCall

_Params = Mapping[str, Any]


def call_sentence(call: ApiCall) -> str:
    """One sentence; a call without one of its own is named with what it is made on."""
    say = _SENTENCES.get(str(call))
    return say(call.params) if say else f"Calls {call} with the parameters below"


def _interface(p: _Params) -> str:
    name = p["NetworkInterfaceId"]
    if "Groups" in p:
        return f"Network interface {name} gets exactly these security groups: {_list(p['Groups'])}; what their rules do not allow is closed"
    if "Attachment" in p:
        fate = "deleted" if p["Attachment"]["DeleteOnTermination"] else "kept"
        return f"Network interface {name} is {fate} when the instance ends"
    seconds = p["ConnectionTrackingSpecification"]["TcpEstablishedTimeout"]
    return f"Idle connections over {name} are forgotten after {seconds} seconds"


def _instance(p: _Params) -> str:
    name = p["InstanceId"]
    for attribute, what in (("DisableApiTermination", "terminated"), ("DisableApiStop", "stopped")):
        if attribute in p:
            verb = "can no longer" if p[attribute]["Value"] else "can again"
            return f"Instance {name} {verb} be {what} by a call"
    if "InstanceInitiatedShutdownBehavior" in p:
        return f"A shutdown from inside makes instance {name} {p['InstanceInitiatedShutdownBehavior']['Value']}"
    if "BlockDeviceMappings" in p:
        devices = p["BlockDeviceMappings"]
        fate = "deleted" if devices[0]["Ebs"]["DeleteOnTermination"] else "kept"
        return f"The volumes at {_list(d['DeviceName'] for d in devices)} are {fate} when {name} ends"
    return f"Attributes of instance {name} are changed"


def _metadata(p: _Params) -> str:
    if p["HttpEndpoint"] == "disabled":
        return f"Closes the metadata service of {p['InstanceId']}: programs on it get no new credentials"
    return f"Opens the metadata service of {p['InstanceId']} as it was: programs on it get credentials again"


def _protection(p: _Params) -> str:
    verb = "may not" if p["ProtectedFromScaleIn"] else "may"
    return f"Auto Scaling group {p['AutoScalingGroupName']} {verb} end {_list(p['InstanceIds'])} when it shrinks"


def _scaling(verb: str) -> Callable[[_Params], str]:
    return lambda p: f"{_list(p['InstanceIds'])} {verb} Auto Scaling group {p['AutoScalingGroupName']}"


def _size(p: _Params) -> str:
    name = "MaxSize" if "MaxSize" in p else "DesiredCapacity"
    return f"Auto Scaling group {p['AutoScalingGroupName']} gets {name} {p[name]}"


def _balancer(opens: bool) -> Callable[[_Params], str]:
    def say(p: _Params) -> str:
        name = p.get("TargetGroupArn") or p.get("LoadBalancerName")
        targets = _list(t.get("Id") or t.get("InstanceId") for t in p.get("Targets") or p.get("Instances") or ())
        return (
            f"Opens: {name} sends requests to {targets} again"
            if opens
            else f"Closes: {name} sends nothing to {targets}"
        )

    return say


def _rules(verb: str) -> Callable[[_Params], str]:
    return lambda p: f"{verb} rules of security group {p['GroupId']}, which this product made"


def _list(values: Any) -> str:
    return ", ".join(str(value) for value in values) or "none"


_SENTENCES: dict[str, Callable[[_Params], str]] = {
    "ec2.modify_network_interface_attribute": _interface,
    "ec2.modify_instance_attribute": _instance,
    "ec2.modify_instance_maintenance_options": (
        lambda p: f"Automatic recovery of {p['InstanceId']} (a move to another host) is {p['AutoRecovery']}"
    ),
    "ec2.create_tags": lambda p: (
        f"Marks {_list(p['Resources'])} as contained: the organization denies others to change it"
    ),
    "ec2.delete_tags": lambda p: f"Takes that mark from {_list(p['Resources'])}: its account may change it again",
    "ec2.create_security_group": lambda p: f"Makes the security group {p['GroupName']} in {p['VpcId']} for this case",
    "ec2.delete_security_group": lambda p: f"Deletes the security group {p['GroupId']}, which this product made",
    "ec2.authorize_security_group_ingress": _rules("Adds incoming"),
    "ec2.authorize_security_group_egress": _rules("Adds outgoing"),
    "ec2.revoke_security_group_ingress": _rules("Takes away incoming"),
    "ec2.revoke_security_group_egress": _rules("Takes away outgoing"),
    "ec2.disassociate_address": lambda p: f"Closes: the Elastic IP of association {p['AssociationId']} is taken off",
    "ec2.associate_address": (
        lambda p: (
            f"Opens: {p['NetworkInterfaceId']} gets its Elastic IP {p['AllocationId']} back and can be reached from outside"
        )
    ),
    "ec2.modify_instance_metadata_options": _metadata,
    "ec2.replace_iam_instance_profile_association": (
        lambda p: (
            f"The instance gets the instance profile {p['IamInstanceProfile']['Name']} and the permissions of its role"
        )
    ),
    "ec2.disassociate_iam_instance_profile": lambda p: "Closes: the instance loses its instance profile",
    "ec2.associate_iam_instance_profile": (
        lambda p: f"Opens: {p['InstanceId']} gets its instance profile {p['IamInstanceProfile']['Name']} back"
    ),
    "iam.put_role_policy": (
        lambda p: (
            f"Closes: policy {p['PolicyName']} on role {p['RoleName']} denies what it names, see the document below"
        )
    ),
    "iam.delete_role_policy": (
        lambda p: f"Opens: credentials of role {p['RoleName']} work again, policy {p['PolicyName']} is removed"
    ),
    "autoscaling.set_instance_protection": _protection,
    "autoscaling.enter_standby": _scaling("goes to standby in"),
    "autoscaling.exit_standby": _scaling("goes back into service in"),
    "autoscaling.detach_instances": _scaling("leaves"),
    "autoscaling.attach_instances": _scaling("joins again"),
    "autoscaling.update_auto_scaling_group": _size,
    "autoscaling.set_desired_capacity": _size,
    "elbv2.deregister_targets": _balancer(opens=False),
    "elbv2.register_targets": _balancer(opens=True),
    "elb.deregister_instances_from_load_balancer": _balancer(opens=False),
    "elb.register_instances_with_load_balancer": _balancer(opens=True),
}
