"""EC2: an interface has exactly its own security groups, an instance those of its primary interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.ec2.exceptions import EC2ClientError, InvalidSecurityGroupNotFoundError
from moto.ec2.models.elastic_network_interfaces import NetworkInterface, NetworkInterfaceBackend
from moto.ec2.models.instances import Instance, InstanceBackend
from moto.ec2.models.security_groups import SecurityGroupBackend
from moto.ec2.models.subnets import Subnet

from lab.emulator.patches.patching import add, replace


def _find_groups(backend: Any, group_ids: list[str], *, vpc_id: str | None) -> list[Any]:
    groups = []
    for group_id in group_ids:
        group = backend.get_security_group_from_id(group_id)
        if group is None:
            raise InvalidSecurityGroupNotFoundError(group_id)
        if vpc_id and group.vpc_id != vpc_id:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"You have specified two resources that belong to different networks: "
                f"the security group '{group_id}' is not in VPC '{vpc_id}'",
            )
        groups.append(group)
    return groups


def _get_instance_groups(self: Any) -> list[Any]:
    nics = self.__dict__.get("nics")
    if nics and 0 in nics:
        return list(nics[0]._group_set)
    return self.__dict__.get("_launch_groups", [])


def _set_instance_groups(self: Any, groups: list[Any]) -> None:
    nics = self.__dict__.get("nics")
    if nics and 0 in nics:
        nics[0]._group_set = list(groups)
    else:
        self.__dict__["_launch_groups"] = groups


def _modify_instance_groups(_original: Callable[..., Any]) -> Callable[..., Any]:
    def modify_instance_security_groups(self: Any, instance_id: str, new_group_id_list: list[str]) -> Any:
        instance = self.get_instance(instance_id)
        if instance.state in ("terminated", "shutting-down"):
            raise EC2ClientError(
                "IncorrectInstanceState",
                f"The instance '{instance_id}' is not in the 'running' or 'stopped' state",
            )
        if len(instance.nics) > 1:
            raise EC2ClientError(
                "InvalidInstanceID",
                f"There are multiple interfaces attached to instance '{instance_id}'. "
                f"Please specify an interface ID for the operation instead.",
            )
        instance.security_groups = _find_groups(self, new_group_id_list, vpc_id=instance.vpc_id)
        return instance

    return modify_instance_security_groups


def _modify_interface(original: Callable[..., None]) -> Callable[..., None]:
    def modify_network_interface_attribute(
        self: Any,
        eni_id: str,
        group_ids: list[str],
        source_dest_check: bool | None = None,
        description: str | None = None,
    ) -> None:
        interface = self.get_network_interface(eni_id)
        groups = _find_groups(self, group_ids or [], vpc_id=interface.vpc_id)
        original(self, eni_id, [], source_dest_check, description)
        if groups:
            interface._group_set = groups

    return modify_network_interface_attribute


def _create_interface(original: Callable[..., Any]) -> Callable[..., Any]:
    def create_network_interface(
        self: Any,
        subnet: Any,
        private_ip_address: Any,
        private_ip_addresses: Any = None,
        group_ids: list[str] | None = None,
        *rest: Any,
        **kwargs: Any,
    ) -> Any:
        # stock moto makes up a group with whatever id it does not know
        _find_groups(self, group_ids or [], vpc_id=None)
        return original(self, subnet, private_ip_address, private_ip_addresses, group_ids, *rest, **kwargs)

    return create_network_interface


def _prepare_interfaces(original: Callable[..., None]) -> Callable[..., None]:
    def prep_nics(self: Any, nic_spec: list[dict[str, Any]], **kwargs: Any) -> None:
        kept = {
            int(nic.get("DeviceIndex", 0))
            for nic in nic_spec
            if nic.get("NetworkInterfaceId") or nic.get("DeleteOnTermination") is False
        }
        original(self, nic_spec, **kwargs)
        # AWS deletes an interface that it made at launch with the instance, unless configured otherwise
        for index, interface in self.nics.items():
            if index not in kept:
                interface.delete_on_termination = True

    return prep_nics


def _delete_group(original: Callable[..., Any]) -> Callable[..., Any]:
    def delete_security_group(self: Any, name: str | None = None, group_id: str | None = None) -> Any:
        users = [e.id for e in self.enis.values() if group_id and group_id in [g.id for g in e._group_set]]
        if users:
            raise EC2ClientError("DependencyViolation", f"resource {group_id} has a dependent object")
        return original(self, name, group_id)

    return delete_security_group


def _ipv6_blocks(original: property) -> property:
    def ipv6_cidr_block_association_set(self: Any) -> list[dict[str, Any]]:
        """The blocks; stock moto puts the state, which is a structure already, into another one."""
        blocks = original.__get__(self)
        return [{**block, "ipv6CidrBlockState": {"state": "associated"}} for block in blocks]

    return property(ipv6_cidr_block_association_set)


def apply() -> None:
    """Install the patch."""
    replace(NetworkInterface, "group_set", lambda _original: property(lambda self: list(self._group_set)))
    add(Instance, "security_groups", property(_get_instance_groups, _set_instance_groups))
    replace(Instance, "prep_nics", _prepare_interfaces)
    replace(InstanceBackend, "modify_instance_security_groups", _modify_instance_groups)
    replace(NetworkInterfaceBackend, "modify_network_interface_attribute", _modify_interface)
    replace(NetworkInterfaceBackend, "create_network_interface", _create_interface)
    replace(Subnet, "ipv6_cidr_block_association_set", _ipv6_blocks)
    replace(SecurityGroupBackend, "delete_security_group", _delete_group)
