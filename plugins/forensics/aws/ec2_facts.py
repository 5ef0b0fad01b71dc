"""EC2: what containment has to know about the target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.aws.visibility import when_visible
from forensics.deployment import DEPLOYMENT
from forensics.models.target_facts import (
    AddressFacts,
    EndpointFacts,
    GroupFacts,
    InterfaceFacts,
    MetadataFacts,
    OwnGroup,
    VolumeFacts,
)
from forensics.naming import TAG_CASE, TAG_CONTAINED

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import (
        AddressTypeDef,
        FilterTypeDef,
        IamInstanceProfileAssociationTypeDef,
        InstanceTypeDef,
        IpPermissionOutputTypeDef,
        NetworkInterfaceTypeDef,
        SecurityGroupTypeDef,
    )


# Where a rule of a security group names who may talk (EC2 API reference, *IpPermission*).
PEERS: tuple[Literal["IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs"], ...] = (
    "IpRanges",
    "Ipv6Ranges",
    "PrefixListIds",
    "UserIdGroupPairs",
)
AttributeName: TypeAlias = Literal["disableApiTermination", "disableApiStop", "instanceInitiatedShutdownBehavior"]


class Ec2Facts:
    """Typed EC2 reads for containment in one account and Region."""

    def __init__(self, client: EC2Client, *, account_id: str, region: str) -> None:
        self._ec2 = client
        self._where = f"in account {account_id}, {region}"

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account and Region."""
        return cls(session.ec2, account_id=session.account_id, region=session.region)

    def interfaces(self, instance_id: str) -> tuple[InterfaceFacts, ...]:
        """Every interface attached to the instance with its Elastic IPs, whatever its VPC."""
        with aws_errors(f"describe network interfaces of {instance_id} {self._where}"):
            pages = self._ec2.get_paginator("describe_network_interfaces").paginate(
                Filters=[{"Name": "attachment.instance-id", "Values": [instance_id]}]
            )
            found = [eni for page in pages for eni in page["NetworkInterfaces"]]
        addresses: list[AddressTypeDef] = []
        if found:
            ids = [eni["NetworkInterfaceId"] for eni in found]
            with aws_errors(f"describe Elastic IPs of {instance_id} {self._where}"):
                answer = self._ec2.describe_addresses(Filters=[{"Name": "network-interface-id", "Values": ids}])
            addresses = answer["Addresses"]
        facts = (_interface(eni, addresses) for eni in found)
        return tuple(sorted(facts, key=lambda i: (i.device_index, i.id)))

    def attribute(self, instance_id: str, *, name: AttributeName) -> Any:
        """The value of one attribute of DescribeInstanceAttribute."""
        with aws_errors(f"read {name} of {instance_id} {self._where}"):
            answer = self._ec2.describe_instance_attribute(InstanceId=instance_id, Attribute=name)
        answered: Mapping[str, object] = answer
        value = answered.get(name[0].upper() + name[1:])
        return value.get("Value") if isinstance(value, Mapping) else None

    def profile_associations(self, *, instance_id: str | None = None) -> list[IamInstanceProfileAssociationTypeDef]:
        """Profile associations of one instance, or of the whole Region; those that are ending are left out."""
        filters: list[FilterTypeDef] = [{"Name": "state", "Values": ["associating", "associated"]}]
        if instance_id:
            filters.append({"Name": "instance-id", "Values": [instance_id]})
        with aws_errors(f"describe instance profile associations {self._where}"):
            pages = self._ec2.get_paginator("describe_iam_instance_profile_associations").paginate(Filters=filters)
            return [a for page in pages for a in page["IamInstanceProfileAssociations"]]

    def own_groups(self, *, case_id: str, token: str) -> tuple[OwnGroup, ...]:
        """Groups that containment made for the case: the right tag and the unguessable part of the name, both.

        Without a token all that carry the case's tag and name: for removal after release, never for use.
        """
        with aws_errors(f"look for security groups of case {case_id} {self._where}"):
            pages = self._ec2.get_paginator("describe_security_groups").paginate(
                Filters=[{"Name": f"tag:{TAG_CASE}", "Values": [case_id]}]
            )
            found = [g for page in pages for g in page["SecurityGroups"]]
        return tuple(
            OwnGroup(
                id=g["GroupId"],
                name=g["GroupName"],
                vpc_id=g["VpcId"],
                ingress=tuple(_permission(p) for p in g.get("IpPermissions", [])),
                egress=tuple(_permission(p) for p in g.get("IpPermissionsEgress", [])),
            )
            for g in sorted(found, key=lambda g: g["GroupName"])
            if g["GroupName"].startswith(f"{DEPLOYMENT}-")
            and (g["GroupName"].endswith(f"-{token}") if token else case_id in g["GroupName"])
        )

    def groups(self, ids: Iterable[str]) -> dict[str, GroupFacts]:
        """Security groups by their ids: name, tags, number of rules in both directions.

        Asked for by filter: one that EC2 does not show yet (EC2 developer guide, *Eventual consistency*) is left out, and is no error.
        """
        wanted = sorted(set(ids))
        if not wanted:
            return {}
        with aws_errors(f"describe security groups {', '.join(wanted)} {self._where}"):
            pages = self._ec2.get_paginator("describe_security_groups").paginate(
                Filters=[{"Name": "group-id", "Values": wanted}]
            )
            found = [g for page in pages for g in page["SecurityGroups"]]
        return {
            g["GroupId"]: GroupFacts(
                name=g["GroupName"],
                tags={t["Key"]: t["Value"] for t in g.get("Tags", [])},
                rules=len([*g.get("IpPermissions", []), *g.get("IpPermissionsEgress", [])]),
            )
            for g in found
        }

    def rule_count(self, group_id: str) -> int:
        """Number of rules that a group has now: both directions, each peer of a rule counted.

        Read from the group itself: an empty list by a filter could also mean that EC2 does not know the group yet
        (EC2 developer guide, *Eventual consistency*), and an open group must not look closed.
        """

        def read() -> SecurityGroupTypeDef:
            with aws_errors(f"read rules of security group {group_id} {self._where}"):
                return self._ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"][0]

        group = when_visible(read)
        rules = [*group.get("IpPermissions", []), *group.get("IpPermissionsEgress", [])]
        return sum(max(1, sum(len(rule.get(peers) or ()) for peers in PEERS)) for rule in rules)

    def first_vpc(self) -> str | None:
        """Id of some VPC of the account and Region; None when there is none."""
        with aws_errors(f"describe VPCs {self._where}"):
            found = self._ec2.describe_vpcs(MaxResults=5)["Vpcs"]
        return next((v["VpcId"] for v in found), None)

    def group_ids(self, *, case_id: str) -> tuple[str, ...]:
        """Ids of all security groups that carry a case's tag."""
        with aws_errors(f"look for security groups of {case_id} {self._where}"):
            pages = self._ec2.get_paginator("describe_security_groups").paginate(
                Filters=[{"Name": f"tag:{TAG_CASE}", "Values": [case_id]}]
            )
            return tuple(g["GroupId"] for page in pages for g in page["SecurityGroups"])

    def ipv6_vpcs(self, vpc_ids: Iterable[str]) -> tuple[str, ...]:
        """Those of the VPCs that have an IPv6 block."""
        with aws_errors(f"describe VPCs {self._where}"):
            found = self._ec2.describe_vpcs(VpcIds=sorted(vpc_ids))["Vpcs"]
        return tuple(sorted(v["VpcId"] for v in found if v.get("Ipv6CidrBlockAssociationSet")))

    def endpoints(self, vpc_ids: Iterable[str]) -> tuple[EndpointFacts, ...]:
        """The VPC endpoints in these VPCs that are available, with their groups or prefix lists."""
        with aws_errors(f"describe VPC endpoints {self._where}"):
            pages = self._ec2.get_paginator("describe_vpc_endpoints").paginate(
                Filters=[{"Name": "vpc-id", "Values": sorted(vpc_ids)}]
            )
            found = [e for page in pages for e in page["VpcEndpoints"]]
        gateways = [e["ServiceName"] for e in found if e["VpcEndpointType"] == "Gateway"]
        lists = self._prefix_lists(gateways) if gateways else {}
        return tuple(
            EndpointFacts(
                id=e["VpcEndpointId"],
                service=e["ServiceName"].rsplit(".", 1)[-1],
                kind=e["VpcEndpointType"],
                vpc_id=e["VpcId"],
                group_ids=tuple(g["GroupId"] for g in e.get("Groups", [])),
                prefix_list_id=lists.get(e["ServiceName"]),
            )
            for e in sorted(found, key=lambda e: e["VpcEndpointId"])
            if str(e.get("State", "available")).lower() == "available"
        )

    def _prefix_lists(self, services: list[str]) -> dict[str, str]:
        with aws_errors(f"describe prefix lists of {', '.join(services)} {self._where}"):
            answer = self._ec2.describe_managed_prefix_lists(
                Filters=[{"Name": "prefix-list-name", "Values": sorted(services)}]
            )
        return {p["PrefixListName"]: p["PrefixListId"] for p in answer["PrefixLists"]}


