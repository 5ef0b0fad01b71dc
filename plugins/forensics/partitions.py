"""The partitions of AWS: which Region is in which, and what differs between them. The one place where an ARN is put together.

Source: botocore's ``partitions.json`` and ``endpoints.json`` (a test compares); IAM and Organizations have one control plane each for all
Regions of a partition (IAM user guide, "Resilience in AWS Identity and Access Management"; AWS Organizations endpoints and quotas).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from forensics.errors import ConfigurationError


@dataclass(frozen=True)
class Partition:
    """One partition: its name in ARNs, the form of its Regions' names, and the Regions of its IAM and of its Organizations."""

    name: str
    regions: re.Pattern[str]
    iam_region: str
    organizations: str = ""

    @property
    def organizations_region(self) -> str:
        """Where AWS Organizations is; beside IAM unless said otherwise."""
        return self.organizations or self.iam_region


# ASCII on purpose: \d would accept digits of other scripts.
_ALL = (
    Partition("aws-cn", re.compile(r"cn-[a-z]+-[0-9]{1,2}"), "cn-north-1", "cn-northwest-1"),
    Partition("aws-us-gov", re.compile(r"us-gov-[a-z]+-[0-9]{1,2}"), "us-gov-west-1"),
    Partition("aws-iso", re.compile(r"us-iso-[a-z]+-[0-9]{1,2}"), "us-iso-east-1"),
    Partition("aws-iso-b", re.compile(r"us-isob-[a-z]+-[0-9]{1,2}"), "us-isob-east-1"),
    Partition("aws-iso-e", re.compile(r"eu-isoe-[a-z]+-[0-9]{1,2}"), "eu-isoe-west-1"),
    Partition("aws-iso-f", re.compile(r"us-isof-[a-z]+-[0-9]{1,2}"), "us-isof-south-1"),
    Partition("aws-eusc", re.compile(r"eusc-[a-z]+-[a-z]+-[0-9]{1,2}|eusc-[a-z]+-[0-9]{1,2}"), "eusc-de-east-1"),
    Partition("aws", re.compile(r"(?:af|ap|ca|eu|il|me|mx|sa|us)-[a-z]+-[0-9]{1,2}"), "us-east-1"),
)
NAMES = frozenset(partition.name for partition in _ALL)


def find(region: str) -> Partition | None:
    """The partition that a Region belongs to; None for what is not a Region's name."""
    return next((partition for partition in _ALL if partition.regions.fullmatch(region)), None)


def of(region: str) -> Partition:
    """The same. Raises :class:`ConfigurationError` for a Region of no known partition."""
    found = find(region)
    if found is None:
        msg = f"{region!r} is not a Region of a known partition of AWS ({', '.join(sorted(NAMES))})"
        raise ConfigurationError(msg, next_action="check forensics.region, and the Region of the finding")
    return found


def arn(service: str, resource: str, *, region: str, account: str = "") -> str:
    """ARN of a resource of a Region."""
    return f"arn:{of(region).name}:{service}:{region}:{account}:{resource}"


def global_arn(service: str, resource: str, *, region: str, account: str = "") -> str:
    """ARN of a resource that belongs to no Region (IAM, S3), in the partition of ``region``."""
    return f"arn:{of(region).name}:{service}::{account}:{resource}"


def any_region_arn(service: str, resource: str, *, region: str) -> str:
    """Pattern for a resource in every Region and account of the partition of ``region``."""
    return f"arn:{of(region).name}:{service}:*:*:{resource}"
