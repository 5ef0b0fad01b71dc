"""SSM: which instances are managed, and whether their agents can reach AWS."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.ssm.responses import SimpleSystemManagerResponse

from lab.emulator.network import network
from lab.emulator.patches import state
from lab.emulator.patches.ec2_instances import running_since
from lab.emulator.patches.patching import add

AGENT_VERSION = "3.3.2746.0"
HTTPS = 443


def find_instance(account: str, region: str, instance_id: str) -> Any:
    """moto's instance, or None."""
    return ec2_backends[account][region].get_instance_by_id(instance_id)


def agent_reachable(account: str, region: str, instance_id: str) -> bool:
    """True when a group of any interface lets the instance out on tcp/443.

    That is: anywhere, to a group or a prefix list, or into its own VPC, where the endpoints are.
    """
    instance = find_instance(account, region, instance_id)
    if instance is None:
        return False
    vpc = ec2_backends[account][region].get_vpc(instance.vpc_id) if instance.vpc_id else None
    network = ipaddress.ip_network(vpc.cidr_block) if vpc is not None else None
    return any(
        _lets_out(rule, network)
        for interface in list(instance.nics.values())
        for group in list(interface._group_set)
        for rule in list(group.egress_rules)
    )


def _lets_out(rule: Any, network: Any) -> bool:
    if rule.ip_protocol not in ("-1", "tcp", "6"):
        return False
    if rule.ip_protocol != "-1" and not int(rule.from_port) <= HTTPS <= int(rule.to_port):
        return False
    if rule.source_group or rule.prefix_list_id:
        return True
    cidr = rule.ip_range.get("CidrIp") or rule.ip_range.get("CidrIpv6")
    if not cidr:
        return False
    target = ipaddress.ip_network(cidr, strict=False)
    return target.prefixlen == 0 or (network is not None and target.version == 4 and target.overlaps(network))


def ping_status(account: str, region: str, instance_id: str) -> str | None:
    """Online, ConnectionLost, or None when the instance is not managed (yet)."""
    here = state.current()
    record = here.instance(instance_id)
    if record is None or not record["managed"] or (record["account"], record["region"]) != (account, region):
        return None
    instance = find_instance(account, region, instance_id)
    since = running_since(instance) if instance is not None else None
    if since is None or state.monotonic() < since + here.config.agent_seconds:
        return None
    reaches = agent_reachable(account, region, instance_id) and network.current().agent_path(
        account, region, instance_id
    )
    return "Online" if reaches else "ConnectionLost"


def managed_instances(account: str, region: str) -> list[dict[str, Any]]:
    """The answer of DescribeInstanceInformation, in the order of registration."""
    found = []
    for record in state.current().instances():
        status = ping_status(account, region, record["instance_id"])
        instance = find_instance(account, region, record["instance_id"])
        if status is None or instance is None:
            continue
        windows = "windows" in str(record["platform_name"]).lower()
        found.append(
            {
                "InstanceId": record["instance_id"],
                "PingStatus": status,
                "LastPingDateTime": datetime.now(UTC),
                "AgentVersion": AGENT_VERSION,
                "IsLatestVersion": True,
                "PlatformType": "Windows" if windows else "Linux",
                "PlatformName": record["platform_name"],
                "PlatformVersion": record["platform_version"],
                "ResourceType": "EC2Instance",
                "IPAddress": instance.private_ip,
                "ComputerName": record["hostname"],
                "SourceId": record["instance_id"],
                "SourceType": "AWS::EC2::Instance",
            }
        )
    return found


_FILTER_FIELDS = {
    "InstanceIds": "InstanceId",
    "PingStatus": "PingStatus",
    "PlatformTypes": "PlatformType",
    "AgentVersion": "AgentVersion",
    "ResourceType": "ResourceType",
}


def _describe(self: Any) -> ActionResult:
    matches = managed_instances(self.current_account, self.region)
    old_style = self._get_param("InstanceInformationFilterList") or []
    filters = [(f["Key"], f["Values"]) for f in self._get_param("Filters") or []]
    filters += [(f["key"], f["valueSet"]) for f in old_style]
    for name, values in filters:
        if name.startswith("tag:"):
            tagged = set()
            for item in matches:
                instance = find_instance(self.current_account, self.region, item["InstanceId"])
                tags = {tag["key"]: tag["value"] for tag in instance.get_tags()}
                if tags.get(name[4:]) in values:
                    tagged.add(item["InstanceId"])
            matches = [item for item in matches if item["InstanceId"] in tagged]
        elif name in _FILTER_FIELDS:
            matches = [item for item in matches if item[_FILTER_FIELDS[name]] in values]
    return ActionResult({"InstanceInformationList": matches})


def apply() -> None:
    """Install the patch."""
    add(SimpleSystemManagerResponse, "describe_instance_information", _describe)
