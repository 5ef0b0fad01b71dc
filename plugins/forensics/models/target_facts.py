"""Everything of the target that containment changes or has to know, as AWS describes it. The restore point holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from pydantic import Field

from forensics.models.base import AccountId, CaseId, InstanceId, Model, Region, Utc
from forensics.models.outside import Outside

# An instance that starts runs within seconds (EC2 user guide, "Amazon EC2 instance state changes").
LIVE_STATES = frozenset({"pending", "running"})


class AddressFacts(Model):
    """An Elastic IP on one private address of an interface."""

    allocation_id: str
    association_id: str
    public_ip: str
    private_ip: str


class InterfaceFacts(Model):
    """One network interface: groups, addresses, attachment."""

    id: str
    device_index: int
    vpc_id: str
    subnet_id: str = ""
    kind: str = "interface"
    group_ids: tuple[str, ...]
    private_ips: tuple[str, ...] = ()
    ipv6: tuple[str, ...] = ()
    public_ip: str | None = Field(default=None, description="an address that is not an Elastic IP: it cannot be kept")
    addresses: tuple[AddressFacts, ...] = ()
    attachment_id: str | None = None
    delete_on_termination: bool = False
    idle_timeout: int | None = Field(default=None, description="TcpEstablishedTimeout of connection tracking, seconds")
    contained: str | None = Field(default=None, description="the case that has contained it, by its tag")


class VolumeFacts(Model):
    """Whether a volume goes with the instance."""

    device: str
    volume_id: str
    delete_on_termination: bool


class MetadataFacts(Model):
    """Instance metadata options (IMDS)."""

    endpoint: str
    tokens: str
    hop_limit: int = 1
    ipv6: str = "disabled"
    tags: str = "disabled"


class ProfileFacts(Model):
    """The instance profile, its role and who else has it."""

    association_id: str
    name: str
    arn: str
    role: str | None = None
    role_unread: bool = Field(
        default=False, description="IAM has not said yet which role it holds, or whether it holds one"
    )
    shared_with: tuple[str, ...] = Field(default=(), description="other instances of the Region with this role")
    other_principals: tuple[str, ...] = Field(default=(), description="who but EC2 may assume the role")


class ScalingFacts(Model):
    """Membership in an Auto Scaling group."""

    group: str
    lifecycle: str
    protected: bool
    desired: int
    minimum: int
    maximum: int
    target_groups: tuple[str, ...] = ()


class AccessLog(Outside):
    """Where a load balancer writes what was asked of it; ``bucket`` is empty where it writes nothing.

    ``kind``: application, network, gateway or classic. ``file_id``: how the names of its files have it. ``what``: access or connection.
    """

    balancer: str
    kind: str
    file_id: str
    what: str = "access"
    bucket: str = ""
    prefix: str = ""


class MembershipFacts(Model):
    """Registration with a load balancer: a target group (``elbv2``) or a classic balancer (``elb``)."""

    kind: str
    balancer: str
    target_id: str
    port: int | None = None
    zone: str | None = None
    others: int = Field(default=0, description="targets that stay registered")


class OwnGroup(Model):
    """A security group that containment made for this case, known by id, tag, VPC and its unguessable name."""

    id: str
    name: str
    vpc_id: str
    ingress: tuple[dict[str, object], ...] = ()
    egress: tuple[dict[str, object], ...] = ()


class OtherContainment(Model):
    """Interfaces that another deployment of the product has closed, as EC2 shows: its groups have no rule."""

    deployment: str
    case_id: CaseId
    interface_ids: tuple[str, ...]

    def __str__(self) -> str:
        return f"deployment {self.deployment} (its case {self.case_id})"


@dataclass(frozen=True)
class GroupFacts:
    """A security group on an interface: its name, its tags and how many rules it has."""

    name: str
    tags: dict[str, str]
    rules: int


class EndpointFacts(Model):
    """A VPC endpoint by which the target reaches an AWS service without the internet."""

    id: str
    service: str
    kind: str
    vpc_id: str
    group_ids: tuple[str, ...] = ()
    prefix_list_id: str | None = None


class InstanceFacts(Model):
    """The target before, during or after containment. ``unknown`` says what could not be read, and why.

    What IAM knows (the profile's role and its policies) is asked for separately: the network does not wait for it.
    """

    account_id: AccountId
    region: Region
    instance_id: InstanceId
    state: str
    contained: str | None = Field(default=None, description="the case that has contained it, by its tag")
    guarded: str | None = Field(default=None, description="the case that acquires it and so protects it, by its tag")
    spot: bool = False
    instance_store: bool = False
    eks_cluster: str | None = None
    interfaces: tuple[InterfaceFacts, ...] = ()
    volumes: tuple[VolumeFacts, ...] = ()
    termination_protected: bool | None = None
    stop_protected: bool | None = None
    shutdown_behavior: str | None = None
    auto_recovery: str | None = None
    metadata: MetadataFacts | None = None
    profile: ProfileFacts | None = None
    scaling: ScalingFacts | None = None
    memberships: tuple[MembershipFacts, ...] = ()
    endpoints: tuple[EndpointFacts, ...] = ()
    ipv6_vpcs: tuple[str, ...] = Field(default=(), description="VPCs in which a new group may get a rule for ::/0")
    own_groups: tuple[OwnGroup, ...] = ()
    elsewhere: tuple[OtherContainment, ...] = Field(
        default=(), description="what other deployments have contained of it"
    )
    under_way: tuple[OtherContainment, ...] = Field(
        default=(),
        description="what other deployments are just moving, or have left half-way: it is in a group of theirs and not closed",
    )
    deny_profile_exists: bool = False
    role_policies: tuple[str, ...] = Field(
        default=(), description="inline policies of this product on the role that the target had before containment"
    )
    unknown: tuple[str, ...] = ()
    iam_unknown: tuple[str, ...] = Field(default=(), description="what IAM did not answer, and why")
    read_at: Utc

    @property
    def held(self) -> OtherContainment | None:
        """The other deployment that has closed every interface; None when none has, or one interface is not closed so."""
        closed = {i for other in self.elsewhere for i in other.interface_ids}
        here = {interface.id for interface in self.interfaces}
        return self.elsewhere[0] if here and here <= closed else None

    @property
    def taken(self) -> tuple[str, ...]:
        """Interfaces that are in groups of other deployments: which groups they had before, this reading does not know."""
        others = (*self.under_way, *self.elsewhere)
        return tuple(sorted(i for other in others for i in other.interface_ids))

    def as_original(self) -> Self:
        """The target as far as it is what it was before anybody contained it: no group of another deployment's is a group of its own."""
        taken = self.taken
        kept = tuple(i.model_copy(update={"group_ids": ()}) if i.id in taken else i for i in self.interfaces)
        return self.model_copy(update={"interfaces": kept}) if taken else self
