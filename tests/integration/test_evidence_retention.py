"""Evidence is held while its case is open and kept from the closing (R140), against the lab's S3 and EC2."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forensics.case.audit_operators import AuditCaseOperator
from forensics.case.retention_operators import KeepEvidenceOperator
from forensics.disk.copy_operators import CopySnapshotsOperator
from forensics.disk.snapshot_operators import SnapshotVolumesOperator
from forensics.errors import RetentionError
from forensics.models.case import CaseStatus
from forensics.naming import case_prefix
from forensics.settings import get_settings
from tests.gateways import recorder_of
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case, triage


@pytest.fixture(params=["GOVERNANCE", "COMPLIANCE"])
def acquired(lab: SmallLab, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A case with locked disks."""
    monkeypatch.setenv("AIRFLOW__FORENSICS__LOCK_MODE", request.param)
    get_settings.cache_clear()
    case_id = open_case(lab)
    triage(case_id)
    for step in (SnapshotVolumesOperator, CopySnapshotsOperator):
        perform(step(task_id=step.__name__), case_id=case_id)
    return case_id


def keep(case_id: str) -> dict[str, Any]:
    return dict(perform(KeepEvidenceOperator(task_id="keep_evidence"), case_id=case_id))


def objects(lab: SmallLab, case_id: str) -> list[Any]:
    """HEAD of every version of the case."""
    s3, bucket = lab.client("s3"), lab.facts["evidence_bucket"]
    listed = s3.list_object_versions(Bucket=bucket, Prefix=case_prefix(case_id))["Versions"]
    return [s3.head_object(Bucket=bucket, Key=v["Key"], VersionId=v["VersionId"]) for v in listed]


def snapshots(lab: SmallLab, case_id: str) -> list[Any]:
    """Locks of the originals in the member account and of the copies."""
    disks = recorder_of(case_id, step="test").disks()
    found = []
    for account, ids in (
        ("member", [d.origin.snapshot_id for d in disks]),
        ("forensic", [d.origin.copy_id for d in disks]),
    ):
        found += lab.client("ec2", account).describe_locked_snapshots(SnapshotIds=ids)["Snapshots"]
    return found


def test_retention_counts_from_the_closing_for_every_object_and_snapshot(lab: SmallLab, acquired: str) -> None:
    mode = get_settings().lock_mode
    assert {s["LockState"] for s in snapshots(lab, acquired)} == {mode.lower()}
    store = recorder_of(acquired, step="test").gateways.store
    closed_at = datetime.now(UTC) + timedelta(days=200)  # as if the case had been open for so long
    store.update_case(acquired, status=CaseStatus.CLOSED, closed_at=closed_at)
    until = (closed_at + timedelta(days=get_settings().retention_days)).replace(microsecond=0)
    done = keep(acquired)
    assert done["failures"] == [] and done["snapshots"] == 4
    stored = objects(lab, acquired)
    assert len(stored) == done["objects"] >= 2
    assert {(o["ObjectLockMode"], o["ObjectLockRetainUntilDate"]) for o in stored} == {(mode, until)}
    assert {(s["LockState"], s["LockExpiresOn"]) for s in snapshots(lab, acquired)} == {(mode.lower(), until)}
    assert dict(perform(AuditCaseOperator(task_id="audit_case"), case_id=acquired))["differences"] == []


def test_a_hold_that_is_lost_while_the_case_is_open_comes_back(lab: SmallLab, acquired: str) -> None:
    s3, bucket = lab.client("s3"), lab.facts["evidence_bucket"]
    first = s3.list_object_versions(Bucket=bucket, Prefix=case_prefix(acquired))["Versions"][0]
    version = {"Bucket": bucket, "Key": first["Key"], "VersionId": first["VersionId"]}
    s3.put_object_legal_hold(**version, LegalHold={"Status": "OFF"})
    assert keep(acquired)["held"] == 1
    assert {o["ObjectLockLegalHoldStatus"] for o in objects(lab, acquired)} == {"ON"}


@pytest.mark.parametrize("acquired", ["GOVERNANCE"], indirect=True)
def test_a_snapshot_that_is_gone_is_named_and_everything_else_is_kept(lab: SmallLab, acquired: str) -> None:
    disk = recorder_of(acquired, step="test").disks()[0]
    ec2 = lab.client("ec2")
    ec2.unlock_snapshot(SnapshotId=disk.origin.copy_id)
    ec2.delete_snapshot(SnapshotId=disk.origin.copy_id)
    recorder_of(acquired, step="test").gateways.store.update_case(
        acquired, status=CaseStatus.CLOSED, closed_at=datetime.now(UTC) + timedelta(days=1)
    )
    with pytest.raises(Exception, match=str(disk.origin.copy_id)) as caught:
        keep(acquired)
    assert RetentionError.default_action in str(caught.value)
    assert len(snapshots_left(lab, acquired, without=str(disk.origin.copy_id))) == 3


def snapshots_left(lab: SmallLab, case_id: str, *, without: str) -> list[Any]:
    disks = recorder_of(case_id, step="test").disks()
    ids = {"member": [d.origin.snapshot_id for d in disks], "forensic": [d.origin.copy_id for d in disks]}
    later = datetime.now(UTC) + timedelta(days=get_settings().retention_days)
    return [
        lock
        for account, named in ids.items()
        for lock in lab.client("ec2", account).describe_locked_snapshots(
            SnapshotIds=[i for i in named if i != without]
        )["Snapshots"]
        if lock["LockExpiresOn"] > later
    ]
