"""Auto Scaling: the target's membership in a group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.models.target_facts import ScalingFacts

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient


class AutoScalingGateway:
    """Typed Auto Scaling reads in one account and Region."""

    def __init__(self, client: AutoScalingClient, *, account_id: str, region: str) -> None:
        self._client = client
        self._where = f"in account {account_id}, {region}"

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account and Region."""
        return cls(session.autoscaling, account_id=session.account_id, region=session.region)

    def membership(self, instance_id: str, *, group: str | None = None) -> ScalingFacts | None:
        """The group that the instance is in, or None; of ``group``, which it has left, the lifecycle is "Detached"."""
        with aws_errors(f"look for the Auto Scaling group of {instance_id} {self._where}"):
            found = self._client.describe_auto_scaling_instances(InstanceIds=[instance_id])["AutoScalingInstances"]
        name = found[0]["AutoScalingGroupName"] if found else group
        if name is None:
            return None
        with aws_errors(f"describe Auto Scaling group {name} {self._where}"):
            groups = self._client.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
        if not groups:
            return None
        return ScalingFacts(
            group=name,
            lifecycle=found[0]["LifecycleState"] if found else "Detached",
            protected=bool(found[0].get("ProtectedFromScaleIn")) if found else False,
            desired=groups[0]["DesiredCapacity"],
            minimum=groups[0]["MinSize"],
            maximum=groups[0]["MaxSize"],
            target_groups=tuple(groups[0].get("TargetGroupARNs", [])),
        )
