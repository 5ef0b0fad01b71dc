"""Cases of snapshots, machine images and recovery points against the lab: copied, locked, digested and examined, and nothing else."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from forensics.case.gaps import gaps
from forensics.containment.operators import IsolateTargetOperator
from forensics.custody.chain import verify_chain
from forensics.disk.copy_operators import CopySnapshotsOperator
from forensics.disk.digest_operators import DigestDisksOperator
from forensics.disk.snapshot_operators import SnapshotVolumesOperator
from forensics.intake.operators import OpenCaseOperator
from forensics.intake.readers import read_event
from forensics.investigation.analysis_operators import AnalyseDiskOperator
from forensics.investigation.instance_operators import (
    AttachEvidenceVolumesOperator,
    LaunchForensicInstanceOperator,
    TerminateForensicInstanceOperator,
)
from forensics.memory.capture_operators import CaptureMemoryOperator
from forensics.memory.live_response_operators import LiveResponseOperator
from forensics.memory.probe_operators import ProbeTargetOperator
from forensics.models.case import CaseStatus, CaseView
from forensics.models.custody import CustodyAction
from forensics.models.evidence import EvidenceKind, Outcome
from forensics.report.operators import CloseCaseOperator, WriteReportOperator
from forensics.triage.operators import DescribeTargetOperator, PlanResponseOperator
from lab.evidence import disk
from lab.evidence.disk import DiskFiles
from lab.evidence.images import Images
from tests.gateways import admit, recorder_of
from tests.integration.conftest import SmallImages, SmallLab, running_lab
from tests.integration.steps import perform
from tests.integration.test_disk_copies import new_key
from tests.integration.test_instance_resolver import about_task, task_on

EVENTS = Path(__file__).resolve().parents[1] / "data" / "events"
MACHINE = (ProbeTargetOperator, CaptureMemoryOperator, LiveResponseOperator, IsolateTargetOperator)
TOOLS = [p for p in ("mmls", "tsk_recover") if shutil.which(p) is None]


class RealDisks(SmallImages):
    """Every volume holds the small scenario: GPT and ext4 with files."""

    def disk(self, name: str) -> DiskFiles:
        """Sixteen MiB that the tools can read."""
        return disk.unpack("tiny", self.cache)


@pytest.fixture
def images(tmp_path: Path) -> Images:
    return RealDisks(tmp_path / "cache")


@pytest.fixture
def web(lab: SmallLab) -> dict[str, Any]:
    """The lab's instance with two volumes; copies of snapshots take a moment."""
    lab.control("config", {"snapshot_seconds": 0.2, "copy_seconds": 0.3, "image_seconds": 0.0})
    return dict(lab.facts["instances"]["web-server"])


def snapshot_of(lab: SmallLab, web: dict[str, Any], **more: Any) -> str:
    volume = next(iter(web["volumes"].values()))
    made: str = lab.client("ec2", "member").create_snapshot(VolumeId=volume, Description="nightly", **more)[
        "SnapshotId"
    ]
    lab.client("ec2", "member").get_waiter("snapshot_completed").wait(SnapshotIds=[made], WaiterConfig={"Delay": 1})
    return made


def open_case(web: dict[str, Any], subject: str) -> str:
    given = {"account_id": web["account"], "region": web["region"], "instance_id": subject, "actions": "by-policy"}
    case_id: str = perform(
        OpenCaseOperator(task_id="open_case"), params={**given, "reason": "test"}, run_id=f"m__{subject}"
    )
    return case_id


def triage(case_id: str) -> Any:
    perform(DescribeTargetOperator(task_id="describe_target"), case_id=case_id)
    return perform(PlanResponseOperator(task_id="plan_response"), case_id=case_id)


def acquire(case_id: str) -> Any:
    made = perform(SnapshotVolumesOperator(task_id="disk.snapshot_volumes"), case_id=case_id)
    perform(CopySnapshotsOperator(task_id="disk.copy_snapshots"), case_id=case_id)
    perform(DigestDisksOperator(task_id="disk.digest_disks"), case_id=case_id)
    return made


