"""Snapshots of the lab: states, failures, sharing, locks, copies, and the bytes they hold."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.lab.conftest import FORENSIC, MEMBER, REGION, Lab, Network
from tests.lab.emulator.patches.test_ec2 import refused, volume
from tests.lab.emulator.patches.test_sts import assume, make_role

BLOCK = 512 * 1024


def shown(ec2, snapshot: str) -> dict:
    return ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]


def taken(network: Network, disk: str | None = None) -> str:
    return str(network.ec2.create_snapshot(VolumeId=disk or volume(network))["SnapshotId"])


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A sparse 8 MiB image with data in blocks 0, 3 and 10."""
    path = tmp_path / "disk.raw"
    with path.open("wb") as stream:
        stream.truncate(16 * BLOCK)
        for index in (0, 3, 10):
            stream.seek(index * BLOCK)
            stream.write(bytes([index + 1]) * 4096)
    return path


def test_a_snapshot_is_pending_with_progress_before_it_completes(lab: Lab, network: Network) -> None:
    with lab.config(snapshot_seconds=3600):
        snapshot = taken(network)
        first = shown(network.ec2, snapshot)
        assert first["State"] == "pending"
        lab.advance(1800)
        half = shown(network.ec2, snapshot)
        assert half["State"] == "pending" and 50 <= int(half["Progress"].rstrip("%")) < 60
        lab.advance(1800)
        assert shown(network.ec2, snapshot)["State"] == "completed"
    assert shown(network.ec2, snapshot)["Progress"] == "100%"


def test_a_snapshot_can_fail_with_a_message(lab: Lab, network: Network) -> None:
    disk = volume(network)
    lab.post("snapshot", {"match": {"volume_id": disk}, "fail_at": 0.2, "message": "Client.Lost: gone"})
    with lab.config(snapshot_seconds=3600):
        failing, other = taken(network, disk), taken(network)
        lab.advance(1800)
        assert shown(network.ec2, failing)["State"] == "error"
        assert shown(network.ec2, other)["State"] == "pending"
    assert shown(network.ec2, failing)["StateMessage"] == "Client.Lost: gone"
    lab.advance(1800)
    assert shown(network.ec2, other)["State"] == "completed"
    assert shown(network.ec2, taken(network, disk))["State"] == "completed"


def test_snapshots_of_an_instance_honour_exclusions(network: Network) -> None:
    mappings = [{"DeviceName": f"/dev/sd{x}", "Ebs": {"VolumeSize": 8}} for x in ("a1", "b", "c")]
    instance = network.instance(BlockDeviceMappings=mappings)
    disks = {m["DeviceName"]: m["Ebs"]["VolumeId"] for m in network.describe(instance)["BlockDeviceMappings"]}
    made = network.ec2.create_snapshots(
        InstanceSpecification={"InstanceId": instance, "ExcludeDataVolumeIds": [disks["/dev/sdb"]]}
    )["Snapshots"]
    assert {s["VolumeId"] for s in made} == {disks["/dev/sda1"], disks["/dev/sdc"]}
    assert {s["State"] for s in made} == {"completed"}
    data_only = network.ec2.create_snapshots(InstanceSpecification={"InstanceId": instance, "ExcludeBootVolume": True})[
        "Snapshots"
    ]
    assert {s["VolumeId"] for s in data_only} == {disks["/dev/sdb"], disks["/dev/sdc"]}


def test_tags_are_copied_from_the_volumes(network: Network) -> None:
    instance = network.instance()
    disk = network.describe(instance)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    network.ec2.create_tags(Resources=[disk], Tags=[{"Key": "role", "Value": "db"}])
    made = network.ec2.create_snapshots(InstanceSpecification={"InstanceId": instance}, CopyTagsFromSource="volume")[
        "Snapshots"
    ][0]
    assert {"Key": "role", "Value": "db"} in shown(network.ec2, made["SnapshotId"])["Tags"]


