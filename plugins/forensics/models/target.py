"""The instance under suspicion, as AWS describes it."""

from __future__ import annotations

from pydantic import Field

from forensics.models.base import AccountId, InstanceId, Model, Region, Utc
from forensics.models.outside import Outside


class NetworkInterface(Model):
    """One ENI of the target and the security groups on it."""

    id: str
    device_index: int
    vpc_id: str
    subnet_id: str
    private_ip: str | None = None
    public_ip: str | None = None
    ipv6: tuple[str, ...] = ()
    group_ids: tuple[str, ...] = ()


class Volume(Model):
    """One EBS volume of the target."""

    id: str
    device: str
    size_gib: int | None = None
    encrypted: bool = False
    kms_key_id: str | None = None
    delete_on_termination: bool = False


class SsmStatus(Outside):
    """What SSM knows of the instance; ``online`` is the only state in which a command is sent."""

    managed: bool = False
    ping: str | None = None
    agent_version: str | None = None
    platform_type: str | None = None
    platform_name: str | None = None
    platform_version: str | None = None

    @property
    def online(self) -> bool:
        """Whether a command would be delivered now."""
        return self.managed and self.ping == "Online"


class Target(Outside):
    """The target's description at triage time."""

    account_id: AccountId
    region: Region
    instance_id: InstanceId
    state: str
    instance_type: str
    image_id: str | None = None
    architecture: str = "x86_64"
    platform: str = "linux"
    availability_zone: str
    vpc_id: str | None = None
    subnet_id: str | None = None
    launched_at: Utc | None = None
    profile_arn: str | None = None
    imds_tokens: str | None = None
    imds_endpoint: str | None = None
    lifecycle: str | None = None
    root_device: str | None = None
    interfaces: tuple[NetworkInterface, ...] = ()
    volumes: tuple[Volume, ...] = ()
    instance_store: bool = False
    auto_scaling_group: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    group_tags: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="tags of the security groups on its interfaces, by the groups' ids"
    )
    ssm: SsmStatus = SsmStatus()
    described_at: Utc
    notes: tuple[str, ...] = ()

    @property
    def ipv6_only(self) -> bool:
        """Whether no interface has an IPv4 address: names without an AAAA record lead nowhere."""
        return any(i.ipv6 for i in self.interfaces) and not any(i.private_ip for i in self.interfaces)

    facts: dict[str, str] = Field(
        default_factory=dict, description="where the control-plane snapshot is stored: uri and sha256"
    )
