"""Which instance a finding is about when it names a volume, an interface, a security group, a node or a task; and in which Region."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from forensics.aws.ecs import EcsGateway
from forensics.aws.error_map import aws_errors
from forensics.aws.hook import INTAKE
from forensics.aws.session import AwsSession, Scope
from forensics.errors import AccessDeniedError, ResourceGoneError, UnreachableError
from forensics.intake.readers.fields import clean
from forensics.intake.readers.identifiers import partition_of
from forensics.intake.readers.subjects import NODE, TASK
from forensics.intake.readers.validation import placed, resolved
from forensics.models.finding import Finding
from forensics.models.intake import FindingWithoutInstance, IntakeResult, IntakeVerdict, UnresolvedFinding

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import FilterTypeDef

log = logging.getLogger(__name__)
# A resource that is attached to more instances than this says something about configuration, not about one instance.
MOST_INSTANCES = 20


class InstanceResolver:
    """Describe calls in the account of a finding; ``ec2`` gives a client for an account and Region.

    ``home`` is the pipeline's own Region: always in reach, and the first that is searched after the finding's. ``search``
    gives the client for Regions that may be out of reach: it gives up within seconds, so that twenty closed Regions do
    not hold up the intake. ``ecs``: the same for tasks.
    """

    def __init__(
        self,
        ec2: Callable[[str, str], EC2Client],
        *,
        ecs: Callable[[str, str], EcsGateway],
        home: str = "",
        search: Callable[[str, str], EC2Client] | None = None,
    ) -> None:
        self._ec2 = ec2
        self._ecs = ecs
        self._search = search or ec2
        self._home = home

    @classmethod
    def of(cls, session: Callable[[Scope], AwsSession], *, home: str = "") -> Self:
        """Asks under the triage role of each account; there is no case yet."""

        def triage(account: str, region: str) -> AwsSession:
            return session(Scope(account, region, phase="triage", case_id=INTAKE))

        return cls(
            lambda account, region: triage(account, region).ec2,
            ecs=lambda account, region: EcsGateway.of(triage(account, region).impatient()),
            home=home,
            search=lambda account, region: triage(account, region).impatient().ec2,
        )

    def complete(self, result: IntakeResult) -> IntakeResult:
        """The result with every finding about an instance that exists.

        Raises :class:`AwsError` when AWS cannot be asked: the message is then processed again later.
        """
        if not result.unresolved and not result.unplaced:
            return result
        findings = {f.key: f for f in (self._placed(f, result) for f in result.findings)}
        reasons = []
        told: dict[str, FindingWithoutInstance | None] = {}
        for reference in result.unresolved:
            instances, sentence = self.look_up(reference)
            reasons.append(sentence)
            order = f"{reference.template.finding_id} {reference.template.order}"
            if 0 < len(instances) <= MOST_INSTANCES:
                made = [resolved(reference, instance_id=instance) for instance in instances]
                findings |= {f.key: f for f in made}
                told[order] = None
            elif reference.otherwise is not None:
                told.setdefault(order, reference.otherwise.model_copy(update={"why": clean(sentence, limit=300)}))
        reason = "; ".join([*([result.reason] if result.findings or not reasons else []), *reasons])[:300]
        return result.model_copy(
            update={
                "verdict": IntakeVerdict.ACCEPT if findings else result.verdict,
                "reason": reason,
                "findings": tuple(findings.values()),
                "unresolved": (),
                "without_instance": (*result.without_instance, *(item for item in told.values() if item is not None)),
                "unplaced": (),
            }
        )

    def look_up(self, reference: UnresolvedFinding) -> tuple[list[str], str]:
        """The instances that the resource is attached to, sorted, and that in words; none when it is not attached or gone."""
        if reference.resource_type == TASK:
            return self._of_task(reference)
        found = self._attached(reference)
        return found, _sentence(reference, found)

    def _of_task(self, reference: UnresolvedFinding) -> tuple[list[str], str]:
        """Where ECS cannot be asked (a role or a way is missing) people are told of the finding, instead of it having to wait."""
        cluster, _, task = reference.resource_id.partition("/")
        try:
            host = self._ecs(reference.account_id, reference.region).host(cluster, task)
        except (AccessDeniedError, UnreachableError) as error:
            log.warning("%s", error)
            return [], f"where {reference.resource} runs is not known: {error}"
        if host.instance_id:
            return [host.instance_id], f"{reference.resource} runs on {host.instance_id}"
        return [], f"{reference.resource}: {host.why}"

    def _attached(self, reference: UnresolvedFinding) -> list[str]:
        client = self._ec2(reference.account_id, reference.region)
        asks = {"AWS::EC2::Volume": _of_volume, "AWS::EC2::NetworkInterface": _of_interface, NODE: _of_node}
        ask = asks.get(reference.resource_type, _of_group)
        try:
            with aws_errors(
                f"find the instance of {reference.resource_id} in account {reference.account_id}, {reference.region}"
            ):
                return sorted(set(ask(client, reference)))
        except ResourceGoneError:
            return []

    def _placed(self, finding: Finding, result: IntakeResult) -> Finding:
        if finding.key not in result.unplaced:
            return finding
        region = self._region_of(finding)
        # When it is in no Region, the case will say so, and a person decides.
        return placed(finding, region=region) if region and region != finding.region else finding

    def _region_of(self, finding: Finding) -> str | None:
        reached = True
        try:
            if self._is_in(finding, finding.region):
                return finding.region
        except UnreachableError as error:
            # Stolen credentials may be used where the pipeline has no way to, and no instance of ours.
            log.warning("Region %s of a finding is out of reach, others are searched: %s", finding.region, error)
            reached = False
        client = self._ec2(finding.account_id, finding.region if reached or not self._home else self._home)
        with aws_errors(f"list the Regions of account {finding.account_id}"):
            regions = [r["RegionName"] for r in client.describe_regions()["Regions"]]
        others = [r for r in regions if r != finding.region and partition_of(r) == partition_of(finding.region)]
        ordered = sorted(others, key=lambda region: (region != self._home, region))
        return next((r for r in ordered if self._may_be_in(finding, r)), None)

    def _may_be_in(self, finding: Finding, region: str) -> bool:
        try:
            return self._is_in(finding, region)
        except AccessDeniedError as error:
            # Organizations deny Regions that they do not use: none of their instances runs there.
            log.info("access to Region %s is denied; not searched for %s: %s", region, finding.instance_id, error)
        except UnreachableError as error:
            # The network leads to the Regions of targets only (deployment file, member_regions).
            log.warning("Region %s is out of reach; not searched for %s: %s", region, finding.instance_id, error)
        return False

    def _is_in(self, finding: Finding, region: str) -> bool:
        client = self._search(finding.account_id, region)
        with aws_errors(f"look for {finding.instance_id} in account {finding.account_id}, {region}"):
            # A filter, not InstanceIds: an unknown id gives an empty answer instead of an error.
            answer = client.describe_instances(Filters=[{"Name": "instance-id", "Values": [finding.instance_id]}])
        return bool(answer["Reservations"])


def _of_volume(client: EC2Client, reference: UnresolvedFinding) -> list[str]:
    volumes = client.describe_volumes(VolumeIds=[reference.resource_id])["Volumes"]
    return [a["InstanceId"] for volume in volumes for a in volume.get("Attachments", []) if a.get("InstanceId")]


def _of_interface(client: EC2Client, reference: UnresolvedFinding) -> list[str]:
    found = client.describe_network_interfaces(NetworkInterfaceIds=[reference.resource_id])
    interfaces = found["NetworkInterfaces"]
    return [i["Attachment"]["InstanceId"] for i in interfaces if i.get("Attachment", {}).get("InstanceId")]


def _of_node(client: EC2Client, reference: UnresolvedFinding) -> list[str]:
    """By the private DNS name that EKS calls a node by, in the cluster's VPC: another VPC may use the same name."""
    filters: list[FilterTypeDef] = [{"Name": "private-dns-name", "Values": [reference.resource_id]}]
    if reference.template.vpc_id:
        filters.append({"Name": "vpc-id", "Values": [reference.template.vpc_id]})
    pages = client.get_paginator("describe_instances").paginate(Filters=filters)
    return [i["InstanceId"] for page in pages for r in page["Reservations"] for i in r.get("Instances", [])]


def _of_group(client: EC2Client, reference: UnresolvedFinding) -> list[str]:
    # By interface: DescribeInstances' instance.group-id sees only the primary one.
    pages = client.get_paginator("describe_network_interfaces").paginate(
        Filters=[{"Name": "group-id", "Values": [reference.resource_id]}]
    )
    found = [i for page in pages for i in page["NetworkInterfaces"]]
    return [i["Attachment"]["InstanceId"] for i in found if i.get("Attachment", {}).get("InstanceId")]


def _sentence(reference: UnresolvedFinding, instances: list[str]) -> str:
    what = reference.resource
    if not instances:
        gone = "is no instance that EC2 knows" if reference.resource_type == NODE else "is not attached to an instance"
        return f"{what} {gone}"
    if reference.resource_type == NODE and len(instances) <= MOST_INSTANCES:
        return f"{what} is {', '.join(instances)}"
    if len(instances) > MOST_INSTANCES:
        return f"{what} is attached to {len(instances)} instances: a matter of configuration, not of one instance"
    return f"{what} is attached to {', '.join(instances)}"
