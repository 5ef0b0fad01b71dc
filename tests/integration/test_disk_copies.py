"""Copies against the lab: every row of the KMS table, a killed worker, a quota that is full, another Region."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from forensics.disk import copy_operators as disk_copy
from forensics.disk import snapshot_copies
from forensics.disk.copy_operators import CopySnapshotsOperator
from forensics.disk.snapshot_operators import SnapshotVolumesOperator
from forensics.models.custody import CustodyAction
from forensics.models.disk import Route
from forensics.models.evidence import Evidence, EvidenceKind, Outcome
from forensics.settings import get_settings
from lab.seed.accounts import Account
from tests.gateways import recorder_of
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case, triage


def disks(case_id: str) -> dict[str, Evidence]:
    found = recorder_of(case_id, step="test").evidence(EvidenceKind.DISK)
    return {str(e.origin.volume_id): e for e in found}


def add_volume(lab: SmallLab, device: str, **encryption: Any) -> str:
    """One more volume on the database server."""
    ec2, instance = lab.client("ec2", "member"), lab.facts["instances"]["db-server"]["instance_id"]
    described = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    zone = described["Placement"]["AvailabilityZone"]
    volume = ec2.create_volume(AvailabilityZone=zone, Size=1, VolumeType="gp3", **encryption)["VolumeId"]
    ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device=device)
    return str(volume)


def new_key(lab: SmallLab, account: str, *, for_account: str = "") -> str:
    kms, owner = lab.client("kms", account), lab.facts["accounts"][account]
    users = [owner, *([lab.facts["accounts"][for_account]] if for_account else [])]
    allowed = [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{u}:root"}, "Action": "kms:*", "Resource": "*"}
        for u in users
    ]
    return str(kms.create_key(Policy=json.dumps({"Version": "2012-10-17", "Statement": allowed}))["KeyMetadata"]["Arn"])


def copy(case_id: str, **options: Any) -> Any:
    return perform(CopySnapshotsOperator(task_id="copy_snapshots"), case_id=case_id, **options)


def test_every_kind_of_key_has_its_way_to_the_forensic_account(lab: SmallLab) -> None:
    customer, broken = new_key(lab, "member"), new_key(lab, "member")
    foreign = new_key(lab, "security", for_account="member")
    volumes = {
        "aws/ebs": add_volume(lab, "/dev/sdf", Encrypted=True),
        "customer key of the account": add_volume(lab, "/dev/sdg", Encrypted=True, KmsKeyId=customer),
        "key of another account": add_volume(lab, "/dev/sdh", Encrypted=True, KmsKeyId=foreign),
        "key that cannot be used": add_volume(lab, "/dev/sdi", Encrypted=True, KmsKeyId=broken),
    }
    lab.client("kms", "member").disable_key(KeyId=broken.rsplit("/", 1)[1])
    lab.control("config", {"snapshot_seconds": 0.3, "copy_seconds": 0.3})
    case_id = open_case(lab, "db-server")
    triage(case_id)
    perform(SnapshotVolumesOperator(task_id="snapshot_volumes"), case_id=case_id)
    with pytest.raises(AirflowFailException, match="is in state Disabled: nobody can decrypt with it") as caught:
        copy(case_id)
    assert f"enable {broken}" in str(caught.value)
    found = disks(case_id)
    assert {kind: found[v].origin.key_case for kind, v in volumes.items()} == {kind: kind for kind in volumes}
    blocked = found.pop(volumes["key that cannot be used"])
    assert blocked.outcome is Outcome.FAILED and blocked.origin.copy_id is None
    assert {e.outcome for e in found.values()} == {Outcome.ACQUIRED}, "one blocked disk does not hold up the others"
    for kind in ("aws/ebs", "key of another account"):
        assert found[volumes[kind]].lock["member_copy"].state == "governance"
    assert found[volumes["customer key of the account"]].origin.member_copy_id is None
    copies = {e.origin.copy_id for e in found.values()}
    described = lab.client("ec2").describe_snapshots(SnapshotIds=sorted(copies))["Snapshots"]
    assert {s["KmsKeyId"] for s in described} == {lab.facts["evidence_key_arn"]}
    keys = {s["SnapshotId"]: s["KmsKeyId"] for s in described}
    assert all(e.origin.key_ids["copy"] == keys[str(e.origin.copy_id)] for e in found.values())
    locked = {s["SnapshotId"] for s in lab.client("ec2", "member").describe_locked_snapshots()["Snapshots"]}
    assert {e.origin.snapshot_id for e in [*found.values(), blocked]} <= locked
    # fixed and cleared: only the missing disk is copied
    lab.client("kms", "member").enable_key(KeyId=broken.rsplit("/", 1)[1])
    lab.control("config", {"snapshot_seconds": 0, "copy_seconds": 0})
    assert set(copy(case_id)["copies"]) > copies
    assert {e.outcome for e in disks(case_id).values()} == {Outcome.ACQUIRED}


def test_a_copy_that_fails_after_the_call_is_recorded_with_awss_reason_and_made_again(lab: SmallLab) -> None:
    case_id = open_case(lab, "db-server")
    triage(case_id)
    perform(SnapshotVolumesOperator(task_id="snapshot_volumes"), case_id=case_id)
    lab.control("snapshot", {"match": {"copy": True}, "fail_at": 0.5, "message": "Given key ID is not accessible"})
    with pytest.raises(Exception, match="Given key ID is not accessible"):
        copy(case_id, try_number=1)
    made = copy(case_id, try_number=2)
    assert len(made["copies"]) == 1
    (disk,) = disks(case_id).values()
    assert disk.outcome is Outcome.ACQUIRED and disk.reason is None


def test_a_copy_that_begins_before_its_share_has_spread_is_made_again_in_the_same_try(lab: SmallLab) -> None:
    """radkawar/stackd, docs/ec2.md ("Independent snapshot copies"): CopySnapshot accepts it, and the copy ends in error."""
    lab.control("config", {"share_spread_seconds": 3.0})
    case_id = open_case(lab, "db-server")
    triage(case_id)
    perform(SnapshotVolumesOperator(task_id="snapshot_volumes"), case_id=case_id)
    assert len(copy(case_id, try_number=1)["copies"]) == 1
    marks = [{"Name": "tag:forensics:case", "Values": [case_id]}]
    ec2 = lab.client("ec2", "forensic")
    made = {s["SnapshotId"]: s["State"] for s in ec2.describe_snapshots(OwnerIds=["self"], Filters=marks)["Snapshots"]}
    assert set(made.values()) == {"error", "completed"}, "the lab fails the first copy"
    locked = {s["SnapshotId"] for s in ec2.describe_locked_snapshots()["Snapshots"]}
    assert locked == {i for i, state in made.items() if state == "completed"}, "a failed copy does not stay locked"


def test_a_copy_waits_until_its_grant_is_in_effect(lab: SmallLab) -> None:
    """KMS developer guide, "Using a grant token": seconds, at times minutes. A copy that begins before ends in error."""
    customer = new_key(lab, "member")
    volume = add_volume(lab, "/dev/sdf", Encrypted=True, KmsKeyId=customer)
    lab.control("config", {"kms_grant_seconds": 6.0, "share_spread_seconds": 0})
    case_id = open_case(lab, "db-server")
    triage(case_id)
    perform(SnapshotVolumesOperator(task_id="snapshot_volumes"), case_id=case_id)
    copy(case_id, try_number=1)
    disk = disks(case_id)[volume]
    assert (disk.outcome, disk.origin.route) == (Outcome.ACQUIRED, Route.GRANT), "not re-encrypted in its own account"
    assert disk.origin.member_copy_id is None
    marks = [{"Name": "tag:forensics:case", "Values": [case_id]}]
    made = lab.client("ec2", "forensic").describe_snapshots(OwnerIds=["self"], Filters=marks)["Snapshots"]
    assert {s["State"] for s in made} == {"completed"}


def test_a_failed_copy_that_cannot_be_made_again_is_not_called_acquired(
    lab: SmallLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_copies, "SHARE_PAUSE", 0.0)
    case_id = open_case(lab, "db-server")
    triage(case_id)
    perform(SnapshotVolumesOperator(task_id="snapshot_volumes"), case_id=case_id)
    rule = {"match": {"copy": True}, "fail_at": 0.5, "message": "Client.InternalError"}
    lab.control("snapshot", {**rule, "times": snapshot_copies.MOST_FAILED_COPIES})
    with pytest.raises(Exception, match=r"Client\.InternalError"):
        copy(case_id, try_number=1)
    (disk,) = disks(case_id).values()
    assert disk.origin.copy_id, "the failed copy is on record"
    lab.control(
        "faults", [{"service": "ec2", "action": "CopySnapshot", "code": "UnauthorizedOperation", "status": 403}]
    )
    with pytest.raises(AirflowFailException, match="not copied to the forensic account"):
        copy(case_id)
    (disk,) = disks(case_id).values()
    assert disk.outcome is Outcome.FAILED


def test_a_full_quota_is_waited_for_and_a_second_set_is_never_taken(
    lab: SmallLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_copy, "QUOTA_PAUSE", (0.1, 0.2))
    case_id = open_case(lab, "db-server")
    triage(case_id)
    for _ in range(2):  # the second is a worker that was killed after CreateSnapshots
        perform(SnapshotVolumesOperator(task_id="snapshot_volumes"), case_id=case_id)
    lab.control(
        "faults",
        [{"service": "ec2", "action": "CopySnapshot", "code": "ResourceLimitExceeded", "status": 400, "times": 2}],
    )
    copy(case_id)
    notes = [e.what for e in recorder_of(case_id, step="test").view().timeline]
    assert any("waiting for room in a quota" in n and "ResourceLimitExceeded" in n for n in notes)
    marks = [{"Name": "tag:forensics:case", "Values": [case_id]}]
    for account in ("member", "forensic"):
        found = lab.client("ec2", account).describe_snapshots(OwnerIds=["self"], Filters=marks)["Snapshots"]
        assert len([s for s in found if s["State"] != "error"]) == 1


ELSEWHERE = "eu-west-1"


def in_region(lab: SmallLab, account: str, region: str = ELSEWHERE) -> Account:
    """One of the lab's accounts in another Region."""
    return Account(lab.facts["accounts"][account], lab.endpoint, region)


