"""Which instance is meant: of a volume, an interface, a security group; and in which Region it is (R30)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.hook import INTAKE, ForensicsHook
from forensics.aws.session import Scope
from forensics.errors import AccessDeniedError, ResourceGoneError
from forensics.intake.readers.identifiers import partition_of
from forensics.intake.readers.parsed_finding import placed, resolved
from forensics.models.finding import Finding, Intake, Unresolved, Verdict

log = logging.getLogger(__name__)
AT_MOST = 20
Ec2For = Callable[[str, str], Any]


class InstanceResolver:
    """Describe calls in the account of a finding; ``ec2`` gives a client for an account and Region."""

    def __init__(self, ec2: Ec2For) -> None:
        self._ec2 = ec2

    @classmethod
    def of(cls, hook: ForensicsHook) -> Self:
        """Asks under the triage role of each account; there is no case yet."""
        return cls(lambda account, region: hook.session(Scope(account, region, phase="triage", case_id=INTAKE)).ec2)

    def complete(self, intake: Intake) -> Intake:
        """The intake with every finding about an instance that exists.

        Raises :class:`AwsError` when AWS cannot be asked: the message is then worked again later.
        """
        if not intake.unresolved and not intake.unplaced:
            return intake
        findings = {f.key: f for f in (self._placed(f, intake) for f in intake.findings)}
        reasons = []
        for reference in intake.unresolved:
            instances = self.instances(reference)
            if 0 < len(instances) <= AT_MOST:
                made = [resolved(reference, instance_id=instance) for instance in instances]
                findings |= {f.key: f for f in made}
            reasons.append(_words(reference, instances))
        reason = "; ".join([*([intake.reason] if intake.findings or not reasons else []), *reasons])[:300]
        verdict = Verdict.ACCEPT if findings else intake.verdict
        return intake.model_copy(
            update={
                "verdict": verdict,
                "reason": reason,
                "findings": tuple(findings.values()),
                "unresolved": (),
                "unplaced": (),
            }
        )

    def instances(self, reference: Unresolved) -> list[str]:
        """The instances that the resource is on, sorted; none when it is on none or gone."""
        client = self._ec2(reference.account_id, reference.region)
        ask = {"AWS::EC2::Volume": _of_volume, "AWS::EC2::NetworkInterface": _of_interface}.get(
            reference.resource_type, _of_group
        )
        try:
            with aws_errors(
                f"find the instance of {reference.resource_id} in account {reference.account_id}, {reference.region}"
            ):
                return sorted(set(ask(client, reference.resource_id)))
        except ResourceGoneError:
            return []

    def _placed(self, finding: Finding, intake: Intake) -> Finding:
        if finding.key not in intake.unplaced:
            return finding
        region = self._region_of(finding)
        # Nowhere to be found: the case will say so, and a person decides.
        return placed(finding, region=region) if region and region != finding.region else finding

    def _region_of(self, finding: Finding) -> str | None:
        if self._is_in(finding, finding.region):
            return finding.region
        client = self._ec2(finding.account_id, finding.region)
        with aws_errors(f"list the Regions of account {finding.account_id}"):
            regions = sorted(r["RegionName"] for r in client.describe_regions()["Regions"])
        others = [r for r in regions if r != finding.region and partition_of(r) == partition_of(finding.region)]
        return next((r for r in others if self._may_be_in(finding, r)), None)

    def _may_be_in(self, finding: Finding, region: str) -> bool:
        try:
            return self._is_in(finding, region)
        except AccessDeniedError as error:
            # Organizations close Regions that they do not use: there is no instance of theirs in those.
            log.info("Region %s is closed to us and not searched for %s: %s", region, finding.instance_id, error)
            return False

    def _is_in(self, finding: Finding, region: str) -> bool:
        client = self._ec2(finding.account_id, region)
        # A filter, not InstanceIds: an id that is not there is an empty answer instead of an error.
        wanted = [{"Name": "instance-id", "Values": [finding.instance_id]}]
        with aws_errors(f"look for {finding.instance_id} in account {finding.account_id}, {region}"):
            return bool(client.describe_instances(Filters=wanted)["Reservations"])


def _of_volume(client: Any, identifier: str) -> list[str]:
    volumes = client.describe_volumes(VolumeIds=[identifier])["Volumes"]
    return [a["InstanceId"] for volume in volumes for a in volume.get("Attachments", []) if a.get("InstanceId")]


def _of_interface(client: Any, identifier: str) -> list[str]:
    interfaces = client.describe_network_interfaces(NetworkInterfaceIds=[identifier])["NetworkInterfaces"]
    return [i["Attachment"]["InstanceId"] for i in interfaces if i.get("Attachment", {}).get("InstanceId")]


def _of_group(client: Any, identifier: str) -> list[str]:
    # By interface: DescribeInstances' instance.group-id sees only the primary one.
    pages = client.get_paginator("describe_network_interfaces").paginate(
        Filters=[{"Name": "group-id", "Values": [identifier]}]
    )
    found = [i for page in pages for i in page["NetworkInterfaces"]]
    return [i["Attachment"]["InstanceId"] for i in found if i.get("Attachment", {}).get("InstanceId")]


def _words(reference: Unresolved, instances: list[str]) -> str:
    what = f"{reference.resource_type} {reference.resource_id}"
    if not instances:
        return f"{what} is on no instance"
    if len(instances) > AT_MOST:
        return f"{what} is on {len(instances)} instances: that is a matter of configuration, not of one instance"
    return f"{what} is on {', '.join(instances)}"
