"""Account, Region, ARN and instance ids: every identifier in an event is checked here."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from forensics.intake.readers.fields import quarantine
from forensics.models.artifact import Artifact, artifact_of
from forensics.partitions import NAMES, find

# ASCII on purpose: \d would accept digits of other scripts.
_ACCOUNT = re.compile(r"[0-9]{12}")
_INSTANCE = re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})")
_ARTIFACT = re.compile(r"(?:snap|ami)-(?:[0-9a-f]{8}|[0-9a-f]{17})")
_VPC = re.compile(r"vpc-[0-9a-f]{8,17}")
_GUARDDUTY_FINDING = re.compile(
    r"(?:.*/)?arn:(?:"
    + "|".join(sorted(NAMES))
    + r"):guardduty:[a-z0-9-]+:[0-9]{12}:detector/[^/]+/finding/([0-9A-Za-z-]+)"
)
_FINDING_ID_LENGTH = 2048

# The instance that GuardDuty invents for its sample findings.
SAMPLE_INSTANCE = "i-99999999"


@dataclass(frozen=True)
class Arn:
    """The parts of an ARN; account and Region are empty where the service leaves them out."""

    partition: str
    service: str
    region: str
    account: str
    resource: str


@dataclass(frozen=True)
class InstanceRef:
    """One instance, or artifact, that a finding names, with what the resource itself says about where it is."""

    instance_id: str
    field: str
    account: str | None = None
    region: str | None = None
    partition: str | None = None
    vpc_id: str | None = None
    placed: bool = True
    artifact: Artifact | None = None


def check_account(value: object, *, field: str) -> str:
    """Return a 12-digit account id or raise :class:`QuarantineError`."""
    if isinstance(value, str) and _ACCOUNT.fullmatch(value):
        return value
    raise quarantine(field, value=value, problem="an account id has 12 digits")


def check_region(value: object, *, field: str) -> str:
    """Return a Region of a known partition or raise :class:`QuarantineError`."""
    if isinstance(value, str) and partition_of(value):
        return value
    raise quarantine(field, value=value, problem="not a Region of any AWS partition")


def check_partition(value: object, *, field: str) -> str:
    """Return a known partition or raise :class:`QuarantineError`."""
    if isinstance(value, str) and value in NAMES:
        return value
    raise quarantine(field, value=value, problem="not an AWS partition")


def check_finding_id(value: object, *, field: str) -> str:
    """Return a finding id that can be stored and shown, or raise :class:`QuarantineError`."""
    if isinstance(value, str) and 0 < len(value) <= _FINDING_ID_LENGTH and value.isprintable() and value.strip():
        return value
    raise quarantine(
        field, value=value, problem=f"a finding id is printable text of 1 to {_FINDING_ID_LENGTH} characters"
    )


def partition_of(region: str) -> str | None:
    """Return the partition that a Region belongs to."""
    found = find(region)
    return found.name if found else None


def parse_arn(value: object, *, field: str) -> Arn | None:
    """Split an ARN; None when ``value`` is not one.

    Raises :class:`QuarantineError` when it is one whose partition, Region or account cannot be right.
    """
    if not isinstance(value, str) or not value.startswith("arn:"):
        return None
    parts = value.split(":", 5)
    if len(parts) != 6:
        raise quarantine(field, value=value, problem="an ARN has six parts")
    _, partition, service, region, account, resource = parts
    check_partition(partition, field=f"{field} (partition)")
    if region and partition_of(check_region(region, field=f"{field} (Region)")) != partition:
        raise quarantine(field, value=value, problem=f"Region {region} is not in partition {partition}")
    if account and account != "aws":
        check_account(account, field=f"{field} (account)")
    return Arn(partition=partition, service=service, region=region, account=account, resource=resource)


def is_instance(value: object) -> bool:
    """Whether ``value`` is an instance id or the ARN of an instance, well-formed or not."""
    if not isinstance(value, str):
        return False
    return bool(_INSTANCE.fullmatch(value)) or (value.startswith("arn:") and ":ec2:" in value and ":instance/" in value)


def parse_instance(
    value: object,
    *,
    field: str,
    account: str | None = None,
    region: str | None = None,
    partition: str | None = None,
    vpc_id: object = None,
) -> InstanceRef:
    """Read an instance id, bare or as ARN, and what its resource says beside it.

    Raises :class:`QuarantineError` when the id is malformed or the ARN and the resource disagree.
    """
    account = check_account(account, field=f"{field} (owner account)") if account else None
    region = check_region(region, field=f"{field} (resource Region)") if region else None
    partition = check_partition(partition, field=f"{field} (resource partition)") if partition else None
    arn = parse_arn(value, field=field)
    instance_id = value
    if arn is not None:
        if arn.service != "ec2" or not arn.resource.startswith("instance/") or not arn.account or not arn.region:
            raise quarantine(field, value=value, problem="not the ARN of an EC2 instance")
        instance_id = arn.resource.removeprefix("instance/")
        for name, stated, of_arn in (
            ("account", account, arn.account),
            ("Region", region, arn.region),
            ("partition", partition, arn.partition),
        ):
            if stated and stated != of_arn:
                raise quarantine(
                    field, value=value, problem=f"the ARN's {name} contradicts the resource's {name} {stated}"
                )
        account, region, partition = arn.account, arn.region, arn.partition
    if not isinstance(instance_id, str) or not _INSTANCE.fullmatch(instance_id):
        raise quarantine(field, value=value, problem="an instance id is i- and 8 or 17 hexadecimal digits")
    return InstanceRef(
        instance_id=instance_id,
        field=field,
        account=account,
        region=region,
        partition=partition,
        # Only ever compared: a malformed VPC id is treated as absent.
        vpc_id=vpc_id if isinstance(vpc_id, str) and _VPC.fullmatch(vpc_id) else None,
    )


def parse_subject(value: object, *, field: str) -> InstanceRef:
    """Read the bare id of what a person names: an instance, a snapshot or a machine image. Raises :class:`QuarantineError`."""
    if isinstance(value, str) and _ARTIFACT.fullmatch(value):
        return InstanceRef(instance_id=value, field=field, artifact=artifact_of(value))
    return parse_instance(value, field=field)


def artifact_id(value: str) -> str | None:
    """The id of a snapshot or a machine image, given bare or as the resource of EC2's ARN; None for anything else."""
    bare = value.removeprefix("snapshot/").removeprefix("image/")
    return bare if _ARTIFACT.fullmatch(bare) else None


def instance_of_session(principal: object) -> str | None:
    """The instance whose credentials a principal id names: EC2 calls the session of an instance's role by its id."""
    if not isinstance(principal, str):
        return None
    role, _, session = principal.partition(":")
    return session if role.startswith("AROA") and _INSTANCE.fullmatch(session) else None


def underlying_id(finding_id: str) -> str:
    """Return what is the same in every format of a finding.

    GuardDuty's finding id is unique, while the account and detector in its ARN may be the member's or the
    delegated administrator's: only the id itself counts.
    """
    match = _GUARDDUTY_FINDING.fullmatch(finding_id)
    return f"guardduty/{match.group(1)}" if match else finding_id


def guardduty_id(finding_id: str) -> str | None:
    """GuardDuty's own id of a finding; None when the id is not one of GuardDuty's, in whatever format it arrived."""
    kind, _, identifier = underlying_id(finding_id).partition("/")
    return identifier if kind == "guardduty" and identifier else None


def finding_key(finding_id: str, *, account: str, region: str, instance_id: str) -> str:
    """32 hexadecimal digits that identify one finding about one instance, in whatever format it arrives."""
    text = "\n".join((underlying_id(finding_id), account, region, instance_id))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]
