"""Further control-plane facts of a target: what AWS shows of it without touching it, gathered before everything else.

Each fact is asked for by itself: one that AWS refuses is named with the reason, and the others are kept all the same.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.errors import AwsError

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client

Facts = dict[str, object]

# How far back pointers to CloudTrail and flow logs reach before the finding; they are pointers, nothing is read there.
WINDOW_BEFORE = timedelta(hours=24)
SCREENSHOT_LIMIT = 4 * 1024 * 1024


class ControlPlaneSnapshot:
    """Asks EC2, Auto Scaling and Elastic Load Balancing in one account and Region; clients are boto3's."""

    def __init__(
        self,
        *,
        ec2: EC2Client,
        autoscaling: AutoScalingClient,
        elbv2: ElasticLoadBalancingv2Client,
        account_id: str,
        region: str,
    ) -> None:
        self._ec2 = ec2
        self._autoscaling = autoscaling
        self._elbv2 = elbv2
        self.account_id = account_id
        self.region = region

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account and Region."""
        return cls(
            ec2=session.ec2,
            autoscaling=session.autoscaling,
            elbv2=session.elbv2,
            account_id=session.account_id,
            region=session.region,
        )

    @property
    def _where(self) -> str:
        return f"in account {self.account_id}, {self.region}"

    def gather(self, instance_id: str, *, vpc_id: str | None, now: datetime) -> tuple[Facts, list[str]]:
        """All facts by name, and one sentence for each that is missing."""
        asked: dict[str, Callable[[], object]] = {
            "user_data": lambda: self.user_data(instance_id),
            "metadata_options": lambda: self.metadata_options(instance_id),
            "screenshot_jpeg_base64": lambda: self.screenshot(instance_id),
            "auto_scaling": lambda: self.auto_scaling(instance_id),
            "target_groups": lambda: self.target_groups(instance_id, vpc_id=vpc_id),
            "flow_logs": lambda: self.flow_logs(vpc_id),
        }
        found: Facts = {"log_window": log_window(self.account_id, self.region, instance_id, now=now)}
        missing = []
        for name, ask in asked.items():
            try:
                found[name] = ask()
            except AwsError as error:
                found[name] = None
                missing.append(f"{name} is missing: {error}")
        return found, missing

    def user_data(self, instance_id: str) -> str | None:
        """User data as it was given, decoded; None when there is none. It may hold secrets: it is kept as evidence only."""
        with aws_errors(f"read user data of {instance_id} {self._where}"):
            answer = self._ec2.describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
        value = answer.get("UserData", {}).get("Value")
        return base64.b64decode(value).decode("utf-8", "replace") if value else None

    def metadata_options(self, instance_id: str) -> Facts:
        """IMDS options: tokens required, hop limit, endpoint."""
        with aws_errors(f"describe {instance_id} {self._where}"):
            answer = self._ec2.describe_instances(InstanceIds=[instance_id])
        instances = [i for r in answer["Reservations"] for i in r["Instances"]]
        return dict(instances[0].get("MetadataOptions", {})) if instances else {}

    def screenshot(self, instance_id: str) -> str | None:
        """Console screenshot (JPEG, base64); None when it is larger than any real one."""
        with aws_errors(f"get console screenshot of {instance_id} {self._where}"):
            image = str(self._ec2.get_console_screenshot(InstanceId=instance_id).get("ImageData", ""))
        return image if 0 < len(image) <= SCREENSHOT_LIMIT else None

    def auto_scaling(self, instance_id: str) -> Facts | None:
        """The instance's membership in an Auto Scaling group; None when it is in none."""
        with aws_errors(f"describe Auto Scaling membership of {instance_id} {self._where}"):
            answer = self._autoscaling.describe_auto_scaling_instances(InstanceIds=[instance_id])
        found = answer["AutoScalingInstances"]
        return dict(found[0]) if found else None

    def target_groups(self, instance_id: str, *, vpc_id: str | None) -> list[Facts]:
        """Target groups of the VPC in which the instance is registered, with its port and health there."""
        with aws_errors(f"describe target groups {self._where}"):
            pages = self._elbv2.get_paginator("describe_target_groups").paginate()
            groups = [g for page in pages for g in page["TargetGroups"] if not vpc_id or g.get("VpcId") == vpc_id]
        found: list[Facts] = []
        for group in groups:
            arn = group["TargetGroupArn"]
            with aws_errors(f"describe target health of {arn}"):
                health = self._elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
            mine = [h for h in health if h["Target"]["Id"] == instance_id]
            found += [{"arn": arn, "port": h["Target"].get("Port"), "state": h["TargetHealth"]["State"]} for h in mine]
        return found

    def flow_logs(self, vpc_id: str | None) -> list[Facts]:
        """Flow logs of the VPC: where its traffic records are, for the window in ``log_window``."""
        if vpc_id is None:
            return []
        with aws_errors(f"describe flow logs of {vpc_id} {self._where}"):
            answer = self._ec2.describe_flow_logs(Filters=[{"Name": "resource-id", "Values": [vpc_id]}])
        return [_flow_log(dict(log)) for log in answer["FlowLogs"]]


def _flow_log(log: Facts) -> Facts:
    kept = ("FlowLogId", "LogDestinationType", "LogDestination", "LogGroupName", "TrafficType", "FlowLogStatus")
    return {name: log[name] for name in kept if name in log}


def log_window(account_id: str, region: str, instance_id: str, *, now: datetime) -> dict[str, str]:
    """Where and when to look in CloudTrail and flow logs: pointers for people, nothing is fetched."""
    return {
        "from": (now - WINDOW_BEFORE).isoformat(),
        "to": now.isoformat(),
        "cloudtrail": f"account {account_id}, {region}: lookup by ResourceName {instance_id}, and by the instance role's session {instance_id}",
        "flow_logs": "records of the interfaces in this case's description, listed under flow_logs",
    }