def test_sharing_makes_a_snapshot_visible_and_only_then(lab: Lab, network: Network) -> None:
    snapshot, forensic = taken(network), lab.client("ec2", FORENSIC)
    with refused("InvalidSnapshot.NotFound"):
        shown(forensic, snapshot)
    change = {"SnapshotId": snapshot, "Attribute": "createVolumePermission"}
    network.ec2.modify_snapshot_attribute(**change, CreateVolumePermission={"Add": [{"UserId": FORENSIC}]})
    assert shown(forensic, snapshot)["OwnerId"] == MEMBER
    permissions = network.ec2.describe_snapshot_attribute(**change)["CreateVolumePermissions"]
    assert permissions == [{"UserId": FORENSIC}]
    network.ec2.modify_snapshot_attribute(**change, CreateVolumePermission={"Remove": [{"UserId": FORENSIC}]})
    with refused("InvalidSnapshot.NotFound"):
        forensic.copy_snapshot(SourceSnapshotId=snapshot, SourceRegion=REGION)


def test_the_older_form_of_sharing_works_too(lab: Lab, network: Network) -> None:
    snapshot = taken(network)
    network.ec2.modify_snapshot_attribute(
        SnapshotId=snapshot, Attribute="createVolumePermission", OperationType="add", UserIds=[FORENSIC]
    )
    assert shown(lab.client("ec2", FORENSIC), snapshot)["OwnerId"] == MEMBER


def test_a_snapshot_under_the_default_key_cannot_be_shared(network: Network) -> None:
    snapshot = taken(network, volume(network, Encrypted=True))
    with refused("OperationNotPermitted"):
        network.ec2.modify_snapshot_attribute(
            SnapshotId=snapshot,
            Attribute="createVolumePermission",
            CreateVolumePermission={"Add": [{"UserId": FORENSIC}]},
        )


def test_owner_filters_and_pages(network: Network) -> None:
    disk = volume(network)
    mine = {taken(network, disk) for _ in range(7)}
    by_volume = [{"Name": "volume-id", "Values": [disk]}]
    paginator = network.ec2.get_paginator("describe_snapshots")
    pages = list(paginator.paginate(OwnerIds=["self"], Filters=by_volume, PaginationConfig={"PageSize": 5}))
    sizes = [len(page["Snapshots"]) for page in pages]
    assert sizes == [5, 2]
    found = {s["SnapshotId"] for page in pages for s in page["Snapshots"]}
    assert found == mine
    assert network.ec2.describe_snapshots(OwnerIds=[FORENSIC], Filters=by_volume)["Snapshots"] == []


def test_a_locked_snapshot_cannot_be_deleted(network: Network) -> None:
    snapshot = taken(network)
    locked = network.ec2.lock_snapshot(SnapshotId=snapshot, LockMode="governance", LockDuration=3)
    assert locked["LockState"] == "governance"
    with refused("SnapshotLocked"):
        network.ec2.delete_snapshot(SnapshotId=snapshot)
    listed = network.ec2.describe_locked_snapshots(SnapshotIds=[snapshot])["Snapshots"]
    assert [lock["LockDuration"] for lock in listed] == [3]
    network.ec2.unlock_snapshot(SnapshotId=snapshot)
    network.ec2.delete_snapshot(SnapshotId=snapshot)


def test_a_compliance_lock_cannot_be_removed(network: Network) -> None:
    snapshot = taken(network)
    network.ec2.lock_snapshot(SnapshotId=snapshot, LockMode="compliance", LockDuration=3)
    with refused("OperationNotPermitted"):
        network.ec2.unlock_snapshot(SnapshotId=snapshot)
    with refused("OperationNotPermitted"):
        network.ec2.lock_snapshot(SnapshotId=snapshot, LockMode="governance", LockDuration=9)


def test_a_cooling_off_period_is_for_a_first_lock_in_compliance_mode(network: Network) -> None:
    """EC2 API reference, LockSnapshot, CoolOffPeriod: 1 to 72 hours, omitted in governance mode and in extensions."""
    snapshot = taken(network)
    with refused("InvalidParameterCombination"):
        network.ec2.lock_snapshot(SnapshotId=snapshot, LockMode="governance", LockDuration=3, CoolOffPeriod=1)
    with refused("InvalidParameterValue"):
        network.ec2.lock_snapshot(SnapshotId=snapshot, LockMode="compliance", LockDuration=3, CoolOffPeriod=73)
    first = network.ec2.lock_snapshot(SnapshotId=snapshot, LockMode="compliance", LockDuration=9, CoolOffPeriod=72)
    assert first["LockState"] == "compliance-cooloff" and first["CoolOffPeriodExpiresOn"] < first["LockExpiresOn"]
    network.ec2.unlock_snapshot(SnapshotId=snapshot)
    network.ec2.lock_snapshot(SnapshotId=snapshot, LockMode="compliance", LockDuration=3)
    with refused("InvalidParameterCombination"):
        network.ec2.lock_snapshot(SnapshotId=snapshot, LockMode="compliance", LockDuration=9, CoolOffPeriod=1)
    longer = network.ec2.lock_snapshot(SnapshotId=snapshot, LockMode="compliance", LockDuration=9)
    assert longer["LockState"] == "compliance" and longer["LockDuration"] == 9


