"""Load balancers: where the target is registered, in target groups and with classic balancers."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.models.target_facts import AccessLog, MembershipFacts

if TYPE_CHECKING:
    from mypy_boto3_elb import ElasticLoadBalancingClient
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client

# AWS has no call "target groups of this instance": every group's targets are read, some at a time.
PARALLEL = 8
LEAVING = "draining"
MOST_BALANCERS = 20


class BalancerGateway:
    """Typed reads of both generations of Elastic Load Balancing in one account and Region."""

    def __init__(
        self,
        classic: ElasticLoadBalancingClient,
        current: ElasticLoadBalancingv2Client,
        *,
        account_id: str,
        region: str,
    ) -> None:
        self._classic = classic
        self._current = current
        self._where = f"in account {account_id}, {region}"

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account and Region."""
        return cls(session.elb, session.elbv2, account_id=session.account_id, region=session.region)

    def memberships(
        self, instance_id: str, *, addresses: Iterable[str], vpc_ids: Iterable[str]
    ) -> tuple[MembershipFacts, ...]:
        """Every registration of the instance, by its id or by one of its private addresses."""
        known = {instance_id, *addresses}
        return (*self._target_groups(known, vpc_ids=set(vpc_ids)), *self._classic_balancers(instance_id))

    def access_logs(self, memberships: Iterable[MembershipFacts]) -> list[AccessLog]:
        """Where the load balancers behind some registrations write their logs, :data:`MOST_BALANCERS` at most."""
        found = list(memberships)
        groups = sorted({m.balancer for m in found if m.kind == "elbv2"})
        arns: list[str] = []
        for at in range(0, len(groups), 20):
            with aws_errors(f"describe the target's target groups {self._where}"):
                answer = self._current.describe_target_groups(TargetGroupArns=groups[at : at + 20])
            arns += [arn for group in answer["TargetGroups"] for arn in group.get("LoadBalancerArns", [])]
        logs = [log for arn in [*dict.fromkeys(arns)][:MOST_BALANCERS] for log in self._logs_of(arn)]
        names = sorted({m.balancer for m in found if m.kind == "elb"})[:MOST_BALANCERS]
        return [*logs, *(self._log_of_classic(name) for name in names)]

    def _logs_of(self, arn: str) -> list[AccessLog]:
        """An ARN ends in ``loadbalancer/app/<name>/<id>``, and its files' names have ``app.<name>.<id>`` (ELB user guides, *Access logs*)."""
        with aws_errors(f"read the attributes of {arn} {self._where}"):
            answer = self._current.describe_load_balancer_attributes(LoadBalancerArn=arn)
        told = {a["Key"]: a.get("Value", "") for a in answer["Attributes"]}
        name = arn.partition("loadbalancer/")[2]
        kind = {"app": "application", "net": "network", "gwy": "gateway"}.get(name.split("/")[0], "unknown")
        logs = []
        for what in ("access", "connection"):
            key = f"{what}_logs.s3"
            on = told.get(f"{key}.enabled") == "true"
            if what == "access" or on:  # only application load balancers have the other kind, and seldom
                bucket, prefix = (told.get(f"{key}.bucket", ""), told.get(f"{key}.prefix", "")) if on else ("", "")
                logs.append(
                    AccessLog(
                        balancer=arn, kind=kind, file_id=name.replace("/", "."), what=what, bucket=bucket, prefix=prefix
                    )
                )
        return logs

    def _log_of_classic(self, name: str) -> AccessLog:
        with aws_errors(f"read the attributes of classic load balancer {name} {self._where}"):
            answer = self._classic.describe_load_balancer_attributes(LoadBalancerName=name)
        log = answer["LoadBalancerAttributes"].get("AccessLog", {"Enabled": False})
        bucket = log.get("S3BucketName", "") if log.get("Enabled") else ""
        prefix = log.get("S3BucketPrefix", "") if bucket else ""
        return AccessLog(balancer=name, kind="classic", file_id=name, bucket=bucket, prefix=prefix)

    def _target_groups(self, known: set[str], *, vpc_ids: set[str]) -> list[MembershipFacts]:
        with aws_errors(f"list target groups {self._where}"):
            pages = self._current.get_paginator("describe_target_groups").paginate()
            groups = [g for page in pages for g in page["TargetGroups"]]
        # a group without a VPC (lambda) has no instances; an address may also be in a group of a peered VPC
        arns = [
            g["TargetGroupArn"]
            for g in groups
            if g.get("TargetType") == "ip"
            or (g.get("TargetType", "instance") == "instance" and g.get("VpcId") in vpc_ids)
        ]
        with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
            return [m for found in pool.map(lambda arn: self._members(arn, known=known), arns) for m in found]

    def _members(self, arn: str, *, known: set[str]) -> list[MembershipFacts]:
        with aws_errors(f"read the targets of {arn} {self._where}"):
            answer = self._current.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        staying = [d for d in answer if d.get("TargetHealth", {}).get("State") != LEAVING]
        mine = [d["Target"] for d in staying if d["Target"]["Id"] in known]
        return [
            MembershipFacts(
                kind="elbv2",
                balancer=arn,
                target_id=target["Id"],
                port=target.get("Port"),
                zone=target.get("AvailabilityZone"),
                others=len(staying) - len(mine),
            )
            for target in mine
        ]

    def _classic_balancers(self, instance_id: str) -> list[MembershipFacts]:
        with aws_errors(f"list classic load balancers {self._where}"):
            pages = self._classic.get_paginator("describe_load_balancers").paginate()
            found = [b for page in pages for b in page["LoadBalancerDescriptions"]]
        return [
            MembershipFacts(
                kind="elb",
                balancer=b["LoadBalancerName"],
                target_id=instance_id,
                others=len(b["Instances"]) - 1,
            )
            for b in found
            if any(i["InstanceId"] == instance_id for i in b["Instances"])
        ]
