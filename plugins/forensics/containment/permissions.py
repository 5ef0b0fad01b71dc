"""The IAM permissions that a containment call needs, for calls without ``DryRun``. Pure.

Source: service authorization reference of Amazon EC2, EC2 Auto Scaling, Elastic Load Balancing (both generations) and IAM.
"""

from __future__ import annotations

from forensics.models.containment import ApiCall, Permission
from forensics.naming import instance_arn, role_arn
from forensics.partitions import arn

# boto3's name of a service -> prefix of its actions
PREFIXES = {"ec2": "ec2", "autoscaling": "autoscaling", "elb": "elasticloadbalancing", "elbv2": "elasticloadbalancing"}


def permission(call: ApiCall, *, operation: str, account: str, region: str, instance_id: str) -> Permission:
    """The permission that a call itself needs; ``operation`` is its name in the API (``EnterStandby``).

    Roles are named without a path, groups of Auto Scaling without the unique part of their ARN: policies for
    containment can know neither of them.
    """
    params = call.params
    match call.service:
        case "autoscaling":
            group = f"autoScalingGroup:*:autoScalingGroupName/{params['AutoScalingGroupName']}"
            resource = arn("autoscaling", group, region=region, account=account)
        case "elb":
            balancer = f"loadbalancer/{params['LoadBalancerName']}"
            resource = arn("elasticloadbalancing", balancer, region=region, account=account)
        case "elbv2":
            resource = str(params["TargetGroupArn"])
        case "iam":
            resource = role_arn(account, str(params["RoleName"]), region=region)
        case _:
            resource = instance_arn(account, region, instance_id)
    return Permission(f"{PREFIXES.get(call.service, call.service)}:{operation}", resource)


def given_profile(call: ApiCall) -> str | None:
    """Name of the instance profile that a call gives to the target (whose role it has to pass), if it gives one."""
    profile = call.params.get("IamInstanceProfile")
    return str(profile["Name"]) if isinstance(profile, dict) else None


def passing(role_arn: str) -> Permission:
    """The permission to pass a role to an instance."""
    return Permission("iam:PassRole", role_arn, {"iam:PassedToService": "ec2.amazonaws.com"})