def _permission(permission: IpPermissionOutputTypeDef) -> dict[str, object]:
    """A permission as it can be sent back: without the empty lists that EC2 answers with."""
    return {k: v for k, v in permission.items() if v not in ([], None)}


def _interface(eni: NetworkInterfaceTypeDef, addresses: list[AddressTypeDef]) -> InterfaceFacts:
    attachment = eni.get("Attachment", {})
    own = tuple(
        AddressFacts(
            allocation_id=a["AllocationId"],
            association_id=a["AssociationId"],
            public_ip=a["PublicIp"],
            private_ip=a.get("PrivateIpAddress") or eni.get("PrivateIpAddress", ""),
        )
        for a in sorted(addresses, key=lambda a: str(a["PublicIp"]))
        if a.get("NetworkInterfaceId") == eni["NetworkInterfaceId"] and a.get("AllocationId") and a.get("AssociationId")
    )
    public = eni.get("Association", {}).get("PublicIp")
    return InterfaceFacts(
        id=eni["NetworkInterfaceId"],
        device_index=int(attachment.get("DeviceIndex", 0)),
        vpc_id=eni.get("VpcId", ""),
        subnet_id=eni.get("SubnetId", ""),
        kind=eni.get("InterfaceType", "interface"),
        group_ids=tuple(g["GroupId"] for g in eni.get("Groups", [])),
        private_ips=tuple(a["PrivateIpAddress"] for a in eni.get("PrivateIpAddresses", [])),
        ipv6=tuple(a["Ipv6Address"] for a in eni.get("Ipv6Addresses", [])),
        public_ip=public if public and public not in {a.public_ip for a in own} else None,
        addresses=own,
        attachment_id=attachment.get("AttachmentId"),
        delete_on_termination=bool(attachment.get("DeleteOnTermination")),
        idle_timeout=eni.get("ConnectionTrackingConfiguration", {}).get("TcpEstablishedTimeout"),
        contained=next((t.get("Value") for t in eni.get("TagSet", []) if t.get("Key") == TAG_CONTAINED), None),
    )


def volumes_of(raw: InstanceTypeDef) -> tuple[VolumeFacts, ...]:
    """EBS volumes of DescribeInstances' record and whether they go with the instance."""
    return tuple(
        VolumeFacts(
            device=m["DeviceName"],
            volume_id=m["Ebs"]["VolumeId"],
            delete_on_termination=bool(m["Ebs"].get("DeleteOnTermination")),
        )
        for m in raw.get("BlockDeviceMappings", [])
        if m.get("Ebs")
    )


def metadata_of(raw: InstanceTypeDef) -> MetadataFacts | None:
    """Instance metadata options of DescribeInstances' record."""
    options = raw.get("MetadataOptions")
    if not options:
        return None
    return MetadataFacts(
        endpoint=options.get("HttpEndpoint", "enabled"),
        tokens=options.get("HttpTokens", "optional"),
        hop_limit=int(options.get("HttpPutResponseHopLimit") or 1),
        ipv6=options.get("HttpProtocolIpv6") or "disabled",
        tags=options.get("InstanceMetadataTags") or "disabled",
    )
