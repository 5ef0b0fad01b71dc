"""Snapshots and images as EC2 describes them. Shapes: EC2 API reference, DescribeSnapshots, DescribeImages, DescribeSnapshotAttribute."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.stub import Stubber

from forensics.aws.artifacts import ArtifactGateway
from forensics.errors import AccessDeniedError, ResourceGoneError
from tests.unit.builders import ACCOUNT, IMAGE, INSTANCE, NOW, REGION, SNAPSHOT
from tests.unit.moto_store import make_client

ASKED_IMAGE = {"ImageIds": [IMAGE], "IncludeDeprecated": True, "IncludeDisabled": True}


@pytest.fixture
def ec2() -> Iterator[Stubber]:
    """EC2 that answers what a test has put down."""
    with Stubber(make_client("ec2")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def gateway(ec2: Stubber) -> ArtifactGateway:
    return ArtifactGateway(ec2.client, account_id=ACCOUNT, region=REGION)


def test_a_snapshot_says_whose_it_is_what_of_and_under_which_key(ec2: Stubber) -> None:
    record = {
        "SnapshotId": SNAPSHOT, "VolumeId": "vol-0123456789abcdef0", "OwnerId": ACCOUNT, "State": "completed", "StorageTier": "standard",
        "StartTime": NOW, "VolumeSize": 8, "Encrypted": True, "KmsKeyId": "arn:aws:kms:k", "Description": "nightly",
        "Tags": [{"Key": "Name", "Value": "db"}],
    }  # fmt: skip
    ec2.add_response("describe_snapshots", {"Snapshots": [record]}, {"SnapshotIds": [SNAPSHOT]})
    disk, raw = gateway(ec2).snapshot(SNAPSHOT, device="/dev/sdf")
    assert (disk.owner_id, disk.volume_id, disk.device, disk.size_gib) == (
        ACCOUNT,
        "vol-0123456789abcdef0",
        "/dev/sdf",
        8,
    )
    assert (disk.encrypted, disk.kms_key_id, disk.tags, raw["Description"]) == (
        True,
        "arn:aws:kms:k",
        {"Name": "db"},
        "nightly",
    )
    ec2.add_response("describe_snapshots", {"Snapshots": [{"SnapshotId": SNAPSHOT, "VolumeId": "vol-ffffffff"}]}, None)
    assert gateway(ec2).snapshot(SNAPSHOT)[0].volume_id is None, "the volume of a copy is an arbitrary id"


def test_an_image_names_the_snapshot_of_each_device(ec2: Stubber) -> None:
    record: dict[str, Any] = {
        "ImageId": IMAGE, "OwnerId": ACCOUNT, "Name": "golden", "State": "disabled", "Public": True, "Platform": "windows",
        "RootDeviceType": "ebs", "SourceInstanceId": INSTANCE, "CreationDate": "2026-11-24T08:00:00.000Z",
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": SNAPSHOT}},
            {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"},
        ],
    }  # fmt: skip
    ec2.add_response("describe_images", {"Images": [record]}, ASKED_IMAGE)
    image, _ = gateway(ec2).image(IMAGE)
    assert image.disks == {"/dev/xvda": SNAPSHOT} and image.without_snapshot == ("/dev/sdb",) and image.bundle == ""
    assert (image.public, image.platform, image.source_instance, image.made_at) == (True, "windows", INSTANCE, NOW)
    of_instance_store = {
        "ImageId": IMAGE,
        "RootDeviceType": "instance-store",
        "ImageLocation": "amis/golden.manifest.xml",
    }
    ec2.add_response("describe_images", {"Images": [of_instance_store]}, ASKED_IMAGE)
    assert gateway(ec2).image(IMAGE)[0].bundle == "amis/golden.manifest.xml"


@pytest.mark.parametrize(("call", "code"), [("describe_snapshots", "InvalidSnapshot.NotFound"), ("describe_images", "InvalidAMIID.NotFound"),
                                            ("describe_images", "InvalidAMIID.Unavailable")])  # fmt: skip
def test_what_is_gone_is_gone_however_ec2_says_it(ec2: Stubber, call: str, code: str) -> None:
    ec2.add_client_error(call, code)
    ask = gateway(ec2).snapshot if call == "describe_snapshots" else gateway(ec2).image
    with pytest.raises(ResourceGoneError):
        ask(SNAPSHOT if call == "describe_snapshots" else IMAGE)
    ec2.add_response(call, {"Snapshots": []} if call == "describe_snapshots" else {"Images": []})
    with pytest.raises(ResourceGoneError, match="does not exist") as caught:
        ask(SNAPSHOT if call == "describe_snapshots" else IMAGE)
    assert "Recycle Bin" in caught.value.next_action


def test_who_can_read_it_are_accounts_or_all(ec2: Stubber) -> None:
    asked = {"SnapshotId": SNAPSHOT, "Attribute": "createVolumePermission"}
    granted = [{"UserId": "444455556666"}, {"Group": "all"}]
    ec2.add_response("describe_snapshot_attribute", {"CreateVolumePermissions": granted}, asked)
    assert gateway(ec2).readers(SNAPSHOT) == ("444455556666", "all")
    ec2.add_client_error("describe_snapshot_attribute", "UnauthorizedOperation")
    with pytest.raises(AccessDeniedError):
        gateway(ec2).readers(SNAPSHOT)
