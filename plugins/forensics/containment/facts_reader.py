"""Describes the target for containment: all services are read at once, and what cannot be read is named."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Self, TypeVar

from forensics.aws.autoscaling import AutoScalingGateway
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.ec2_facts import AttributeName, Ec2Facts, metadata_of, volumes_of
from forensics.aws.elb import BalancerGateway
from forensics.aws.iam import IamGateway, principals_besides_ec2
from forensics.aws.session import AwsSession
from forensics.errors import AwsError
from forensics.models.target_facts import InstanceFacts, InterfaceFacts, ProfileFacts

T = TypeVar("T")
Interfaces = tuple[InterfaceFacts, ...]
# reads that have been started, by field of InstanceFacts
Pending = dict[str, Callable[[], object]]
# field of InstanceFacts -> attribute of DescribeInstanceAttribute
ATTRIBUTES: dict[str, AttributeName] = {
    "termination_protected": "disableApiTermination",
    "stop_protected": "disableApiStop",
    "shutdown_behavior": "instanceInitiatedShutdownBehavior",
}
EKS_TAGS = ("eks:cluster-name", "aws:eks:cluster-name", "alpha.eksctl.io/cluster-name")


@dataclass(frozen=True)
class FactsReader:
    """Reads :class:`InstanceFacts`. The interfaces must be readable; anything else that is not ends up in ``unknown``."""

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

        ``original`` is the target before containment: its role and group are read also when the target no longer has
        them. ``endpoints`` reads the VPCs' endpoints too.
        """
        record = self._record(instance_id)
        interfaces = self.facts.interfaces(instance_id)
        with ParallelReads() as reads:
            pending = {
                **self._attributes(reads, instance_id),
                **self._network(reads, interfaces, case_id=case_id, token=token, endpoints=endpoints),
                **self._memberships(reads, instance_id, interfaces, original),
            }
            denying = reads.one(lambda: self.iam.profile_role(deny_profile) if deny_profile else None)
            identity = self._identity(reads, instance_id, original)
        return InstanceFacts.model_validate(
            {
                "account_id": self.ec2.account_id,
                "region": self.ec2.region,
                "instance_id": instance_id,
                "interfaces": interfaces,
                **record,
                **{field: answer() for field, answer in pending.items()},
                **identity,
                "deny_profile_exists": denying() is not None,
                "unknown": tuple(sorted(reads.unanswered)),
                "read_at": datetime.now(UTC),
            }
        )

    def _record(self, instance_id: str) -> dict[str, object]:
        """What DescribeInstances' record itself says."""
        raw = self.ec2.raw_instance(instance_id)
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

    def _attributes(self, reads: ParallelReads, instance_id: str) -> Pending:
        return {
            field: reads.one(partial(self.facts.attribute, instance_id, name=name))
            for field, name in ATTRIBUTES.items()
        }

    def _network(
        self, reads: ParallelReads, interfaces: Interfaces, *, case_id: str, token: str, endpoints: bool
    ) -> Pending:
        """The case's groups, and what the target's VPCs have."""
        vpc_ids = {i.vpc_id for i in interfaces}
        return {
            "own_groups": reads.many(lambda: self.facts.own_groups(case_id=case_id, token=token)),
            "ipv6_vpcs": reads.many(lambda: self.facts.ipv6_vpcs(vpc_ids) if vpc_ids else ()),
            "endpoints": reads.many(lambda: self.facts.endpoints(vpc_ids) if endpoints and vpc_ids else ()),
        }

    def _memberships(
        self, reads: ParallelReads, instance_id: str, interfaces: Interfaces, original: InstanceFacts | None
    ) -> Pending:
        """Auto Scaling group and load balancers."""
        group = original.scaling.group if original and original.scaling else None
        vpc_ids = {i.vpc_id for i in interfaces}
        addresses = [ip for i in interfaces for ip in (*i.private_ips, *i.ipv6)]
        balancers = partial(self.balancers.memberships, instance_id, addresses=addresses, vpc_ids=vpc_ids)
        return {
            "scaling": reads.one(lambda: self.scaling.membership(instance_id, group=group)),
            "memberships": reads.many(balancers),
        }

    def _identity(self, reads: ParallelReads, instance_id: str, original: InstanceFacts | None) -> dict[str, object]:
        """Instance profile, and the policies of this product on the role that the target had before containment."""
        before = original.profile.role if original and original.profile else None
        profile = reads.one(lambda: self._profile(instance_id))()
        role = before or (profile.role if profile else None)
        policies = reads.many(lambda: self.iam.own_policies(role) if role else ())
        return {"profile": profile, "role_policies": policies()}

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


class ParallelReads:
    """Reads that run at once; one that fails leaves its default, and the reason in ``unanswered``."""

    def __init__(self) -> None:
        self.unanswered: list[str] = []
        self._pool = ThreadPoolExecutor(max_workers=6)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown(wait=True)

    def one(self, read: Callable[[], T | None]) -> Callable[[], T | None]:
        """Start to read one thing; the result is None when there is none, or no answer."""

        def answer() -> T | None:
            try:
                return read()
            except AwsError as error:
                self.unanswered.append(str(error))
                return None

        return self._pool.submit(answer).result

    def many(self, read: Callable[[], tuple[T, ...]]) -> Callable[[], tuple[T, ...]]:
        """Start to read several things; the result is empty when there are none, or no answer."""
        found = self.one(read)
        return lambda: found() or ()
