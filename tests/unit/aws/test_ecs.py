"""Where a task runs. Shapes: Amazon ECS API reference, DescribeTasks, DescribeContainerInstances, Failure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.stub import Stubber

from forensics.aws.ecs import UNKNOWN, EcsGateway, TaskHost
from forensics.errors import AccessDeniedError
from tests.unit.builders import ACCOUNT, INSTANCE, REGION
from tests.unit.moto_store import make_client

TASK = "fedcba9876543210fedcba9876543210"
HOST = f"arn:aws:ecs:{REGION}:{ACCOUNT}:container-instance/web/0123456789abcdef0123456789abcdef"


@pytest.fixture
def ecs() -> Iterator[Stubber]:
    """ECS that answers what a test has put down."""
    with Stubber(make_client("ecs")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def host(ecs: Stubber) -> TaskHost:
    return EcsGateway(ecs.client, account_id=ACCOUNT, region=REGION).host("web", TASK)


def answers(ecs: Stubber, task: dict[str, Any], *instances: dict[str, Any]) -> None:
    ecs.add_response("describe_tasks", {"tasks": [task]}, {"cluster": "web", "tasks": [TASK]})
    if "containerInstanceArn" in task:
        ecs.add_response(
            "describe_container_instances", {"containerInstances": list(instances)}, {"cluster": "web", "containerInstances": [HOST]}
        )  # fmt: skip


def test_a_task_on_a_container_instance_is_on_its_ec2_instance(ecs: Stubber) -> None:
    answers(ecs, {"containerInstanceArn": HOST, "launchType": "EC2"}, {"ec2InstanceId": INSTANCE})
    assert host(ecs) == TaskHost(INSTANCE)


@pytest.mark.parametrize(
    ("task", "instances", "why"),
    [
        ({"launchType": "FARGATE"}, [], "machine of AWS (launch type FARGATE)"),
        ({"containerInstanceArn": HOST}, [{"ec2InstanceId": "mi-0123456789abcdef0"}], "ECS Anywhere"),
        ({"containerInstanceArn": HOST}, [], "not registered any more"),
    ],
)
def test_a_task_without_an_ec2_instance_says_why(
    ecs: Stubber, task: dict[str, Any], instances: list[dict[str, Any]], why: str
) -> None:
    answers(ecs, task, *instances)
    found = host(ecs)
    assert found.instance_id == "" and why in found.why


def test_what_ecs_does_not_know_any_more_is_no_error(ecs: Stubber) -> None:
    ecs.add_response("describe_tasks", {"tasks": [], "failures": [{"arn": TASK, "reason": "MISSING"}]})
    assert host(ecs).why == UNKNOWN
    ecs.add_client_error("describe_tasks", "ClusterNotFoundException")
    assert host(ecs).why == UNKNOWN
    ecs.add_client_error("describe_tasks", "AccessDeniedException")
    with pytest.raises(AccessDeniedError, match=f"describe task {TASK} of cluster web in account {ACCOUNT}"):
        host(ecs)