def copied_from_elsewhere(lab: SmallLab) -> tuple[str, Evidence]:
    """A case of a new instance in another Region, up to its copied disk."""
    run = (
        in_region(lab, "member")
        .client("ec2")
        .run_instances(ImageId="ami-0123456789abcdef0", InstanceType="t3.small", MinCount=1, MaxCount=1)
    )
    instance = run["Instances"][0]["InstanceId"]
    case_id = open_case(lab, "db-server", region=ELSEWHERE, instance_id=instance, actions="disk")
    triage(case_id)
    perform(SnapshotVolumesOperator(task_id="snapshot_volumes"), case_id=case_id)
    copy(case_id)
    (disk,) = disks(case_id).values()
    assert disk.outcome is Outcome.ACQUIRED and disk.region == ELSEWHERE
    return case_id, disk


def copies_of(lab: SmallLab, case_id: str, region: str) -> list[tuple[str, str]]:
    """Id and key of the forensic account's snapshots of a case in a Region."""
    marks = [{"Name": "tag:forensics:case", "Values": [case_id]}]
    found = in_region(lab, "forensic", region).client("ec2").describe_snapshots(OwnerIds=["self"], Filters=marks)
    # a copy that began before its share had spread ended in error, and another was made
    return [(s["SnapshotId"], s["KmsKeyId"]) for s in found["Snapshots"] if s["State"] != "error"]