def examine(case_id: str) -> None:
    perform(LaunchForensicInstanceOperator(task_id="launch"), case_id=case_id)
    perform(AttachEvidenceVolumesOperator(task_id="attach"), case_id=case_id)
    perform(AnalyseDiskOperator(task_id="analyse_disk"), case_id=case_id)
    perform(TerminateForensicInstanceOperator(task_id="terminate"), case_id=case_id)


def machine_steps_do_not_apply(case_id: str) -> None:
    for kind in MACHINE:
        with pytest.raises(AirflowSkipException, match="NOT_APPLICABLE, the case is about"):
            perform(kind(task_id=kind.__name__), case_id=case_id)


def reported(lab: SmallLab, case_id: str) -> tuple[str, CaseView]:
    """The report's page, and the case after it was closed."""
    written = perform(WriteReportOperator(task_id="write_report"), case_id=case_id)
    bucket, key = written["html"].removeprefix("s3://").split("/", 1)
    page = lab.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    perform(CloseCaseOperator(task_id="close_case"), case_id=case_id)
    return page, recorder_of(case_id).view()


@pytest.mark.skipif(bool(TOOLS), reason=f"not installed on this machine: {', '.join(TOOLS)}")
def test_a_case_of_a_snapshot_is_complete_when_its_disk_is_copied_locked_digested_and_examined(
    lab: SmallLab, web: dict[str, Any]
) -> None:
    found = snapshot_of(lab, web)
    member = lab.client("ec2", "member")
    member.modify_snapshot_attribute(
        SnapshotId=found, Attribute="createVolumePermission", OperationType="add", UserIds=["777788889999"]
    )
    case_id = open_case(web, found)
    assert triage(case_id) == {"memory": False, "disk": True, "isolate": False}
    machine_steps_do_not_apply(case_id)
    (original,) = acquire(case_id)["snapshots"]
    examine(case_id)
    page, view = reported(lab, case_id)
    assert view.case.status is CaseStatus.CLOSED, [str(gap) for gap in gaps(view)]
    (item,) = [e for e in view.evidence if e.kind is EvidenceKind.DISK]
    origin = item.origin
    assert (item.evidence_id, item.outcome) == (f"disk-{found}", Outcome.ACQUIRED)
    assert (origin.source_snapshot_id, origin.source_owner, origin.source_readers) == (
        found,
        web["account"],
        (web["account"], "777788889999"),
    )
    assert origin.volume_id in web["volumes"].values() and origin.snapshot_id == original != found
    assert {item.lock["snapshot"].state, item.lock["copy"].state} == {"governance"}
    assert len({d.value for d in item.digests}) == 1 and len(item.digests) == 2, "copy and original agree"
    locked = {s["SnapshotId"] for s in member.describe_locked_snapshots()["Snapshots"]}
    assert original in locked and found not in locked, "nobody's own snapshot is locked"
    verify_chain(view.custody)
    (source,) = [
        e for e in view.custody if e.action is CustodyAction.TARGET_DESCRIBED and e.evidence_id == f"disk-{found}"
    ]
    assert source.detail["source_readers"] == [web["account"], "777788889999"] and source.detail["source_started_at"]
    not_applicable = {e.evidence_id for e in view.evidence if e.outcome is Outcome.NOT_APPLICABLE}
    assert not_applicable == {f"memory-{found}", f"live-response-{found}"}
    assert view.containment is not None and view.containment.outcome is Outcome.NOT_APPLICABLE
    assert "case of the snapshot" in page and "NOT APPLICABLE" in page and web["instance_id"] in page
    said = [m["message"] for m in lab.mail() if m["attributes"]["event"] in {"case_opened", "case_closed"}]
    assert said and all(f"snapshot {found} in account" in text for text in said)


