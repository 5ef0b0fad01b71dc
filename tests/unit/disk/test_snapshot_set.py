"""One snapshot set for each case: found again, locked while pending, recorded; what cannot be snapshotted is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from forensics.aws.ebs import Snapshot
from forensics.disk.snapshot_set import SnapshotSet, fail_pending_disks, newest_usable, record_not_acquired
from forensics.errors import AwsError
from forensics.models.custody import CustodyAction
from forensics.models.disk import SnapshotLock
from forensics.models.evidence import EvidenceKind, Outcome
from forensics.models.plan import Action, Decision
from forensics.models.target import Volume
from forensics.naming import TAG_CASE, TAG_PURPOSE
from tests.unit.accounts import LOCKED_UNTIL, EbsInMemory
from tests.unit.builders import ACCOUNT, CASE_ID, INSTANCE, evidence, target
from tests.unit.recorders import FakeRecorder

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
TARGET = target(volumes=(Volume(id="vol-1", device="/dev/xvda"), Volume(id="vol-2", device="/dev/sdf")))


@pytest.fixture
def recorder() -> FakeRecorder:
    return FakeRecorder()


@pytest.fixture
def ebs() -> EbsInMemory:
    made = EbsInMemory(account_id=ACCOUNT)
    made.volumes_of_instance = ("vol-1", "vol-2")
    return made


def take(recorder: FakeRecorder, ebs: EbsInMemory) -> list[str]:
    return SnapshotSet(recorder, ebs, retention_days=30).take(TARGET)


def test_every_volume_is_snapshotted_locked_and_recorded(recorder: FakeRecorder, ebs: EbsInMemory) -> None:
    ids = take(recorder, ebs)
    assert ids == sorted(ebs.known)
    assert ebs.locked == dict.fromkeys(ids, 30)
    assert {s.tags[TAG_PURPOSE] for s in ebs.known.values()} == {"evidence-snapshot"}
    first, second = recorder.disks()
    assert (first.evidence_id, first.outcome, first.account_id) == ("disk-vol-1", Outcome.PENDING, ACCOUNT)
    assert (first.origin.device, second.origin.device) == ("/dev/xvda", "/dev/sdf")
    assert first.lock == {"snapshot": SnapshotLock(state="governance", until=LOCKED_UNTIL)}
    assert recorder.ledger.actions() == [CustodyAction.EVIDENCE_LOCKED] * 2
    assert recorder.ledger.last(CustodyAction.EVIDENCE_LOCKED).detail["lock"] == {
        "state": "governance",
        "until": LOCKED_UNTIL,
    }
    assert "snapshots_started" in recorder.view().milestones


def test_a_retry_finds_the_set_and_enters_nothing_twice(recorder: FakeRecorder, ebs: EbsInMemory) -> None:
    assert take(recorder, ebs) == take(recorder, ebs)
    assert len(ebs.known) == 2
    assert recorder.ledger.actions() == [CustodyAction.EVIDENCE_LOCKED] * 2


def test_a_retry_finds_the_set_that_no_list_shows_yet(recorder: FakeRecorder, ebs: EbsInMemory) -> None:
    """A list by tag may leave a new snapshot out (EC2 developer guide, "Eventual consistency"): no second set is made."""
    first = take(recorder, ebs)
    ebs.known = {i: s.model_copy(update={"tags": {}}) for i, s in ebs.known.items()}
    assert take(recorder, ebs) == first and len(ebs.known) == 2


def test_a_set_with_a_failed_snapshot_is_taken_again(recorder: FakeRecorder, ebs: EbsInMemory) -> None:
    first, _ = take(recorder, ebs)
    ebs.add(first, "error", volume_id="vol-1", tags=ebs.known[first].tags)
    again = take(recorder, ebs)
    assert len(ebs.known) == 4 and first not in again


def test_an_acquired_disk_is_not_made_pending_again(recorder: FakeRecorder, ebs: EbsInMemory) -> None:
    recorder.save_evidence(evidence(EvidenceKind.DISK, origin={"copy_id": "copy-1"}))
    take(recorder, ebs)
    assert recorder.disk("disk-vol-1").outcome is Outcome.ACQUIRED  # type: ignore[union-attr]
    assert recorder.disk("disk-vol-2").outcome is Outcome.PENDING  # type: ignore[union-attr]


def test_an_instance_store_is_recorded_as_not_acquired(recorder: FakeRecorder, ebs: EbsInMemory) -> None:
    ebs.instance_store = 75
    take(recorder, ebs)
    take(recorder, ebs)
    store = recorder.disk(f"disk-{INSTANCE}-store")
    assert store is not None and store.outcome is Outcome.NOT_APPLICABLE
    assert "75 GB of t3.micro" in str(store.reason) and "copy it manually" in str(store.reason)
    assert recorder.ledger.actions().count(CustodyAction.EVIDENCE_FAILED) == 1


def test_an_instance_store_that_ec2_does_not_tell_of_is_noted(recorder: FakeRecorder, ebs: EbsInMemory) -> None:
    ebs.errors["instance_store_gb"] = AwsError("describe instance type: UnauthorizedOperation")
    take(recorder, ebs)
    assert recorder.disk(f"disk-{INSTANCE}-store") is None
    assert any("not known whether t3.micro has an instance store: describe" in note for note in recorder.notes)


def test_the_newest_snapshot_that_has_not_failed_counts() -> None:
    def snapshot(name: str, state: str, minutes: int, volume: str = "vol-1") -> Snapshot:
        started = NOON + timedelta(minutes=minutes)
        return Snapshot(id=name, volume_id=volume, state=state, started_at=started)

    found = [
        snapshot("new", "pending", 2),
        snapshot("old", "completed", 1),
        snapshot("failed", "error", 3),
        snapshot("other", "completed", 0, "vol-2"),
    ]
    assert sorted(s.id for s in newest_usable(found)) == ["new", "other"]


@pytest.mark.parametrize(
    ("wanted", "possible", "outcome"), [(True, False, Outcome.NOT_APPLICABLE), (False, True, Outcome.SKIPPED)]
)
def test_disks_that_the_plan_does_not_acquire_are_recorded_with_the_reason(
    recorder: FakeRecorder, wanted: bool, possible: bool, outcome: Outcome
) -> None:
    decision = Decision(action=Action.DISK, wanted=wanted, possible=possible, reasons=("first", "second"))
    assert record_not_acquired(recorder, decision, ["vol-1", "vol-2"]) == "first; second"
    assert record_not_acquired(recorder, decision, ["vol-1", "vol-2"]) == "first; second"
    assert [(e.outcome, e.reason) for e in recorder.disks()] == [(outcome, "first; second")] * 2
    assert recorder.ledger.actions() == [CustodyAction.EVIDENCE_FAILED] * 2, "once for each disk"


def test_a_target_without_volumes_is_recorded_as_the_instance(recorder: FakeRecorder) -> None:
    decision = Decision(action=Action.DISK, wanted=False, reasons=("not asked for",))
    record_not_acquired(recorder, decision, [])
    assert [e.evidence_id for e in recorder.disks()] == [f"disk-{INSTANCE}"]


def test_a_final_failure_leaves_no_disk_pending(recorder: FakeRecorder, ebs: EbsInMemory) -> None:
    take(recorder, ebs)
    recorder.save_evidence(recorder.disks()[0].model_copy(update={"outcome": Outcome.ACQUIRED}))
    fail_pending_disks(recorder, "no time left")
    assert [(e.outcome, e.reason) for e in recorder.disks()] == [
        (Outcome.ACQUIRED, None),
        (Outcome.FAILED, "no time left"),
    ]


def test_a_failure_before_any_snapshot_is_recorded_for_each_volume(recorder: FakeRecorder) -> None:
    fail_pending_disks(recorder, "denied")
    assert [e.evidence_id for e in recorder.disks()] == [f"disk-{INSTANCE}"], "triage has described nothing"
    other = FakeRecorder()
    other.put("TARGET", TARGET)
    fail_pending_disks(other, "denied")
    assert [(e.evidence_id, e.reason) for e in other.disks()] == [("disk-vol-1", "denied"), ("disk-vol-2", "denied")]


def test_the_set_carries_the_case_tag(recorder: FakeRecorder, ebs: EbsInMemory) -> None:
    take(recorder, ebs)
    assert {s.tags[TAG_CASE] for s in ebs.known.values()} == {CASE_ID}
