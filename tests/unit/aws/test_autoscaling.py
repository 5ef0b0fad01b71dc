"""Auto Scaling: which group the target is in, also when it has just left it."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import Stubber

from forensics.aws.autoscaling import AutoScalingGateway
from forensics.errors import AccessDeniedError
from forensics.models.target_facts import ScalingFacts
from tests.unit.aws.conftest import Stub
from tests.unit.builders import INSTANCE

GROUP: dict[str, Any] = {
    "AutoScalingGroupName": "web",
    "MinSize": 1,
    "MaxSize": 4,
    "DesiredCapacity": 2,
    "DefaultCooldown": 300,
    "AvailabilityZones": ["eu-central-1a"],
    "HealthCheckType": "EC2",
    "CreatedTime": 0,
    "TargetGroupARNs": ["arn:aws:elasticloadbalancing:eu-central-1:333344445555:targetgroup/web/1"],
}
MEMBER: dict[str, Any] = {
    "InstanceId": INSTANCE,
    "AutoScalingGroupName": "web",
    "AvailabilityZone": "eu-central-1a",
    "LifecycleState": "InService",
    "HealthStatus": "HEALTHY",
    "ProtectedFromScaleIn": True,
}


@pytest.fixture
def stub(stubbed: Stub) -> Stubber:
    """Auto Scaling."""
    return stubbed("autoscaling")


def membership(stub: Stubber, group: str | None = None) -> ScalingFacts | None:
    gateway = AutoScalingGateway(stub.client, account_id="333344445555", region="eu-central-1")
    return gateway.membership(INSTANCE, group=group)


def answers(stub: Stubber, *, members: list[dict[str, Any]], groups: list[dict[str, Any]] | None = None) -> None:
    stub.add_response("describe_auto_scaling_instances", {"AutoScalingInstances": members}, {"InstanceIds": [INSTANCE]})
    if groups is not None:
        stub.add_response(
            "describe_auto_scaling_groups", {"AutoScalingGroups": groups}, {"AutoScalingGroupNames": ["web"]}
        )


def test_a_member_is_described_with_its_group(stub: Stubber) -> None:
    answers(stub, members=[MEMBER], groups=[GROUP])
    assert membership(stub) == ScalingFacts(
        group="web",
        lifecycle="InService",
        protected=True,
        desired=2,
        minimum=1,
        maximum=4,
        target_groups=tuple(GROUP["TargetGroupARNs"]),
    )


def test_an_instance_in_no_group_has_no_membership(stub: Stubber) -> None:
    answers(stub, members=[])
    assert membership(stub) is None


def test_an_instance_that_left_its_group_is_detached(stub: Stubber) -> None:
    answers(stub, members=[], groups=[GROUP])
    found = membership(stub, group="web")
    assert found is not None
    assert (found.group, found.lifecycle, found.protected, found.desired) == ("web", "Detached", False, 2)


def test_a_group_that_is_gone_is_none(stub: Stubber) -> None:
    answers(stub, members=[], groups=[])
    assert membership(stub, group="web") is None


def test_a_refusal_names_instance_account_and_region(stub: Stubber) -> None:
    stub.add_client_error("describe_auto_scaling_instances", "AccessDenied")
    with pytest.raises(AccessDeniedError, match=f"group of {INSTANCE} in account 333344445555, eu-central-1"):
        membership(stub)
