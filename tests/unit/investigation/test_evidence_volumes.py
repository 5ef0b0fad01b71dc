"""A volume is made from each copy once, in the instance's zone, and is in the ledger before it is attached."""

from __future__ import annotations

import pytest

from forensics.errors import InvestigationError
from forensics.investigation.evidence_volumes import DEVICES, AnalysisVolume, EvidenceVolumes
from forensics.models.custody import CustodyAction
from forensics.models.evidence import EvidenceKind
from tests.unit.accounts import EbsInMemory
from tests.unit.builders import CASE_ID, REGION, evidence
from tests.unit.recorders import FakeRecorder

ITEM, INSTANCE = "disk-vol-1", "i-1"
MARKS = {"forensics_case": CASE_ID, "forensics_evidence": ITEM}


@pytest.fixture
def recorder() -> FakeRecorder:
    made = FakeRecorder()
    made.save_evidence(evidence(EvidenceKind.DISK, origin={"copy_id": "copy-1", "copy_region": REGION}))
    return made


@pytest.fixture
def ebs() -> EbsInMemory:
    return EbsInMemory()


def volumes(recorder: FakeRecorder, ebs: EbsInMemory) -> EvidenceVolumes:
    return EvidenceVolumes(recorder, ebs, instance_id=INSTANCE, zone=f"{REGION}a")


def test_a_volume_is_made_from_the_copy_once(recorder: FakeRecorder, ebs: EbsInMemory) -> None:
    (made,) = volumes(recorder, ebs).create([ITEM])
    assert (made.evidence_id, made.state) == (ITEM, "creating")
    assert ebs.records[made.volume_id]["SnapshotId"] == "copy-1"
    assert ebs.records[made.volume_id]["AvailabilityZone"] == f"{REGION}a"
    assert volumes(recorder, ebs).create([ITEM]) == [made]


@pytest.mark.parametrize(
    ("rate", "said"),
    [(300, "at 300 MiB/s, all of its 100 GiB within 6 min"), (0, "how long that takes is not known")],
)
def test_the_case_says_how_long_a_volume_is_being_filled(ebs: EbsInMemory, rate: int, said: str) -> None:
    recorder = FakeRecorder()
    origin = {"copy_id": "copy-1", "copy_region": REGION, "size_gib": 100}
    recorder.save_evidence(evidence(EvidenceKind.DISK, origin=origin))
    made = EvidenceVolumes(recorder, ebs, instance_id=INSTANCE, zone=f"{REGION}a", rate=rate)
    made.plan_attachment(made.create([ITEM]))
    assert any(said in note for note in recorder.notes)
    # what died after CreateVolume is said by the next try, which finds the volume with its rate (EC2 API reference, Volume)
    again = FakeRecorder()
    again.save_evidence(evidence(EvidenceKind.DISK, origin=origin))
    later = EvidenceVolumes(again, ebs, instance_id=INSTANCE, zone=f"{REGION}a", rate=rate)
    later.plan_attachment(later.create([ITEM]))
    assert any(said in note for note in again.notes)


@pytest.mark.parametrize(
    ("state", "holder", "zone", "used"),
    [
        ("available", "", f"{REGION}a", True),
        ("in-use", INSTANCE, f"{REGION}a", True),
        ("in-use", "i-2", f"{REGION}a", False),
        ("available", "", f"{REGION}b", False),
        ("error", "", f"{REGION}a", False),
        ("deleting", "", f"{REGION}a", False),
    ],
)
def test_an_earlier_volume_is_used_when_the_instance_can_have_it(
    recorder: FakeRecorder, ebs: EbsInMemory, state: str, holder: str, zone: str, used: bool
) -> None:
    ebs.add_volume("vol-9", state, holder=holder, **MARKS)
    ebs.records["vol-9"]["AvailabilityZone"] = zone
    (found,) = volumes(recorder, ebs).create([ITEM])
    assert (found == AnalysisVolume(ITEM, "vol-9", state)) is used


def test_a_copy_that_may_not_leave_its_region_is_named(recorder: FakeRecorder, ebs: EbsInMemory) -> None:
    recorder.save_evidence(evidence(EvidenceKind.DISK, origin={"copy_id": "copy-1", "copy_region": "us-east-1"}))
    with pytest.raises(InvestigationError, match=f"{ITEM} stays in us-east-1: policy keeps it") as caught:
        volumes(recorder, ebs).create([ITEM])
    assert "forensics.cross_region_from" in caught.value.next_action
    with pytest.raises(InvestigationError, match="evidence disk-vol-7 is not recorded"):
        volumes(recorder, ebs).create(["disk-vol-7"])


def test_each_volume_is_in_the_ledger_before_it_is_attached(recorder: FakeRecorder, ebs: EbsInMemory) -> None:
    made = [AnalysisVolume("disk-vol-1", "vol-a", "creating"), AnalysisVolume("disk-vol-2", "vol-b", "available")]
    for _ in range(2):
        attach = volumes(recorder, ebs).plan_attachment(made)
    assert attach == [["disk-vol-1", "vol-a", "/dev/sdf"], ["disk-vol-2", "vol-b", "/dev/sdg"]]
    assert recorder.ledger.actions() == [CustodyAction.EVIDENCE_ACCESSED] * 2, "once for each volume"
    detail = recorder.ledger.last(CustodyAction.EVIDENCE_ACCESSED).detail
    assert (detail["volume_id"], detail["instance_id"]) == ("vol-b", INSTANCE)
    assert any(
        note.startswith("disk-vol-2 is attached to the forensic instance as vol-b: EBS") for note in recorder.notes
    )


def test_device_names_are_those_that_ec2_accepts() -> None:
    assert len(DEVICES) == len(set(DEVICES)) == 11 + 52
    assert (DEVICES[0], DEVICES[10], DEVICES[11], DEVICES[-1]) == ("/dev/sdf", "/dev/sdp", "/dev/xvdba", "/dev/xvdcz")