def test_a_pending_snapshot_is_not_copied(lab: Lab, network: Network) -> None:
    with lab.config(snapshot_seconds=3600):
        snapshot = taken(network)
    with refused("IncorrectState"):
        network.ec2.copy_snapshot(SourceSnapshotId=snapshot, SourceRegion=REGION)
    with refused("IncorrectState"):
        volume(network, SnapshotId=snapshot)


def test_a_copy_takes_time_and_can_fail(lab: Lab, network: Network) -> None:
    snapshot = taken(network)
    lab.post("snapshot", {"match": {"copy": True}, "fail_at": 0.5, "message": "Client.InvalidKey: no"})
    with lab.config(copy_seconds=3600):
        failing = network.ec2.copy_snapshot(SourceSnapshotId=snapshot, SourceRegion=REGION)["SnapshotId"]
        good = network.ec2.copy_snapshot(SourceSnapshotId=snapshot, SourceRegion=REGION)["SnapshotId"]
        assert shown(network.ec2, good)["State"] == "pending"
        lab.advance(1800)
        assert (shown(network.ec2, failing)["State"], shown(network.ec2, good)["State"]) == ("error", "pending")
        lab.advance(1800)
        assert shown(network.ec2, good)["State"] == "completed"


def blocks(lab: Lab, account: str, snapshot: str, **where) -> dict[int, bytes]:
    ebs = lab.client("ebs", account, **where)
    found = {}
    for block in ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"]:
        answer = ebs.get_snapshot_block(
            SnapshotId=snapshot, BlockIndex=block["BlockIndex"], BlockToken=block["BlockToken"]
        )
        data = answer["BlockData"].read()
        assert base64.b64encode(hashlib.sha256(data).digest()).decode() == answer["Checksum"]
        assert len(data) == answer["DataLength"] == BLOCK
        found[block["BlockIndex"]] = data
    return found


def test_a_snapshot_holds_the_bytes_of_its_moment(lab: Lab, network: Network, image: Path) -> None:
    disk = volume(network)
    lab.post("volume", {"volume_id": disk, "path": str(image)})
    before = taken(network, disk)
    with image.open("r+b") as stream:
        stream.seek(3 * BLOCK)
        stream.write(b"changed")
    after = taken(network, disk)
    old, new = blocks(lab, MEMBER, before), blocks(lab, MEMBER, after)
    assert sorted(old) == sorted(new) == [0, 3, 10]
    assert old[3].startswith(bytes([4]) * 4096) and new[3].startswith(b"changed")
    changed = lab.client("ebs", MEMBER).list_changed_blocks(FirstSnapshotId=before, SecondSnapshotId=after)
    assert [block["BlockIndex"] for block in changed["ChangedBlocks"]] == [3]
    copy = lab.directory / "images" / f"{before}.raw"
    assert copy.stat().st_blocks * 512 < copy.stat().st_size / 2, "the copy lost its holes"


def test_bytes_go_from_account_to_account_and_region(lab: Lab, network: Network, image: Path) -> None:
    disk = volume(network)
    lab.post("volume", {"volume_id": disk, "path": str(image)})
    snapshot = taken(network, disk)
    network.ec2.modify_snapshot_attribute(
        SnapshotId=snapshot,
        Attribute="createVolumePermission",
        CreateVolumePermission={"Add": [{"UserId": FORENSIC}]},
    )
    far = lab.client("ec2", FORENSIC, region="eu-west-1")
    with lab.config(copy_seconds=0):
        copy = far.copy_snapshot(SourceSnapshotId=snapshot, SourceRegion=REGION)["SnapshotId"]
    network.ec2.delete_snapshot(SnapshotId=snapshot)
    assert sorted(blocks(lab, FORENSIC, copy, region="eu-west-1")) == [0, 3, 10]
    made = far.create_volume(AvailabilityZone="eu-west-1a", SnapshotId=copy)["VolumeId"]
    assert (lab.directory / "images" / f"{made}.raw").read_bytes() == image.read_bytes()
    assert os.access(lab.directory / "images" / f"{made}.raw", os.W_OK)


