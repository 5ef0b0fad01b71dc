"""The reaper against the lab: what outlived its case is removed, an open case's instance and every snapshot stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from forensics.disk.copy_operators import CopySnapshotsOperator
from forensics.disk.snapshot_operators import SnapshotVolumesOperator
from forensics.investigation.instance_operators import AttachEvidenceVolumesOperator, LaunchForensicInstanceOperator
from forensics.investigation.reaper_operators import ReapOrphansOperator
from forensics.models.case import CaseStatus
from forensics.naming import tags
from tests.gateways import case_store, recorder_of
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case, triage


def reap() -> list[dict[str, str]]:
    return list(ReapOrphansOperator(task_id="reap_orphans").execute({}))


def living(lab: SmallLab, case_id: str) -> list[dict[str, Any]]:
    found = lab.client("ec2").describe_instances(Filters=[{"Name": "tag:forensics:case", "Values": [case_id]}])
    instances = [i for r in found["Reservations"] for i in r["Instances"]]
    return [i for i in instances if i["State"]["Name"] in {"pending", "running"}]


def test_a_worker_that_died_leaves_orphans_which_are_removed(lab: SmallLab) -> None:
    case_id = open_case(lab)
    triage(case_id)
    for step in (SnapshotVolumesOperator, CopySnapshotsOperator):
        perform(step(task_id="disk"), case_id=case_id)
    launched = perform(LaunchForensicInstanceOperator(task_id="launch"), case_id=case_id)
    (instance,) = living(lab, case_id)
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert not instance.get("PublicIpAddress")
    perform(AttachEvidenceVolumesOperator(task_id="attach"), case_id=case_id)
    assert reap() == [], "an open case keeps its instance"
    # Nobody ran the teardown; the case was closed.
    case_store().update_case(case_id, status=CaseStatus.CLOSED, closed_at=datetime.now(UTC) + timedelta(seconds=1))
    (gone,) = reap()
    assert (gone["id"], gone["case_id"]) == (launched["instance_id"], case_id)
    assert "CLOSED" in gone["reason"]
    lab_gone(lab, case_id)
    volumes = {row["kind"] for row in reap()}
    assert volumes == {"volume"}
    assert reap() == []
    copies = lab.client("ec2").describe_snapshots(
        OwnerIds=["self"], Filters=[{"Name": "tag:forensics:case", "Values": [case_id]}]
    )["Snapshots"]
    assert copies, "evidence stays"
    notes = [e.what for e in recorder_of(case_id, step="test").view().timeline if e.source == "orphan_reaper"]
    assert any(launched["instance_id"] in note for note in notes)
    assert any("Forensic orphans: 1 removed" in m["subject"] for m in lab.mail())


def lab_gone(lab: SmallLab, case_id: str) -> None:
    """Wait until EC2 has let go of the volumes."""
    ec2 = lab.client("ec2")
    filters = [{"Name": "tag:forensics:case", "Values": [case_id]}, {"Name": "status", "Values": ["in-use"]}]
    end = datetime.now(UTC) + timedelta(seconds=30)
    while ec2.describe_volumes(Filters=filters)["Volumes"]:
        assert datetime.now(UTC) < end, "the volumes are still attached"


def test_something_that_names_no_case_is_reported_and_not_touched(
    lab: SmallLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forensics.investigation.orphans.GRACE", timedelta(0))
    ec2 = lab.client("ec2")
    volume = ec2.create_volume(
        AvailabilityZone="eu-central-1a",
        Size=1,
        TagSpecifications=[{"ResourceType": "volume", "Tags": tags("somebody's", "analysis-volume")}],
    )["VolumeId"]
    with pytest.raises(AirflowFailException, match=f"{volume}.*names no case"):
        reap()
    assert ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    assert any("0 removed, 1 not removed" in m["subject"] for m in lab.mail())
