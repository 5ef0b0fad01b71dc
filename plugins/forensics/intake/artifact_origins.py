"""Which instances have to do with a snapshot or a machine image: those that it was made of, and those launched from it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.hook import INTAKE
from forensics.aws.session import AwsSession, Scope
from forensics.errors import AwsError
from forensics.intake.readers.fields import clean
from forensics.intake.readers.identifiers import is_instance, partition_of
from forensics.intake.readers.subjects import MOST_NODES
from forensics.models.artifact import NO_VOLUME
from forensics.models.intake import FindingWithoutInstance

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

log = logging.getLogger(__name__)
# AWS Backup's recovery points of EC2 are snapshots and images too.
_ARTIFACT = re.compile(r":(?:snapshot|image)/((?:snap|ami)-(?:[0-9a-f]{8}|[0-9a-f]{17}))$")


class ArtifactOrigins:
    """Describe calls in the account of the artifact; ``ec2`` gives a client for an account and Region."""

    def __init__(self, ec2: Callable[[str, str], EC2Client]) -> None:
        self._ec2 = ec2

    @classmethod
    def of(cls, session: Callable[[Scope], AwsSession]) -> Self:
        """Asks under the triage role of the account, with time-outs of seconds: people wait for the message."""
        return cls(
            lambda account, region: session(Scope(account, region, phase="triage", case_id=INTAKE)).impatient().ec2
        )

    def related(self, item: FindingWithoutInstance) -> FindingWithoutInstance:
        """The finding with the instances that people have to look at; as it is when there is nothing to ask about.

        An account that nothing confirms is not asked. A look-up that fails is said in the finding and stops nothing.
        """
        match = _ARTIFACT.search(item.resource)
        if match is None or item.sent_by or partition_of(item.region) is None:
            return item
        nodes, why = self.of_artifact(match[1], account_id=item.account_id, region=item.region)
        return item.model_copy(update={"nodes": nodes, "why": why})

    def of_artifact(self, name: str, *, account_id: str, region: str) -> tuple[tuple[str, ...], str]:
        """The instances that have to do with a snapshot or an image, and what is known of its origin, in words."""
        ask = _of_snapshot if name.startswith("snap-") else _of_image
        try:
            with aws_errors(f"look up where {name} comes from in account {account_id}, {region}"):
                instances, why = ask(self._ec2(account_id, region), name)
        except AwsError as error:
            log.warning("%s", error)
            return (), clean(f"where it comes from is not known: {error}", limit=300)
        known = sorted({instance for instance in instances if is_instance(instance)})[:MOST_NODES]
        return tuple(known), clean(why, limit=300)


def _of_snapshot(client: EC2Client, snapshot_id: str) -> tuple[list[str], str]:
    found = client.describe_snapshots(Filters=[{"Name": "snapshot-id", "Values": [snapshot_id]}])["Snapshots"]
    if not found:
        return [], "EC2 does not know it in this account and Region"
    volume_id = found[0].get("VolumeId", NO_VOLUME)
    if volume_id == NO_VOLUME:
        return [], "it is a copy, which does not say what it was made of"
    volumes = client.describe_volumes(Filters=[{"Name": "volume-id", "Values": [volume_id]}])["Volumes"]
    attached = [a["InstanceId"] for v in volumes for a in v.get("Attachments", []) if a.get("InstanceId")]
    state = "which is attached now" if attached else "which is attached to no instance" if volumes else "which is gone"
    return attached, f"it was made of {volume_id}, {state}"


def _of_image(client: EC2Client, image_id: str) -> tuple[list[str], str]:
    pages = client.get_paginator("describe_instances").paginate(Filters=[{"Name": "image-id", "Values": [image_id]}])
    launched = [i["InstanceId"] for page in pages for r in page["Reservations"] for i in r.get("Instances", [])]
    images = client.describe_images(
        Filters=[{"Name": "image-id", "Values": [image_id]}], IncludeDeprecated=True, IncludeDisabled=True
    )["Images"]
    source = images[0].get("SourceInstanceId") if images else None
    why = f"{len(launched)} instances here were launched from it"
    made = f", it was made of {source}" if source else ""
    return [*launched, *([source] if source else [])], why + made
