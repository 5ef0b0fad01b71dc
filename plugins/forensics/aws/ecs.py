"""ECS: on which EC2 instance a task runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.errors import ResourceGoneError

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient

_EC2_INSTANCE = re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})")
# "Stopped tasks only appear in the returned results for at least one hour" (Amazon ECS API reference, ListTasks).
UNKNOWN = "ECS does not know it (a task that has stopped is shown for about an hour)"


@dataclass(frozen=True)
class TaskHost:
    """The EC2 instance of a task; empty when there is none, and then ``why``."""

    instance_id: str = ""
    why: str = ""


class EcsGateway:
    """Describe calls about tasks in one account and Region."""

    def __init__(self, client: ECSClient, *, account_id: str, region: str) -> None:
        self._ecs = client
        self._where = f"in account {account_id}, {region}"

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account and Region."""
        return cls(session.ecs, account_id=session.account_id, region=session.region)

    def host(self, cluster: str, task: str) -> TaskHost:
        """Where a task runs or ran: its container instance is an EC2 instance, a machine of its owner's, or there is none.

        Source: Amazon ECS API reference, Task (containerInstanceArn, launchType) and ContainerInstance (ec2InstanceId).
        """
        try:
            with aws_errors(f"describe task {task} of cluster {cluster} {self._where}"):
                found = self._ecs.describe_tasks(cluster=cluster, tasks=[task])["tasks"]
        except ResourceGoneError:
            return TaskHost(why=UNKNOWN)
        if not found:
            return TaskHost(why=UNKNOWN)
        arn = found[0].get("containerInstanceArn")
        if not arn:
            return TaskHost(why=f"it runs on a machine of AWS (launch type {found[0].get('launchType', 'not said')})")
        return self._instance(cluster, arn)

    def _instance(self, cluster: str, arn: str) -> TaskHost:
        name = arn.rpartition("/")[2]
        with aws_errors(f"describe container instance {name} of cluster {cluster} {self._where}"):
            found = self._ecs.describe_container_instances(cluster=cluster, containerInstances=[arn])[
                "containerInstances"
            ]
        instance = found[0].get("ec2InstanceId", "") if found else ""
        if _EC2_INSTANCE.fullmatch(instance):
            return TaskHost(instance)
        if instance:
            return TaskHost(why=f"it runs on {instance}, which is no EC2 instance (ECS Anywhere)")
        return TaskHost(why=f"its container instance {name} is not registered any more")
