"""Who can end a protected instance in the lab: nobody by EC2, its Auto Scaling group always, unless it is in standby."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.lab.conftest import MEMBER, Lab, Network


class Group:
    """A group of two, one of them with every protection that EC2 has."""

    def __init__(self, lab: Lab, network: Network, name: str) -> None:
        self.name, self.ec2, self.scaling = name, network.ec2, lab.client("autoscaling", MEMBER)
        self.scaling.create_launch_configuration(
            LaunchConfigurationName=name, ImageId="ami-0123456789abcdef0", InstanceType="t3.small"
        )
        self.scaling.create_auto_scaling_group(
            AutoScalingGroupName=name, LaunchConfigurationName=name, MinSize=0, MaxSize=3, DesiredCapacity=2,
            VPCZoneIdentifier=network.subnet,
        )  # fmt: skip
        self.protected = self.members()[0]
        for attribute in ("DisableApiTermination", "DisableApiStop"):
            self.ec2.modify_instance_attribute(InstanceId=self.protected, **{attribute: {"Value": True}})

    def members(self) -> list[str]:
        """Ids of the group's instances."""
        group = self.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])["AutoScalingGroups"][0]
        return [instance["InstanceId"] for instance in group["Instances"]]

    def alive(self) -> bool:
        """Whether the protected instance has not ended."""
        found = self.ec2.describe_instances(InstanceIds=[self.protected])["Reservations"][0]["Instances"][0]
        return found["State"]["Name"] in {"pending", "running"}

    def standby(self) -> None:
        """The protected instance leaves service; the group replaces it."""
        self.scaling.enter_standby(
            AutoScalingGroupName=self.name, InstanceIds=[self.protected], ShouldDecrementDesiredCapacity=False
        )

    def unhealthy(self) -> None:
        """A health check of the protected instance fails."""
        self.scaling.set_instance_health(InstanceId=self.protected, HealthStatus="Unhealthy")

    def shrink(self) -> None:
        """The group needs nobody any more."""
        self.scaling.set_desired_capacity(AutoScalingGroupName=self.name, DesiredCapacity=0)


ENDS: list[Callable[[Group], Any]] = [Group.unhealthy, Group.shrink]


@pytest.fixture
def group(lab: Lab, network: Network) -> Group:
    """A fresh one."""
    return Group(lab, network, f"g-{uuid.uuid4().hex[:8]}")


def test_ec2_refuses_to_end_or_stop_it(group: Group) -> None:
    for call in (group.ec2.terminate_instances, group.ec2.stop_instances):
        with pytest.raises(ClientError) as caught:
            call(InstanceIds=[group.protected])
        assert caught.value.response["Error"]["Code"] == "OperationNotPermitted"
    assert group.alive()


@pytest.mark.parametrize("end", ENDS)
def test_its_group_ends_it_all_the_same(group: Group, end: Callable[[Group], Any]) -> None:
    end(group)
    assert not group.alive() and group.protected not in group.members()


@pytest.mark.parametrize("end", ENDS)
def test_in_standby_it_is_left_alone(group: Group, end: Callable[[Group], Any]) -> None:
    group.standby()
    assert len(group.members()) == 3, "the group has replaced it"
    end(group)
    assert group.alive() and group.protected in group.members()


def test_a_group_that_shrinks_leaves_what_is_protected_from_scale_in(group: Group) -> None:
    group.scaling.set_instance_protection(
        AutoScalingGroupName=group.name, InstanceIds=[group.protected], ProtectedFromScaleIn=True
    )
    group.scaling.set_desired_capacity(AutoScalingGroupName=group.name, DesiredCapacity=1)
    assert group.alive() and group.members() == [group.protected]
