"""EBS: snapshots taken as one set, locked, shared, copied under our key; volumes for the examination."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import Stubber

from forensics.aws import ebs as ebs_module
from forensics.aws.ebs import EbsGateway, Snapshot, raise_if_failed
from forensics.errors import AwsError, SnapshotError
from forensics.models.disk import SnapshotLock
from tests.unit.aws.conftest import Stub
from tests.unit.builders import INSTANCE

TAGS = [{"Key": "forensics:case", "Value": "fc-1"}]
LOCKED_UNTIL = datetime(2027, 1, 1, tzinfo=UTC)
LATER = datetime(2028, 1, 1, tzinfo=UTC)
MARKED = [{"Name": "tag:forensics:case", "Values": ["fc-1"]}]


@pytest.fixture
def stub(stubbed: Stub) -> Stubber:
    """EC2."""
    return stubbed("ec2")


@pytest.fixture
def ebs(stub: Stubber) -> EbsGateway:
    """Snapshots and volumes."""
    return EbsGateway(stub.client, account_id="333344445555", region="eu-central-1")


# One line per call without a story of its own: botocore's model checks every parameter.
CALLS: list[tuple[str, dict[str, Any], dict[str, Any], Callable[[EbsGateway], Any], Any]] = [
    (
        "lock_snapshot",
        {"LockState": "governance-cooloff", "LockExpiresOn": LOCKED_UNTIL},
        {"SnapshotId": "snap-1", "LockMode": "governance", "LockDuration": 365},
        lambda b: b.lock("snap-1", days=365),
        SnapshotLock(state="governance-cooloff", until="2027-01-01T00:00:00+00:00"),
    ),
    (
        "lock_snapshot",
        {"LockState": "governance"},
        {"SnapshotId": "snap-1", "LockMode": "governance", "LockDuration": 1},
        lambda b: b.lock("snap-1", days=1),
        SnapshotLock(state="governance", until=""),
    ),
    (
        "modify_snapshot_attribute",
        {},
        {
            "SnapshotId": "snap-1",
            "Attribute": "createVolumePermission",
            "OperationType": "add",
            "UserIds": ["222233334444"],
        },
        lambda b: b.share("snap-1", account_id="222233334444"),
        None,
    ),
    (
        "create_volume",
        {"VolumeId": "vol-9"},
        {
            "SnapshotId": "snap-1",
            "AvailabilityZone": "eu-central-1a",
            "VolumeType": "gp3",
            "ClientToken": "t" * 64,
            "TagSpecifications": [{"ResourceType": "volume", "Tags": TAGS}],
        },
        lambda b: b.create_volume("snap-1", zone="eu-central-1a", token="t" * 80, tags=TAGS),
        ("vol-9", 0),
    ),
    (
        "attach_volume",
        {},
        {"VolumeId": "vol-9", "InstanceId": INSTANCE, "Device": "/dev/sdf"},
        lambda b: b.attach("vol-9", instance_id=INSTANCE, device="/dev/sdf"),
        None,
    ),
    ("delete_volume", {}, {"VolumeId": "vol-9"}, lambda b: b.delete_volume("vol-9"), None),
    (
        "describe_volumes",
        {"Volumes": [{"VolumeId": "vol-9", "State": "in-use"}]},
        {"Filters": MARKED},
        lambda b: b.find_volumes(tags={"forensics:case": "fc-1"}),
        [{"VolumeId": "vol-9", "State": "in-use"}],
    ),
    ("describe_volumes", {"Volumes": []}, {"VolumeIds": ["vol-9"]}, lambda b: b.volumes(["vol-9"]), []),
    (
        "describe_instance_types",
        {"InstanceTypes": [{"InstanceStorageInfo": {"TotalSizeInGB": 75}}]},
        {"InstanceTypes": ["m5d.large"]},
        lambda b: b.instance_store_gb("m5d.large"),
        75,
    ),
    (
        "describe_instance_types",
        {"InstanceTypes": [{"InstanceType": "t3.micro"}]},
        {"InstanceTypes": ["t3.micro"]},
        lambda b: b.instance_store_gb("t3.micro"),
        0,
    ),
]


@pytest.mark.parametrize(("operation", "answer", "request_", "call", "result"), CALLS)
def test_each_call_carries_what_it_should(
    stub: Stubber,
    ebs: EbsGateway,
    operation: str,
    answer: dict[str, Any],
    request_: dict[str, Any],
    call: Callable[[EbsGateway], Any],
    result: Any,
) -> None:
    stub.add_response(operation, answer, request_)
    assert call(ebs) == result


def test_own_snapshots_are_found_by_their_tags_on_all_pages(stub: Stubber, ebs: EbsGateway) -> None:
    asked = {"OwnerIds": ["self"], "Filters": MARKED}
    one = {"SnapshotId": "snap-1", "VolumeId": "vol-1", "State": "completed", "Progress": "100%", "Encrypted": True}
    two = {"SnapshotId": "snap-2", "VolumeId": "vol-2", "State": "error", "StateMessage": "no key", "Tags": TAGS}
    stub.add_response("describe_snapshots", {"Snapshots": [one], "NextToken": "more"}, asked)
    stub.add_response("describe_snapshots", {"Snapshots": [two]}, {**asked, "NextToken": "more"})
    assert ebs.find_snapshots(tags={"forensics:case": "fc-1"}) == [
        Snapshot(id="snap-1", volume_id="vol-1", state="completed", progress="100%", encrypted=True),
        Snapshot(id="snap-2", volume_id="vol-2", state="error", message="no key", tags={"forensics:case": "fc-1"}),
    ]


@pytest.mark.parametrize("public", [True, False])
def test_an_audit_sees_state_lock_and_publicness(stub: Stubber, ebs: EbsGateway, public: bool) -> None:
    stub.add_response("describe_snapshots", {"Snapshots": [{"SnapshotId": "snap-1", "State": "completed"}]})
    lock = {"SnapshotId": "snap-1", "LockState": "compliance", "LockExpiresOn": LOCKED_UNTIL}
    stub.add_response("describe_locked_snapshots", {"Snapshots": [lock]}, {"SnapshotIds": ["snap-1"]})
    granted = [{"Group": "all"}] if public else [{"UserId": "222233334444"}]
    stub.add_response(
        "describe_snapshot_attribute",
        {"CreateVolumePermissions": granted},
        {"SnapshotId": "snap-1", "Attribute": "createVolumePermission"},
    )
    seen = ebs.audited("snap-1")
    assert (seen.state, seen.lock_state, seen.until, seen.public) == ("completed", "compliance", LOCKED_UNTIL, public)
    assert seen.account_id == "333344445555"


def test_an_audit_says_when_a_snapshot_has_no_lock(stub: Stubber, ebs: EbsGateway) -> None:
    stub.add_response(
        "describe_snapshots", {"Snapshots": [{"SnapshotId": "snap-1", "State": "completed", "KmsKeyId": "key-a"}]}
    )
    stub.add_response("describe_locked_snapshots", {"Snapshots": []})
    stub.add_response("describe_snapshot_attribute", {})
    seen = ebs.audited("snap-1")
    assert (seen.lock_state, seen.until, seen.public, seen.key_id) == (None, None, False, "key-a")


def test_an_audit_says_when_a_snapshot_is_gone(stub: Stubber, ebs: EbsGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ebs_module, "GONE_AFTER", 0.0)
    stub.add_client_error("describe_snapshots", "InvalidSnapshot.NotFound")
    assert ebs.audited("snap-1").state is None


def test_an_audit_asks_again_before_it_calls_evidence_gone(stub: Stubber, ebs: EbsGateway) -> None:
    """awslabs/coldsnap#43: not found again after a success."""
    stub.add_client_error("describe_snapshots", "InvalidSnapshot.NotFound")
    stub.add_response("describe_snapshots", {"Snapshots": [{"SnapshotId": "snap-1", "State": "completed"}]})
    stub.add_response("describe_locked_snapshots", {"Snapshots": []})
    stub.add_response("describe_snapshot_attribute", {})
    assert ebs.audited("snap-1").state == "completed"