def test_a_block_needs_its_token(lab: Lab, network: Network, image: Path) -> None:
    disk = volume(network)
    lab.post("volume", {"volume_id": disk, "path": str(image)})
    snapshot = taken(network, disk)
    with refused("ValidationException"):
        lab.client("ebs", MEMBER).get_snapshot_block(SnapshotId=snapshot, BlockIndex=0, BlockToken="bogus")
    with refused("ResourceNotFoundException"):
        lab.client("ebs", FORENSIC).list_snapshot_blocks(SnapshotId=snapshot)


def test_written_snapshots_are_checked(lab: Lab) -> None:
    ebs = lab.client("ebs", MEMBER)
    started = ebs.start_snapshot(VolumeSize=1)
    assert started["BlockSize"] == BLOCK
    data = b"x" * BLOCK
    block = {"SnapshotId": started["SnapshotId"], "BlockIndex": 2, "BlockData": data, "DataLength": BLOCK}
    good = base64.b64encode(hashlib.sha256(data).digest()).decode()
    with refused("ValidationException"):
        ebs.put_snapshot_block(**block, Checksum=base64.b64encode(b"0" * 32).decode(), ChecksumAlgorithm="SHA256")
    ebs.put_snapshot_block(**block, Checksum=good, ChecksumAlgorithm="SHA256")
    ebs.complete_snapshot(SnapshotId=started["SnapshotId"], ChangedBlocksCount=1)
    assert blocks(lab, MEMBER, started["SnapshotId"]) == {2: data}


def test_a_missing_image_file_is_named(lab: Lab) -> None:
    with pytest.raises(AssertionError, match=r"no image file .*nowhere\.raw"):
        lab.post("volume", {"volume_id": "vol-0123456789abcdef0", "path": "/nowhere.raw"})


def test_a_foreign_snapshot_cannot_be_locked(lab: Lab, network: Network) -> None:
    snapshot = taken(network)
    with pytest.raises(ClientError, match="NotFound"):
        lab.client("ec2", FORENSIC).lock_snapshot(SnapshotId=snapshot, LockMode="governance", LockDuration=1)


def copied(lab: Lab, network: Network, **settings: float) -> tuple[str, str]:
    """A snapshot of the member account and its copy in the forensic account, of which the lab knows right away."""
    snapshot = taken(network)
    with lab.config(**settings, hidden_from_root=1, hidden_calls=0):
        change = {
            "SnapshotId": snapshot,
            "Attribute": "createVolumePermission",
            "CreateVolumePermission": {"Add": [{"UserId": FORENSIC}]},
        }
        network.ec2.modify_snapshot_attribute(**change)
        made = lab.client("ec2", FORENSIC).copy_snapshot(SourceSnapshotId=snapshot, SourceRegion=REGION)["SnapshotId"]
    return snapshot, made


def test_a_copy_that_begins_before_its_share_has_spread_ends_in_error(lab: Lab, network: Network) -> None:
    """radkawar/stackd, docs/ec2.md, from captures: the request is accepted."""
    _, made = copied(lab, network, share_spread_seconds=3600.0, copy_seconds=0.0)
    assert shown(lab.client("ec2", FORENSIC), made)["State"] == "error"
    _, again = copied(lab, network, share_spread_seconds=0.0, copy_seconds=0.0)
    assert shown(lab.client("ec2", FORENSIC), again)["State"] == "completed"


def test_a_copys_size_and_key_are_not_known_at_once(lab: Lab, network: Network) -> None:
    """radkawar/stackd, testdata/aws/ebs/copy_data.json."""
    snapshot = taken(network)
    with lab.config(copy_seconds=3600):
        made = network.ec2.copy_snapshot(SourceSnapshotId=snapshot, SourceRegion=REGION, Encrypted=True)["SnapshotId"]
        early = shown(network.ec2, made)
        lab.advance(3600)
    assert (early["VolumeSize"], early["StateMessage"], early["KmsKeyId"]) == (
        0, "Metadata not updated", "alias/aws/ebs"
    )  # fmt: skip
    late = shown(network.ec2, made)
    assert late["VolumeSize"] > 0 and late["KmsKeyId"].startswith("arn:") and not late.get("StateMessage")