def test_a_case_of_an_image_acquires_every_volume_of_it(lab: SmallLab, web: dict[str, Any]) -> None:
    member = lab.client("ec2", "member")
    image = member.create_image(InstanceId=web["instance_id"], Name="golden")["ImageId"]
    member.disable_image(ImageId=image)  # what people are told to do with it must not hide it
    case_id = open_case(web, image)
    assert triage(case_id)["disk"] is True
    described = recorder_of(case_id).artifact()
    assert described is not None and len(described.disks) == 2 and web["instance_id"] in described.instances
    for _ in range(2):  # the second is a cleared run
        originals = acquire(case_id)["snapshots"]
    disks = recorder_of(case_id).disks()
    assert {d.origin.device for d in disks} == {"/dev/xvda", "/dev/sdf"}
    assert {d.outcome for d in disks} == {Outcome.ACQUIRED} and all(d.digests for d in disks)
    marks = [{"Name": "tag:forensics:case", "Values": [case_id]}]
    made = member.describe_snapshots(OwnerIds=["self"], Filters=marks)["Snapshots"]
    assert sorted(s["SnapshotId"] for s in made) == originals, "each is copied once"


def test_snapshots_of_others_and_under_a_key_that_refuses_say_what_why_and_what_to_do(
    lab: SmallLab, web: dict[str, Any]
) -> None:
    refusing = new_key(lab, "member")
    member = lab.client("ec2", "member")
    zone = member.describe_volumes(VolumeIds=[next(iter(web["volumes"].values()))])["Volumes"][0]["AvailabilityZone"]
    volume = member.create_volume(AvailabilityZone=zone, Size=1, Encrypted=True, KmsKeyId=refusing)["VolumeId"]
    found = member.create_snapshot(VolumeId=volume)["SnapshotId"]
    member.get_waiter("snapshot_completed").wait(SnapshotIds=[found], WaiterConfig={"Delay": 1})
    lab.client("kms", "member").disable_key(KeyId=refusing.rsplit("/", 1)[1])
    case_id = open_case(web, found)
    triage(case_id)
    with pytest.raises(AirflowFailException, match="in state Disabled"):
        perform(SnapshotVolumesOperator(task_id="disk.snapshot_volumes"), case_id=case_id)
    (gap,) = [g for g in gaps(recorder_of(case_id).view()) if found in g.subject]
    assert "nobody can decrypt" in gap.why and f"enable {refusing}" in gap.next_action
    lab.client("kms", "member").enable_key(KeyId=refusing.rsplit("/", 1)[1])
    acquire(case_id)
    assert [g for g in gaps(recorder_of(case_id).view()) if g.kind.value == "evidence"] == [], (
        "the key is enabled again"
    )

    security = lab.client("ec2", "security")
    theirs = security.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
    foreign = security.create_snapshot(VolumeId=theirs)["SnapshotId"]
    security.get_waiter("snapshot_completed").wait(SnapshotIds=[foreign], WaiterConfig={"Delay": 1})
    security.modify_snapshot_attribute(
        SnapshotId=foreign, Attribute="createVolumePermission", OperationType="add", UserIds=[web["account"]]
    )
    other = open_case(web, foreign)
    triage(other)
    owner = lab.facts["accounts"]["security"]
    with pytest.raises(AirflowFailException, match=f"belongs to account {owner}"):
        perform(SnapshotVolumesOperator(task_id="disk.snapshot_volumes"), case_id=other)
    (gap,) = [g for g in gaps(recorder_of(other).view()) if foreign in g.subject]
    assert f"start the DAG forensic_case for {foreign} in account {owner}" in gap.next_action


def test_a_key_of_another_account_refuses_after_the_copy_has_begun(lab: SmallLab, web: dict[str, Any]) -> None:
    """EC2 checks the key only after CopySnapshot has answered (EBS user guide, "Copy an Amazon EBS snapshot")."""
    member, theirs = lab.client("ec2", "member"), new_key(lab, "security")
    zone = member.describe_volumes(VolumeIds=[next(iter(web["volumes"].values()))])["Volumes"][0]["AvailabilityZone"]
    volume = member.create_volume(AvailabilityZone=zone, Size=1, Encrypted=True, KmsKeyId=theirs)["VolumeId"]
    found = member.create_snapshot(VolumeId=volume)["SnapshotId"]
    member.get_waiter("snapshot_completed").wait(SnapshotIds=[found], WaiterConfig={"Delay": 1})
    case_id = open_case(web, found)
    triage(case_id)
    with pytest.raises(AirflowFailException, match="Given key ID is not accessible"):
        perform(SnapshotVolumesOperator(task_id="disk.snapshot_volumes"), case_id=case_id)
    (gap,) = [g for g in gaps(recorder_of(case_id).view()) if found in g.subject]
    assert "key policy may refuse it" in gap.next_action
    locked = {s["SnapshotId"] for s in member.describe_locked_snapshots()["Snapshots"]}
    assert locked == set(), "nobody could delete a copy that failed"