def locked(state: str, until: datetime) -> dict[str, Any]:
    return {"Snapshots": [{"SnapshotId": "snap-1", "LockState": state, "LockExpiresOn": until}]}


@pytest.mark.parametrize(
    ("before", "cool_off"),
    [({"Snapshots": []}, {"CoolOffPeriod": 24}), (locked("compliance", LOCKED_UNTIL), {}), (locked("expired", LOCKED_UNTIL), {"CoolOffPeriod": 24})],
    ids=["first", "again", "after it expired"],
)  # fmt: skip
def test_a_compliance_lock_cools_off_once(
    stub: Stubber, ebs: EbsGateway, before: dict[str, Any], cool_off: dict[str, int]
) -> None:
    """EC2 API reference, LockSnapshot: a cooling-off period in a request that extends such a lock is refused."""
    stub.add_response("describe_locked_snapshots", before, {"SnapshotIds": ["snap-1"]})
    asked = {"SnapshotId": "snap-1", "LockMode": "compliance", "LockDuration": 30, **cool_off}
    stub.add_response("lock_snapshot", {"LockState": "compliance", "LockExpiresOn": LOCKED_UNTIL}, asked)
    assert ebs.lock("snap-1", days=30, mode="COMPLIANCE", cool_off_hours=24).state == "compliance"


