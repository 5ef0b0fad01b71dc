"""Which names of AWS's APIs Airflow needs beyond its own Region's: IAM, Organizations, and what the roles call in the Regions of targets."""

from __future__ import annotations

from functools import cache

import botocore.loaders
import botocore.regions
import yaml

from infra.deployment import templates
from infra.deployment.configuration import Configuration

PERMISSIONS = templates.ROOT / "infra" / "permissions.yaml"
# CloudFormation quotas: a parameter's value has at most 4,096 bytes.
LONGEST_PARAMETER = 4096
# The profile without a NAT gateway (infra/cloudformation/network.yaml, Profile).
CLOSED = "closed"
OWN_VPC = "VpcId"


def is_closed(config: Configuration) -> bool:
    """Whether nothing leads out of the home Region."""
    return OWN_VPC not in config.parameters and config.parameters.get("Profile") == CLOSED


def services_abroad() -> list[str]:
    """Services that a role calls in the Regions of targets (``abroad`` in infra/permissions.yaml)."""
    roles = yaml.safe_load(PERMISSIONS.read_text("utf-8")).values()
    return sorted({service for role in roles for service in role.get("abroad", [])})


def regions_abroad(config: Configuration) -> list[str]:
    """Member Regions other than home, those of StackSets (``parameters.MemberRegions``) and of copies of the AMI included."""
    listed = config.parameters.get("MemberRegions") or []
    given = listed if isinstance(listed, list) else str(listed).split(",")
    every = [*config.member_regions, *(str(region).strip() for region in given), *ami_regions(config)]
    return [region for region in dict.fromkeys(every) if region != config.region]


def ami_regions(config: Configuration) -> list[str]:
    """The Regions other than home that the forensic AMI is copied to (``parameters.AmiRegions``)."""
    listed = config.parameters.get("AmiRegions") or []
    given = listed if isinstance(listed, list) else str(listed).split(",")
    return [r for r in dict.fromkeys(str(region).strip() for region in given) if r not in {"", config.region}]


@cache
def _resolver() -> botocore.regions.EndpointResolver:
    return botocore.regions.EndpointResolver(botocore.loaders.Loader().load_data("endpoints"))


@cache
def endpoint(service: str, region: str) -> tuple[str, str]:
    """Host name of a service's API in a Region, and the Region that its requests are signed for (botocore's endpoint data).

    Raises ``LookupError`` for a Region that botocore does not know.
    """
    found = _resolver().construct_endpoint(service, region)
    if found is None:
        msg = f"botocore knows no endpoint of {service} in {region}"
        raise LookupError(msg)
    return str(found["hostname"]), str(found.get("credentialScope", {}).get("region", region))


def iam_region(region: str) -> str:
    """Where IAM's control plane is, in the partition of a Region."""
    return endpoint("iam", region)[1]


def egress_names(config: Configuration) -> list[str]:
    """Every name that the home Region's own rule does not have: what the roles' permissions ask for elsewhere, those of the partition's one
    Region first, and the hosts of message channels.
    """
    home = [endpoint(service, config.region)[0] for service in ("iam", "organizations")]
    hosts = [h.strip() for h in str(config.settings.get("channel_hosts") or "").split(",")]
    abroad = [endpoint(service, region)[0] for region in regions_abroad(config) for service in services_abroad()]
    return home + abroad + [host for host in hosts if host]


def egress_lists(config: Configuration) -> tuple[str, str]:
    """The names in two parameters, because one holds 4,096 bytes; the second repeats a name when the first holds them all."""
    names, first, size = egress_names(config), 0, 0
    while first < len(names) and size + len(names[first]) + 1 <= LONGEST_PARAMETER:
        size += len(names[first]) + 1
        first += 1
    return ",".join(names[:first]), ",".join(names[first:] or names[-1:])


def problems(config: Configuration) -> list[str]:
    """Why the network of this configuration does not reach what its Regions ask for."""
    if OWN_VPC in config.parameters:
        return []  # a VPC of one's own has routes that are not known here; the preflight tries them
    abroad = regions_abroad(config)
    if is_closed(config) and abroad:
        return [
            f"parameters.Profile is closed, member_regions has {', '.join(abroad)} beside the home Region: without the NAT gateway "
            "nothing leads to other Regions; choose Profile: standard, or a VPC of your own with endpoints there"
        ]
    if len(egress_lists(config)[1]) > LONGEST_PARAMETER:
        length = len(",".join(egress_names(config)))
        return [
            f"member_regions: the names of {len(abroad)} Regions have {length} bytes, two parameters of CloudFormation {LONGEST_PARAMETER} each; "
            "leave Regions without instances out"
        ]
    return []
