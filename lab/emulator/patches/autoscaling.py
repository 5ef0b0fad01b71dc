"""Auto Scaling: standby and detach as AWS does them: states that are checked, balancers that follow, a maximum that holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup

from lab.emulator.patches.patching import replace


def _members(backend: Any, group_name: str, instance_ids: list[str]) -> tuple[Any, list[Any]]:
    group = backend.autoscaling_groups.get(group_name)
    if group is None:
        raise AutoscalingClientError("ValidationError", f"AutoScalingGroup name not found - {group_name}")
    found = [s for s in group.instance_states if s.instance.id in instance_ids]
    if len(found) != len(instance_ids):
        missing = sorted(set(instance_ids) - {s.instance.id for s in found})
        raise AutoscalingClientError(
            "ValidationError", f"The instance {', '.join(missing)} is not part of Auto Scaling group {group_name}."
        )
    return group, found


def _check(found: list[Any], *, state: str) -> None:
    for member in found:
        if member.lifecycle_state != state:
            raise AutoscalingClientError("ValidationError", f"The instance {member.instance.id} is not in {state}.")


def _leave_balancers(backend: Any, group: Any, instance_ids: list[str]) -> None:
    for arn in group.target_group_arns:
        target_group = backend.elbv2_backend.target_groups[arn]
        for instance_id in instance_ids:
            target = target_group.targets.pop(instance_id, None)
            if target:
                target_group.deregistered_targets[instance_id] = target


def _enter(original: Callable[..., Any]) -> Callable[..., Any]:
    def enter_standby_instances(self: Any, group_name: str, instance_ids: list[str], should_decrement: bool) -> Any:
        group, found = _members(self, group_name, instance_ids)
        _check(found, state="InService")
        result = original(self, group_name, instance_ids, should_decrement)
        _leave_balancers(self, group, instance_ids)
        return result

    return enter_standby_instances


def _exit(original: Callable[..., Any]) -> Callable[..., Any]:
    def exit_standby_instances(self: Any, group_name: str, instance_ids: list[str]) -> Any:
        group, found = _members(self, group_name, instance_ids)
        _check(found, state="Standby")
        if group.desired_capacity + len(instance_ids) > group.max_size:
            raise AutoscalingClientError(
                "ValidationError",
                f"AutoScalingGroup {group_name} has min-size={group.min_size}, max-size={group.max_size}, and "
                f"desired-size={group.desired_capacity}. To place into service {len(instance_ids)} more instance(s), "
                f"please update the AutoScalingGroup sizes appropriately.",
            )
        result = original(self, group_name, instance_ids)
        for arn in group.target_group_arns:
            target_group = self.elbv2_backend.target_groups[arn]
            for instance_id in instance_ids:
                target_group.targets[instance_id] = {"Id": instance_id, "Port": target_group.port}
                target_group.deregistered_targets.pop(instance_id, None)
        return result

    return exit_standby_instances


def _detach(original: Callable[..., Any]) -> Callable[..., Any]:
    def detach_instances(self: Any, group_name: str, instance_ids: list[str], should_decrement: bool) -> Any:
        # stock moto accepts an instance that is not a member
        group, _found = _members(self, group_name, instance_ids)
        result = original(self, group_name, instance_ids, should_decrement)
        _leave_balancers(self, group, instance_ids)
        return result

    return detach_instances


def _protect(original: Callable[..., None]) -> Callable[..., None]:
    def set_instance_protection(
        self: Any, group_name: str, instance_ids: list[str], protected_from_scale_in: bool | None
    ) -> None:
        # stock moto silently ignores what it does not know
        _members(self, group_name, instance_ids)
        original(self, group_name, instance_ids, protected_from_scale_in)

    return set_instance_protection


def _follow(_original: Callable[..., None]) -> Callable[..., None]:
    def update_attached_target_groups(self: Any, group_name: str) -> None:
        """Target groups hold the members that are in service; a stopped one is not put in (RegisterTargets refuses it)."""
        group = self.autoscaling_groups[group_name]
        for arn in group.target_group_arns:
            target_group = self.elbv2_backend.target_groups[arn]
            for member in group.active_instances():
                known = member.instance.id in target_group.targets
                if not known and member.instance.state in ("pending", "running"):
                    target_group.targets[member.instance.id] = {"Id": member.instance.id, "Port": target_group.port}
            for instance_id in list(target_group.targets):
                instance = self.ec2_backend.get_instance_by_id(instance_id)
                if instance is not None and instance.state in ("terminated", "shutting-down"):
                    target_group.terminated_targets[instance_id] = target_group.targets.pop(instance_id)

    return update_attached_target_groups


def _set_capacity(original: Callable[..., None]) -> Callable[..., None]:
    def set_desired_capacity(self: Any, group_name: str, desired_capacity: int | None) -> None:
        group = self.autoscaling_groups[group_name]
        if desired_capacity is not None and not group.min_size <= desired_capacity <= group.max_size:
            raise AutoscalingClientError(
                "ValidationError",
                f"New SetDesiredCapacity value {desired_capacity} is outside the bounds of the group "
                f"({group.min_size} to {group.max_size}).",
            )
        original(self, group_name, desired_capacity)
        self.update_attached_target_groups(group_name)

    return set_desired_capacity


def _end(member: Any) -> None:
    """A group ends its member also where the instance has termination protection (Auto Scaling user guide, "Health checks")."""
    member.instance.disable_api_termination = False


def _shrink(original: Callable[..., None]) -> Callable[..., None]:
    def set_desired_capacity(self: Any, new_capacity: int | None) -> None:
        # stock moto also chooses members in standby, which no group ends when it shrinks
        standby = [s for s in self.instance_states if s.lifecycle_state != "InService"]
        before = [s.protected_from_scale_in for s in standby]
        for member in standby:
            member.protected_from_scale_in = True
        surplus = len(self.active_instances()) - (self.min_size if new_capacity is None else new_capacity)
        for member in [s for s in self.instance_states if not s.protected_from_scale_in][: max(0, surplus)]:
            _end(member)
        original(self, new_capacity)
        for member, protected in zip(standby, before, strict=True):
            member.protected_from_scale_in = protected

    return set_desired_capacity


def _health(original: Callable[..., None]) -> Callable[..., None]:
    def set_instance_health(self: Any, instance_id: str, health_status: str) -> None:
        """An unhealthy member in service is replaced at once; one in standby is not looked at (user guide, "Standby")."""
        original(self, instance_id, health_status)
        if health_status != "Unhealthy":
            return
        for group in self.autoscaling_groups.values():
            for member in [s for s in group.instance_states if s.instance.id == instance_id]:
                if member.lifecycle_state == "InService":
                    _end(member)
                    self.ec2_backend.terminate_instances([instance_id])
                    group.instance_states.remove(member)
                    group.set_desired_capacity(group.desired_capacity)

    return set_instance_health


def apply() -> None:
    """Install the patch."""
    replace(FakeAutoScalingGroup, "set_desired_capacity", _shrink)
    replace(AutoScalingBackend, "set_instance_health", _health)
    replace(AutoScalingBackend, "enter_standby_instances", _enter)
    replace(AutoScalingBackend, "exit_standby_instances", _exit)
    replace(AutoScalingBackend, "detach_instances", _detach)
    replace(AutoScalingBackend, "set_instance_protection", _protect)
    replace(AutoScalingBackend, "update_attached_target_groups", _follow)
    replace(AutoScalingBackend, "set_desired_capacity", _set_capacity)