def test_a_recovery_point_that_guardduty_names_is_a_case_of_what_it_is(lab: SmallLab, web: dict[str, Any]) -> None:
    found = snapshot_of(lab, web)
    body = json.loads((EVENTS / "guardduty_malware_recovery_point.json").read_text("utf-8"))
    named = {"recoveryPointArn": f"arn:aws:ec2:{web['region']}::snapshot/{found}", "backupVaultName": "nightly"}
    body["detail"]["resource"]["recoveryPointDetails"] = named
    (finding,) = read_event(json.dumps(body), received_at=datetime.now(UTC)).findings
    admitted = admit(finding, received_at=datetime.now(UTC))
    case_id = admitted.case.case_id
    assert perform(OpenCaseOperator(task_id="open_case"), params={"case_id": case_id}, run_id=case_id) == case_id
    triage(case_id)
    acquire(case_id)
    (item,) = recorder_of(case_id).disks()
    assert item.evidence_id == f"disk-{found}" and item.outcome is Outcome.ACQUIRED
    assert any(f"recovery point {found} in account" in m["message"] for m in lab.mail())


def test_an_artifact_that_is_gone_by_now_leaves_a_case_that_says_so(lab: SmallLab, web: dict[str, Any]) -> None:
    found = snapshot_of(lab, web)
    case_id = open_case(web, found)
    member = lab.client("ec2", "member")
    member.delete_snapshot(SnapshotId=found)
    with pytest.raises(AirflowFailException, match="Recycle Bin"):
        perform(DescribeTargetOperator(task_id="triage.describe_target"), case_id=case_id)
    again = snapshot_of(lab, web)
    later = open_case(web, again)
    triage(later)
    member.delete_snapshot(SnapshotId=again)  # between triage and acquisition
    with pytest.raises(AirflowFailException, match="Recycle Bin"):
        perform(SnapshotVolumesOperator(task_id="disk.snapshot_volumes"), case_id=later)
    (item,) = recorder_of(later).disks()
    assert item.outcome is Outcome.FAILED and "does not exist" in str(item.reason)


def test_the_templates_policies_allow_it_and_nothing_of_other_owners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_DEPLOY", "templates")
    with running_lab(tmp_path, monkeypatch, images=RealDisks(tmp_path / "cache")) as lab:
        lab.control("config", {"snapshot_seconds": 0.2, "copy_seconds": 0.3})
        web = dict(lab.facts["instances"]["web-server"])
        member = lab.client("ec2", "member")
        key = new_key(lab, "member")
        zone = member.describe_volumes(VolumeIds=[next(iter(web["volumes"].values()))])["Volumes"][0][
            "AvailabilityZone"
        ]
        volume = member.create_volume(AvailabilityZone=zone, Size=1, Encrypted=True, KmsKeyId=key)["VolumeId"]
        encrypted = member.create_snapshot(VolumeId=volume)["SnapshotId"]
        for subject in (snapshot_of(lab, web), encrypted):
            case_id = open_case(web, subject)
            triage(case_id)
            acquire(case_id)
            (item,) = recorder_of(case_id).disks()
            assert item.outcome is Outcome.ACQUIRED, item.reason
            assert len(item.digests) == 2, item.origin.source_comparison
        assert about_task(lab, task_on(lab, "web-server")).findings, "the triage role asks ECS where a task runs"
        asked = lab.control("iam")["asked"]
        copies = [a for a in asked if a["action"] == "ec2:CopySnapshot" and "ec2:Owner" in a.get("context", {})]
        assert {a["context"]["ec2:Owner"] for a in copies if a["role"] == "forensics-acquire"} == {web["account"]}, (
            json.dumps(copies)
        )