def test_a_disk_of_another_region_leaves_it_only_by_policy(lab: SmallLab, monkeypatch: pytest.MonkeyPatch) -> None:
    home, kms = get_settings().region, in_region(lab, "forensic").client("kms")
    key_there = kms.create_key()["KeyMetadata"]["Arn"]
    kms.create_alias(AliasName=get_settings().evidence_key_alias, TargetKeyId=key_there)
    for may_leave, to, key in (("", ELSEWHERE, key_there), (ELSEWHERE, home, lab.facts["evidence_key_arn"])):
        monkeypatch.setenv("AIRFLOW__FORENSICS__CROSS_REGION_FROM", may_leave)
        get_settings.cache_clear()
        case_id, disk = copied_from_elsewhere(lab)
        assert disk.origin.copy_region == to and str(disk.uri).startswith(f"arn:aws:ec2:{to}:")
        assert copies_of(lab, case_id, to) == [(disk.origin.copy_id, key)]
        assert copies_of(lab, case_id, home if to == ELSEWHERE else ELSEWHERE) == []
        events = recorder_of(case_id, step="test").gateways.ledger.events(case_id)
        (acquired,) = [e for e in events if e.action is CustodyAction.EVIDENCE_ACQUIRED]
        assert acquired.facts is not None and acquired.facts.moved_to == disk.uri
        assert ELSEWHERE in str(acquired.facts.moved_from)


def test_an_instance_store_is_recorded_as_lost(lab: SmallLab) -> None:
    ec2, instance = lab.client("ec2", "member"), lab.facts["instances"]["db-server"]["instance_id"]
    ec2.stop_instances(InstanceIds=[instance])
    ec2.modify_instance_attribute(InstanceId=instance, InstanceType={"Value": "m5d.large"})
    case_id = open_case(lab, "db-server")
    triage(case_id)
    perform(SnapshotVolumesOperator(task_id="snapshot_volumes"), case_id=case_id)
    store = next(e for e in recorder_of(case_id, step="t").evidence(EvidenceKind.DISK) if "store" in e.evidence_id)
    assert store.outcome is Outcome.NOT_APPLICABLE
    assert "75 GB of m5d.large" in str(store.reason) and "lost when the instance stops" in str(store.reason)
    volumes = set(lab.facts["instances"]["db-server"]["volumes"].values())
    found = {e.evidence_id for e in recorder_of(case_id, step="t").evidence(EvidenceKind.DISK)}
    assert found - {store.evidence_id} == {f"disk-{volume}" for volume in volumes}, "its volumes are taken all the same"
