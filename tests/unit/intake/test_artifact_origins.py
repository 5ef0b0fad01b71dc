"""Snapshots and images lead people to the instances that have to do with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.stub import Stubber

from forensics.intake.artifact_origins import ArtifactOrigins
from forensics.models.intake import FindingWithoutInstance, SubjectKind
from tests.unit.builders import ACCOUNT, INSTANCE, REGION
from tests.unit.intake.test_without_instance import item
from tests.unit.moto_store import make_client

SNAPSHOT, IMAGE, VOLUME = "snap-0123456789abcdef0", "ami-0123456789abcdef0", "vol-0123456789abcdef0"
OTHER = "i-0bbbbbbbbbbbbbbb2"
ABOUT_IMAGE = {"kind": SubjectKind.IMAGE, "resource": f"arn:aws:ec2:{REGION}::image/{IMAGE}"}


@pytest.fixture
def ec2() -> Iterator[Stubber]:
    """EC2 that answers what a test has put down."""
    with Stubber(make_client("ec2")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def related(stub: Stubber, **changes: Any) -> FindingWithoutInstance:
    """The finding with what EC2 says."""
    asked = item(**changes)

    def client(account: str, region: str) -> Any:
        assert (account, region) == (asked.account_id, asked.region)
        return stub.client

    return ArtifactOrigins(client).related(asked)


def snapshot(ec2: Stubber, volume: str | None) -> None:
    """One snapshot, or none."""
    found = [{"SnapshotId": SNAPSHOT, "VolumeId": volume}] if volume else []
    asked = {"Filters": [{"Name": "snapshot-id", "Values": [SNAPSHOT]}]}
    ec2.add_response("describe_snapshots", {"Snapshots": found}, asked)


@pytest.mark.parametrize(
    ("volumes", "nodes", "why"),
    [
        ([{"Attachments": [{"InstanceId": INSTANCE}]}], (INSTANCE,), "which is attached now"),
        ([{"Attachments": []}], (), "which is attached to no instance"),
        ([], (), "which is gone"),
    ],
)
def test_a_snapshot_names_its_volume_and_the_instance_that_has_it(
    ec2: Stubber, volumes: list[dict[str, Any]], nodes: tuple[str, ...], why: str
) -> None:
    snapshot(ec2, VOLUME)
    ec2.add_response("describe_volumes", {"Volumes": volumes}, {"Filters": [{"Name": "volume-id", "Values": [VOLUME]}]})
    found = related(ec2)
    assert (found.nodes, found.why) == (nodes, f"it was made of {VOLUME}, {why}")


@pytest.mark.parametrize(("volume", "why"), [("vol-ffffffff", "it is a copy"), (None, "EC2 does not know it")])
def test_a_copy_and_an_unknown_snapshot_name_nothing(ec2: Stubber, volume: str | None, why: str) -> None:
    snapshot(ec2, volume)
    found = related(ec2)
    assert found.nodes == () and found.why.startswith(why)


@pytest.mark.parametrize("source", [OTHER, None])
def test_an_image_names_what_was_launched_from_it_and_what_it_was_made_of(ec2: Stubber, source: str | None) -> None:
    filters = {"Filters": [{"Name": "image-id", "Values": [IMAGE]}]}
    ec2.add_response("describe_instances", {"Reservations": [{"Instances": [{"InstanceId": INSTANCE}]}]}, filters)
    image = {"ImageId": IMAGE, **({"SourceInstanceId": source} if source else {})}
    ec2.add_response(
        "describe_images", {"Images": [image]}, {**filters, "IncludeDeprecated": True, "IncludeDisabled": True}
    )
    found = related(ec2, **ABOUT_IMAGE)
    assert set(found.nodes) == {INSTANCE, *([source] if source else [])}
    assert found.why.startswith("1 instances here were launched from it") and (OTHER in found.why) is bool(source)


def test_a_look_up_that_fails_is_said_and_stops_nothing(ec2: Stubber) -> None:
    ec2.add_client_error("describe_snapshots", "UnauthorizedOperation")
    found = related(ec2)
    assert found.nodes == () and found.why.startswith("where it comes from is not known: look up where snap-")


@pytest.mark.parametrize(
    "changes",
    [
        {"resource": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/c"},
        {"resource": f"arn:aws:ec2:{REGION}:{ACCOUNT}:snapshot/snap-x"},
        {"resource": ""},
        {"sent_by": "999988887777"},
        {"region": ""},
    ],
)
def test_other_resources_and_accounts_that_nothing_confirms_are_not_asked_about(
    ec2: Stubber, changes: dict[str, Any]
) -> None:
    assert related(ec2, **changes) == item(**changes)