@pytest.mark.parametrize(
    ("before", "mode", "asked"),
    [
        (locked("governance", LOCKED_UNTIL), "GOVERNANCE", "governance"),
        (locked("governance", LOCKED_UNTIL), "COMPLIANCE", "compliance"),
        (locked("compliance", LOCKED_UNTIL), "GOVERNANCE", "compliance"),
        (locked("expired", LATER), "GOVERNANCE", "governance"),
        ({"Snapshots": []}, "GOVERNANCE", "governance"),
    ],
)
def test_a_lock_is_extended_and_never_made_weaker(
    stub: Stubber, ebs: EbsGateway, before: dict[str, Any], mode: Any, asked: str
) -> None:
    stub.add_response("describe_locked_snapshots", before, {"SnapshotIds": ["snap-1"]})
    request = {"SnapshotId": "snap-1", "LockMode": asked, "ExpirationDate": LATER}
    stub.add_response("lock_snapshot", {"LockState": asked, "LockExpiresOn": LATER}, request)
    assert ebs.extend_lock("snap-1", until=LATER, mode=mode) == SnapshotLock(state=asked, until=LATER.isoformat())


def test_a_lock_that_lasts_longer_stays(stub: Stubber, ebs: EbsGateway) -> None:
    stub.add_response("describe_locked_snapshots", locked("governance", LATER), {"SnapshotIds": ["snap-1"]})
    kept = ebs.extend_lock("snap-1", until=LOCKED_UNTIL)
    assert kept == SnapshotLock(state="governance", until=LATER.isoformat())


