"""The target's full description for containment: all services asked at once; what cannot be read is named."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from forensics.aws.autoscaling import AutoScalingGateway
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.ec2_facts import AttributeName, Ec2Facts, metadata_of, volumes_of
from forensics.aws.elb import BalancerGateway
from forensics.aws.iam import IamGateway, principals_besides_ec2
from forensics.aws.session import AwsSession
from forensics.errors import AwsError
from forensics.models.target_facts import InstanceFacts, InterfaceFacts, ProfileFacts

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

T = TypeVar("T")
# field of InstanceFacts -> attribute of DescribeInstanceAttribute
ATTRIBUTES: dict[str, AttributeName] = {
    "termination_protected": "disableApiTermination",
    "stop_protected": "disableApiStop",
    "shutdown_behavior": "instanceInitiatedShutdownBehavior",
}
EKS_TAGS = ("eks:cluster-name", "aws:eks:cluster-name", "alpha.eksctl.io/cluster-name")


@dataclass(frozen=True)
class FactsReader:
    """Reads :class:`InstanceFacts`. The interfaces must be readable, everything else is asked and not needed."""

    ec2: Ec2Gateway
    facts: Ec2Facts
    scaling: AutoScalingGateway
    balancers: BalancerGateway
    iam: IamGateway

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The reader of a session's account and Region."""
        return cls(
            ec2=Ec2Gateway.of(session),
            facts=Ec2Facts.of(session),
            scaling=AutoScalingGateway.of(session),
            balancers=BalancerGateway.of(session),
            iam=IamGateway.of(session),
        )

    def read(
        self,
        instance_id: str,
        *,
        case_id: str,
        token: str = "",
        deny_profile: str = "",
        original: InstanceFacts | None = None,
        endpoints: bool = False,
    ) -> InstanceFacts:
        """Describe the target now; raises :class:`AwsError` when the instance or its interfaces cannot be read.

        ``original`` is the target before containment: its role and group are asked about also when the target no
        longer has them. ``endpoints`` asks for the VPC's endpoints too.
        """
        raw = self.ec2.raw_instance(instance_id)
        interfaces = self.facts.interfaces(instance_id)
        vpc_ids = {i.vpc_id for i in interfaces}
        before = original.profile.role if original and original.profile else None
        group = original.scaling.group if original and original.scaling else None
        addresses = [ip for i in interfaces for ip in (*i.private_ips, *i.ipv6)]
        with Questions() as ask:
            attributes = {
                name: ask.one(partial(self.facts.attribute, instance_id, name=name)) for name in ATTRIBUTES.values()
            }
            profile = ask.one(lambda: self._profile(instance_id))
            scaling = ask.one(lambda: self.scaling.membership(instance_id, group=group))
            members = ask.many(lambda: self.balancers.memberships(instance_id, addresses=addresses, vpc_ids=vpc_ids))
            groups = ask.many(lambda: self.facts.own_groups(case_id=case_id, token=token))
            with_v6 = ask.many(lambda: self.facts.ipv6_vpcs(vpc_ids) if vpc_ids else ())
            reachable = ask.many(lambda: self.facts.endpoints(vpc_ids) if endpoints and vpc_ids else ())
            denying = ask.one(lambda: self.iam.profile_role(deny_profile) if deny_profile else None)
            now = profile()
            role = before or (now.role if now else None)
            policies = ask.many(lambda: self.iam.own_policies(role) if role else ())
        return InstanceFacts(
            account_id=self.ec2.account_id,
            region=self.ec2.region,
            instance_id=instance_id,
            **_of_record(raw),
            **{field: attributes[name]() for field, name in ATTRIBUTES.items()},
            interfaces=interfaces,
            profile=now,
            scaling=scaling(),
            memberships=members(),
            endpoints=reachable(),
            ipv6_vpcs=with_v6(),
            own_groups=groups(),
            deny_profile_exists=denying() is not None,
            role_policies=policies(),
            unknown=tuple(sorted(ask.unanswered)),
            read_at=datetime.now(UTC),
        )

    def network(self, instance_id: str) -> tuple[str, tuple[InterfaceFacts, ...]]:
        """State name and interfaces alone: what a read-back of the network needs."""
        return str(self.ec2.raw_instance(instance_id)["State"]["Name"]), self.facts.interfaces(instance_id)

    def _profile(self, instance_id: str) -> ProfileFacts | None:
        own = self.facts.profile_associations(instance_id=instance_id)
        if not own:
            return None
        arn = str(own[0]["IamInstanceProfile"]["Arn"])
        name = arn.rsplit("/", 1)[-1]
        role = self.iam.profile_role(name)
        if role is None:
            return ProfileFacts(association_id=own[0]["AssociationId"], name=name, arn=arn)
        names = set(self.iam.profiles_of(role["RoleName"]))
        users = {
            a["InstanceId"]
            for a in self.facts.profile_associations()
            if str(a["IamInstanceProfile"]["Arn"]).rsplit("/", 1)[-1] in names
        }
        return ProfileFacts(
            association_id=own[0]["AssociationId"],
            name=name,
            arn=arn,
            role=role["RoleName"],
            shared_with=tuple(sorted(users - {instance_id})),
            other_principals=principals_besides_ec2(role.get("AssumeRolePolicyDocument")),
        )


class Questions:
    """Questions asked at once; one that AWS does not answer leaves its default, and the reason in ``unanswered``."""

    def __init__(self) -> None:
        self.unanswered: list[str] = []
        self._pool = ThreadPoolExecutor(max_workers=6)

    def __enter__(self) -> Questions:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown(wait=True)

    def one(self, read: Callable[[], T | None]) -> Callable[[], T | None]:
        """Ask for one thing; None when there is none or no answer."""

        def answer() -> T | None:
            try:
                return read()
            except AwsError as error:
                self.unanswered.append(str(error))
                return None

        return self._pool.submit(answer).result

    def many(self, read: Callable[[], tuple[T, ...]]) -> Callable[[], tuple[T, ...]]:
        """Ask for several things; none without an answer."""
        found = self.one(read)
        return lambda: found() or ()


def _of_record(raw: InstanceTypeDef) -> dict[str, Any]:
    tags = {t["Key"]: t["Value"] for t in raw.get("Tags", [])}
    return {
        "state": raw["State"]["Name"],
        "spot": raw.get("InstanceLifecycle") == "spot",
        "instance_store": raw.get("RootDeviceType") == "instance-store",
        "eks_cluster": next((tags[k] for k in EKS_TAGS if k in tags), None),
        "volumes": volumes_of(raw),
        "auto_recovery": raw.get("MaintenanceOptions", {}).get("AutoRecovery"),
        "metadata": metadata_of(raw),
    }