def role_of(lab: Lab, account: str) -> dict[str, str]:
    """Keys of a role's session: root keys look from outside and are not refused anything."""
    role = make_role(lab, account, {"AWS": f"arn:aws:iam::{account}:root"})
    return assume(lab, role, account=account)


def reasons(ebs, snapshot: str, *, calls: int) -> list[str]:
    found = []
    for _ in range(calls):
        try:
            ebs.list_snapshot_blocks(SnapshotId=snapshot)
        except ClientError as error:
            found.append(f"{error.response['Error']['Code']} {error.response['Reason']}")
        else:
            found.append("")
    return found


def test_ebs_direct_does_not_know_a_snapshot_that_ec2_calls_completed(lab: Lab, network: Network) -> None:
    """radkawar/stackd, testdata/aws/ebs/copy_data_failures.json: SNAPSHOT_NOT_FOUND for 57 to 67 s after completion."""
    snapshot = taken(network)
    assert shown(network.ec2, snapshot)["State"] == "completed"
    ebs = lab.client("ebs", MEMBER, **role_of(lab, MEMBER))
    with lab.config(ebs_direct_throttled_share=0):
        answers = reasons(ebs, snapshot, calls=4)
    assert answers == ["ResourceNotFoundException SNAPSHOT_NOT_FOUND"] * 2 + [""] * 2


def test_ebs_direct_throttles_by_a_code_of_its_own(lab: Lab, network: Network) -> None:
    """botocore's model of EBS direct: RequestThrottledException with a Reason."""
    snapshot = taken(network)
    ebs = lab.client("ebs", MEMBER, **role_of(lab, MEMBER))
    with lab.config(ebs_direct_throttled_share=1):
        assert reasons(ebs, snapshot, calls=1) == ["RequestThrottledException ACCOUNT_THROTTLED"]


def test_ebs_direct_calls_a_key_that_cannot_be_used_not_found(lab: Lab, network: Network) -> None:
    """radkawar/stackd, testdata/aws/ebs/sharing_data_contract.json: "KMS key not found"."""
    kms = lab.client("kms", MEMBER)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    snapshot = taken(network, volume(network, Encrypted=True, KmsKeyId=key))
    kms.disable_key(KeyId=key)
    ebs = lab.client("ebs", MEMBER, **role_of(lab, MEMBER))
    with lab.config(ebs_direct_throttled_share=0, ebs_direct_hidden_calls=0):
        (answer,) = reasons(ebs, snapshot, calls=1)
    assert answer == "ResourceNotFoundException DEPENDENCY_RESOURCE_NOT_FOUND"


def test_an_image_of_an_instance_has_a_snapshot_of_each_volume(lab: Lab, network: Network) -> None:
    instance = network.instance()
    disk = volume(network)
    network.ec2.attach_volume(VolumeId=disk, InstanceId=instance, Device="/dev/sdf")
    image = network.ec2.create_image(InstanceId=instance, Name="golden")["ImageId"]
    (found,) = network.ec2.describe_images(ImageIds=[image])["Images"]
    snapshots = {m["DeviceName"]: m["Ebs"]["SnapshotId"] for m in found["BlockDeviceMappings"]}
    attached = network.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    volumes = {m["DeviceName"]: m["Ebs"]["VolumeId"] for m in attached["BlockDeviceMappings"]}
    assert {d: shown(network.ec2, s)["VolumeId"] for d, s in snapshots.items()} == volumes and volumes[
        "/dev/sdf"
    ] == disk


def test_a_disabled_image_is_shown_to_who_asks_for_it(network: Network) -> None:
    image = network.ec2.create_image(InstanceId=network.instance(), Name="golden")["ImageId"]
    network.ec2.disable_image(ImageId=image)
    assert network.ec2.describe_images(ImageIds=[image])["Images"] == []
    (found,) = network.ec2.describe_images(ImageIds=[image], IncludeDisabled=True)["Images"]
    assert found["State"] == "disabled"