@pytest.mark.parametrize(
    ("call", "make"),
    [
        ("lock_snapshot", lambda ebs: ebs.lock("snap-1", days=1)),
        ("describe_snapshots", lambda ebs: ebs.snapshots(["snap-1"])),
        ("modify_snapshot_attribute", lambda ebs: ebs.share("snap-1", account_id="222233334444")),
        ("create_volume", lambda ebs: ebs.create_volume("snap-1", zone="eu-central-1a", token="t", tags=TAGS)),
        ("describe_volumes", lambda ebs: ebs.volumes(["vol-1"])),
        ("attach_volume", lambda ebs: ebs.attach("vol-1", instance_id=INSTANCE, device="/dev/sdf")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_was_just_made_may_be_unknown_at_first(
    stub: Stubber, ebs: EbsGateway, call: str, make: Callable[[EbsGateway], Any]
) -> None:
    """EC2 developer guide, "Eventual consistency in the Amazon EC2 API"."""
    answers: dict[str, dict[str, Any]] = {
        "describe_snapshots": {"Snapshots": []},
        "describe_volumes": {"Volumes": []},
        "create_volume": {"VolumeId": "vol-1"},
    }
    code = "InvalidVolume.NotFound" if call in ("describe_volumes", "attach_volume") else "InvalidSnapshot.NotFound"
    stub.add_client_error(call, code)
    stub.add_response(call, answers.get(call, {}))
    make(ebs)
    stub.assert_no_pending_responses()


def _volume(ebs: EbsGateway) -> tuple[str, int]:
    return ebs.create_volume("snap-1", zone="eu-central-1a", token="t", tags=TAGS, rate=300)


def test_a_volume_is_made_with_a_rate_where_ebs_offers_one(stub: Stubber, ebs: EbsGateway) -> None:
    """EC2 API reference, CreateVolume, VolumeInitializationRate."""
    asked = {
        "SnapshotId": "snap-1",
        "AvailabilityZone": "eu-central-1a",
        "VolumeType": "gp3",
        "ClientToken": "t",
        "TagSpecifications": [{"ResourceType": "volume", "Tags": TAGS}],
    }
    stub.add_response("create_volume", {"VolumeId": "vol-1"}, {**asked, "VolumeInitializationRate": 300})
    assert _volume(ebs) == ("vol-1", 300)
    stub.add_client_error("create_volume", "UnsupportedOperation")
    stub.add_response("create_volume", {"VolumeId": "vol-2"}, asked)
    assert _volume(ebs) == ("vol-2", 0)
    stub.add_client_error("create_volume", "VolumeLimitExceeded")
    with pytest.raises(AwsError, match="VolumeLimitExceeded"):
        _volume(ebs)


def test_one_create_snapshots_takes_every_volume(stub: Stubber, ebs: EbsGateway) -> None:
    made = {"Snapshots": [{"SnapshotId": "snap-1", "VolumeId": "vol-1", "State": "pending", "VolumeSize": 8}]}
    stub.add_response(
        "create_snapshots",
        made,
        {
            "InstanceSpecification": {"InstanceId": INSTANCE, "ExcludeBootVolume": False},
            "Description": "d",
            "TagSpecifications": [{"ResourceType": "snapshot", "Tags": TAGS}],
        },
    )
    (snapshot,) = ebs.create_snapshots(INSTANCE, description="d", tags=TAGS)
    assert (snapshot.id, snapshot.volume_id, snapshot.state, snapshot.size_gib) == (
        "snap-1",
        "vol-1",
        "pending",
        8,
    )


def test_a_copy_is_encrypted_under_our_key(stub: Stubber, ebs: EbsGateway) -> None:
    # botocore adds the presigned URL and the destination Region that EC2 wants.
    stub.add_response("copy_snapshot", {"SnapshotId": "snap-2"})
    seen: list[dict[str, Any]] = []
    stub.client.meta.events.register("provide-client-params.ec2.CopySnapshot", lambda params, **_: seen.append(params))
    made = ebs.copy("snap-1", source_region="us-east-1", kms_key_id="key", description="d", tags=TAGS)
    assert made == "snap-2"
    assert seen[0]["Encrypted"] is True and seen[0]["KmsKeyId"] == "key"


def test_every_failed_snapshot_is_named_with_awss_reason() -> None:
    good = Snapshot(id="snap-1", volume_id="vol-1", state="completed")
    bad = [
        Snapshot(id=f"snap-{n}", volume_id=f"vol-{n}", state="error", message=m) for n, m in ((2, "no key"), (3, ""))
    ]
    raise_if_failed([good], what="snapshot")
    with pytest.raises(SnapshotError, match=r"snap-2 of vol-2: no key; snap-3 of vol-3: AWS gave no reason"):
        raise_if_failed([good, *bad], what="snapshot")
