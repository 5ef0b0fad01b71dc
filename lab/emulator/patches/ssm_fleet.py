"""SSM: which instances are managed, and whether their agents can reach AWS."""

from __future__ import annotations

import dataclasses
import ipaddress
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.ssm.responses import SimpleSystemManagerResponse

from lab.emulator.network import network
from lab.emulator.patches import accounts, state
from lab.emulator.patches.ec2_instances import running_since
from lab.emulator.patches.patching import add

_FADING = ("stopping", "shutting-down")
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


@dataclasses.dataclass
class _Shown:
    """The PingStatus that SSM shows of an instance, what it should show, and since when it should."""

    status: str | None
    truth: str | None
    since: float


_shown: dict[str, _Shown] = {}
_had_commands: set[str] = set()


def forget() -> None:
    """Drop what was shown of instances; used when a new state folder is opened."""
    _shown.clear()
    _had_commands.clear()


def is_first(instance_id: str) -> bool:
    """Whether this is the first command for an instance that was registered as fresh; asking uses it up."""
    record = state.current().instance(instance_id) or {}
    first = bool(record.get("fresh")) and instance_id not in _had_commands
    _had_commands.add(instance_id)
    return first


def shown_status(account: str, region: str, instance_id: str) -> str | None:
    """The PingStatus that SSM shows: the agent's last one until SSM notices that it has changed.

    Recorded by radkawar/stackd (testdata/aws/ssm, managed_execution_timeouts_current.json and managed_execution_current.json):
    the stopped agent of a running instance stays Online; an instance that EC2 calls stopped is not listed. SSM notices
    ``ssm_ping_seconds`` after somebody looked first. A fresh instance is listed as ConnectionLost until then.
    """
    truth, now = ping_status(account, region, instance_id), state.monotonic()
    known = _shown.get(instance_id)
    if known is None or known.status is None:
        fresh = truth == "Online" and bool((state.current().instance(instance_id) or {}).get("fresh"))
        known = _shown[instance_id] = _Shown("ConnectionLost" if fresh else truth, truth, now)
    if truth is None:
        instance = find_instance(account, region, instance_id)
        if instance is None or instance.state not in _FADING:
            known.status = known.truth = None
        return known.status
    if truth != known.truth:
        known.truth, known.since = truth, now
    if now >= known.since + state.current().config.ssm_ping_seconds:
        known.status = truth
    return known.status


def ping_status(account: str, region: str, instance_id: str) -> str | None:
    """What is true of an agent: Online, ConnectionLost, or None when the instance is not managed (yet)."""
    here = state.current()
    record = here.instance(instance_id)
    if record is None or not record["managed"] or (record["account"], record["region"]) != (account, region):
        return None
    instance = find_instance(account, region, instance_id)
    since = running_since(instance) if instance is not None else None
    if since is None or state.monotonic() < since + here.config.agent_seconds:
        return None
    if record.get("agent_stopped"):
        return "ConnectionLost"
    reaches = agent_reachable(account, region, instance_id) and network.current().agent_path(
        account, region, instance_id
    )
    return "Online" if reaches else "ConnectionLost"


def managed_instances(account: str, region: str, *, status_of: Any = shown_status) -> list[dict[str, Any]]:
    """The answer of DescribeInstanceInformation, in the order of registration."""
    found = []
    for record in state.current().instances():
        status = status_of(account, region, record["instance_id"])
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
    # root keys are tests that look from outside: they see what is true
    sees_all = accounts.from_outside(self.get_access_key())
    status_of = ping_status if sees_all else shown_status
    matches = managed_instances(self.current_account, self.region, status_of=status_of)
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
