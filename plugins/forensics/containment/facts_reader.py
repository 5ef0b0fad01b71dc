"""Describes the target for containment: all services are read at once, and what cannot be read is named.

The network's side (EC2, Auto Scaling, load balancers) and IAM's are read by calls of their own: isolation waits for the first
alone.
"""

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
from forensics.containment.other_deployments import other_containments, others_under_way
from forensics.errors import AwsError
from forensics.models.target_facts import GroupFacts, InstanceFacts, InterfaceFacts, OtherContainment, ProfileFacts
from forensics.naming import TAG_CONTAINED, TAG_PROTECTED

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
        """Describe the target now, with what IAM says; see :meth:`network` and :meth:`with_identity`."""
        facts = self.network(instance_id, case_id=case_id, token=token, original=original, endpoints=endpoints)
        return self.with_identity(facts, deny_profile=deny_profile, original=original, fresh=True)

    def network(
        self,
        instance_id: str,
        *,
        case_id: str,
        token: str = "",
        original: InstanceFacts | None = None,
        endpoints: bool = False,
    ) -> InstanceFacts:
        """Describe the target now without asking IAM; raises :class:`AwsError` when instance or interfaces cannot be read.

        The instance profile is there, its role is not. ``original`` is the target before containment: its group is read
        also when the target has left it. ``endpoints`` reads the VPCs' endpoints too.
        """
        record = self._record(instance_id)
        interfaces = self.facts.interfaces(instance_id)
        with ParallelReads() as reads:
            pending = {
                **self._attributes(reads, instance_id),
                **self._network(reads, interfaces, case_id=case_id, token=token, endpoints=endpoints),
                **self._memberships(reads, instance_id, interfaces, original),
                "profile": reads.one(lambda: self._association(instance_id)),
            }
        return InstanceFacts.model_validate(
            {
                "account_id": self.ec2.account_id,
                "region": self.ec2.region,
                "instance_id": instance_id,
                "interfaces": interfaces,
                **record,
                **{field: answer() for field, answer in pending.items()},
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
            "contained": tags.get(TAG_CONTAINED),
            "guarded": tags.get(TAG_PROTECTED),
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
        groups = reads.one(lambda: self._groups_alone(interfaces))
        return {
            "elsewhere": lambda: other_containments(interfaces, groups=groups() or {}),
            "under_way": lambda: others_under_way(interfaces, groups=groups() or {}),
            "own_groups": reads.many(lambda: self.facts.own_groups(case_id=case_id, token=token)),
            "ipv6_vpcs": reads.many(lambda: self.facts.ipv6_vpcs(vpc_ids) if vpc_ids else ()),
            "endpoints": reads.many(lambda: self.facts.endpoints(vpc_ids) if endpoints and vpc_ids else ()),
        }

    def _groups_alone(self, interfaces: Interfaces) -> dict[str, GroupFacts]:
        """Groups that are their interface's only one: containment leaves no other, so only these can be of a deployment's."""
        return self.facts.groups(i.group_ids[0] for i in interfaces if len(i.group_ids) == 1)

    def begun_elsewhere(self, instance_id: str) -> tuple[OtherContainment, ...]:
        """What other deployments have closed or begun to move of it by now: a short look, before it is moved from here."""
        interfaces = self.facts.interfaces(instance_id)
        groups = self._groups_alone(interfaces)
        return (*other_containments(interfaces, groups=groups), *others_under_way(interfaces, groups=groups))

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

    def _association(self, instance_id: str) -> ProfileFacts | None:
        """The instance profile as EC2 knows it: its role is IAM's to say."""
        own = self.facts.profile_associations(instance_id=instance_id)
        if not own:
            return None
        arn = str(own[0]["IamInstanceProfile"]["Arn"])
        name = arn.rsplit("/", 1)[-1]
        return ProfileFacts(association_id=own[0]["AssociationId"], name=name, arn=arn, role_unread=True)

    # ------------------------------------------------------------------ what IAM knows
    def with_identity(
        self, facts: InstanceFacts, *, deny_profile: str, original: InstanceFacts | None, fresh: bool = False
    ) -> InstanceFacts:
        """The target with its profile's role and this product's policies on the role that it had before containment.

        What IAM does not answer is in ``iam_unknown``. The role that ``original`` names is not asked for again, unless
        ``fresh``.
        """
        before = original.profile if original else None
        known = None if before is None or before.role_unread or fresh else before
        with ParallelReads() as reads:
            denying = reads.one(lambda: self.iam.profile_role(deny_profile) if deny_profile else None)
            profile = _same_role(facts.profile, known) if known else reads.one(partial(self._resolved, facts))()
            role = _role_of(before, profile)
            policies = reads.many(lambda: self.iam.own_policies(role) if role else ())
        return facts.model_copy(
            update={
                "profile": profile or facts.profile,
                "role_policies": policies(),
                "deny_profile_exists": denying() is not None,
                "iam_unknown": tuple(sorted(set(reads.unanswered))),
            }
        )

    def _resolved(self, facts: InstanceFacts) -> ProfileFacts | None:
        return facts.profile and self.resolve(facts.profile, instance_id=facts.instance_id)

    def resolve(self, profile: ProfileFacts, *, instance_id: str) -> ProfileFacts:
        """The profile with its role and who else uses that; raises :class:`AwsError` when IAM or EC2 does not answer."""
        role = self.iam.profile_role(profile.name)
        if role is None:
            return profile.model_copy(update={"role": None, "role_unread": False})
        names = set(self.iam.profiles_of(role["RoleName"]))
        users = {
            a["InstanceId"]
            for a in self.facts.profile_associations()
            if str(a["IamInstanceProfile"]["Arn"]).rsplit("/", 1)[-1] in names
        }
        return profile.model_copy(
            update={
                "role": role["RoleName"],
                "role_unread": False,
                "shared_with": tuple(sorted(users - {instance_id})),
                "other_principals": principals_besides_ec2(role.get("AssumeRolePolicyDocument")),
            }
        )


def _role_of(before: ProfileFacts | None, now: ProfileFacts | None) -> str | None:
    """The role that the target had before containment, as far as it is known."""
    if before is not None and not before.role_unread:
        return before.role
    return now.role if now and (before is None or before.name == now.name) else None


def _same_role(profile: ProfileFacts | None, known: ProfileFacts | None) -> ProfileFacts | None:
    """The profile with the role that is known of it; None when it is another one, or none is known."""
    if profile is None or known is None or profile.name != known.name:
        return None
    return known.model_copy(update={"association_id": profile.association_id})


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
