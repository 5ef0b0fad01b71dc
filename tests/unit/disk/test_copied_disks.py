"""A disk is acquired when its copy was seen complete, in ledger, store and message; the others fail the step by name."""

from __future__ import annotations

import pytest

from forensics.disk.copied_disks import record_copied
from forensics.errors import SnapshotError
from forensics.models.custody import CustodyAction
from forensics.models.evidence import EvidenceKind, Outcome
from tests.unit.accounts import FORENSIC
from tests.unit.builders import ACCOUNT, REGION, evidence
from tests.unit.recorders import FakeRecorder


def pending(recorder: FakeRecorder, number: int, **origin: object) -> str:
    item = f"disk-vol-{number}"
    known = {
        "volume_id": f"vol-{number}", "snapshot_id": f"snap-{number}", "device": "/dev/xvda",
        "copy_id": f"copy-{number}", "copy_region": REGION, "why": "the snapshot is not encrypted", **origin,
    }  # fmt: skip
    lock = {"copy": {"state": "governance", "until": "2027-01-01T00:00:00+00:00"}}
    made = evidence(EvidenceKind.DISK, Outcome.PENDING, origin=known, lock=lock, reason="it was throttled once")
    recorder.save_evidence(made.model_copy(update={"evidence_id": item}))
    return item


def test_complete_copies_are_acquired_and_announced() -> None:
    recorder = FakeRecorder()
    items = {pending(recorder, 1), pending(recorder, 2)}
    assert record_copied(recorder, items, account_id=FORENSIC) == ["copy-1", "copy-2"]
    first = recorder.disk("disk-vol-1")
    assert first is not None
    assert (first.outcome, first.reason) == (Outcome.ACQUIRED, None)
    assert first.uri == f"arn:aws:ec2:{REGION}:{FORENSIC}:snapshot/copy-1"
    assert first.ended_at is not None
    acquired = recorder.ledger.last(CustodyAction.EVIDENCE_ACQUIRED)
    assert acquired.detail.items() >= {"volume_id": "vol-2", "copy_id": "copy-2", "device": "/dev/xvda"}.items()
    assert "why" not in acquired.detail
    assert acquired.facts is not None
    assert acquired.facts.moved_from == f"account {ACCOUNT}, {REGION}, snap-2"
    assert acquired.facts.moved_to == f"arn:aws:ec2:{REGION}:{FORENSIC}:snapshot/copy-2"
    locked = recorder.ledger.last(CustodyAction.EVIDENCE_LOCKED)
    assert locked.detail["lock"] == {"state": "governance", "until": "2027-01-01T00:00:00+00:00"}
    assert recorder.ledger.signed == ["disk"]
    (mail,) = recorder.mailbox.mail
    assert (mail.event, mail.facts["copies"]) == ("disks_acquired", ["copy-1", "copy-2"])
    assert "copies_complete" in recorder.view().milestones


def test_a_repetition_enters_nothing_twice() -> None:
    recorder = FakeRecorder()
    items = {pending(recorder, 1)}
    for _ in range(2):
        record_copied(recorder, items, account_id=FORENSIC)
    assert recorder.ledger.actions() == [CustodyAction.EVIDENCE_ACQUIRED, CustodyAction.EVIDENCE_LOCKED]
    assert len(recorder.mailbox.mail) == 1


def test_a_disk_without_a_complete_copy_fails_the_step_by_name() -> None:
    recorder = FakeRecorder()
    done = pending(recorder, 1)
    pending(recorder, 2, next_action="enable the key")
    with pytest.raises(
        SnapshotError, match="not copied to the forensic account: vol-2: it was throttled once"
    ) as caught:
        record_copied(recorder, {done}, account_id=FORENSIC)
    assert caught.value.next_action == "enable the key"
    assert [e.outcome for e in recorder.disks()] == [Outcome.ACQUIRED, Outcome.PENDING], "a copy id alone is no copy"


def test_without_any_copy_nothing_is_announced() -> None:
    recorder = FakeRecorder()
    pending(recorder, 1)
    with pytest.raises(SnapshotError) as caught:
        record_copied(recorder, set(), account_id=FORENSIC)
    assert "then clear disk.copy_snapshots" in caught.value.next_action
    assert (recorder.mailbox.mail, recorder.ledger.signed) == ([], [])
