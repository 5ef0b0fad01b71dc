"""An artifact's snapshots are copied once, locked when complete, and refused with a reason and a way out."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.aws.artifacts import ArtifactGateway, Raw
from forensics.disk.artifact_snapshots import ArtifactAccount, ArtifactSnapshots
from forensics.errors import (
    AccessDeniedError,
    ForensicsError,
    ResourceGoneError,
    SnapshotError,
    ThrottledError,
    UnreachableError,
)
from forensics.models.artifact import ArtifactDisk
from forensics.models.custody import CustodyAction
from forensics.models.disk import KeyFacts
from forensics.models.evidence import Outcome
from forensics.naming import TAG_CASE, TAG_PURPOSE, TAG_SOURCE
from tests.unit.accounts import EbsInMemory, KeysInMemory, settings
from tests.unit.builders import ACCOUNT, CASE_ID, NOW, SNAPSHOT, artifact_disk, of_snapshot
from tests.unit.recorders import FakeRecorder

OTHER = "snap-0fedcba9876543210"
KEY = "arn:aws:kms:eu-central-1:333344445555:key/customer"


class ArtifactsInMemory(ArtifactGateway):
    """Snapshots as EC2 shows them now, and who can read them."""

    def __init__(self, *disks: ArtifactDisk) -> None:
        self.disks = {d.snapshot_id: d for d in disks}
        self.granted: tuple[str, ...] | ForensicsError = ()

    def snapshot(self, snapshot_id: str, *, device: str = "") -> tuple[ArtifactDisk, Raw]:
        if snapshot_id not in self.disks:
            raise ResourceGoneError(f"snapshot {snapshot_id} does not exist")
        return self.disks[snapshot_id].model_copy(update={"device": device}), {}

    def readers(self, snapshot_id: str) -> tuple[str, ...]:
        if isinstance(self.granted, ForensicsError):
            raise self.granted
        return self.granted


class World:
    """A case of an artifact with these snapshots, and their account."""

    def __init__(self, *disks: ArtifactDisk) -> None:
        self.recorder = FakeRecorder(of_snapshot())
        self.disks = disks or (artifact_disk(),)
        self.ebs, self.keys = EbsInMemory(account_id=ACCOUNT), KeysInMemory()
        self.artifacts = ArtifactsInMemory(*self.disks)

    def advance(self, *, after_wait: bool = False) -> list[str]:
        account = ArtifactAccount(self.ebs, self.artifacts, self.keys)
        return ArtifactSnapshots(self.recorder, account, settings()).advance(self.disks, after_wait=after_wait)

    def change(self, **changes: object) -> None:
        """What EC2 says of the first snapshot now."""
        self.artifacts.disks[self.disks[0].snapshot_id] = self.disks[0].model_copy(update=changes)

    def refused(self) -> SnapshotError:
        """The pass's error, when nothing could be copied and nothing was changed in AWS."""
        with pytest.raises(SnapshotError) as caught:
            self.advance()
        assert self.ebs.copied == [] and self.ebs.locked == {}
        return caught.value


def test_a_tagged_copy_in_the_same_account_counts_as_the_original_and_is_locked_when_complete() -> None:
    world = World()
    world.artifacts.granted = ("444455556666",)
    (copy,) = world.advance()
    assert world.ebs.copied == [{"of": SNAPSHOT, "from": world.ebs.region, "key": None}] and world.ebs.locked == {}
    assert {TAG_CASE: CASE_ID, TAG_SOURCE: SNAPSHOT, TAG_PURPOSE: "evidence-snapshot"}.items() <= world.ebs.known[
        copy
    ].tags.items()
    assert [e.outcome for e in world.recorder.disks()] == [Outcome.PENDING]
    world.ebs.complete()
    assert world.advance(after_wait=True) == [] == world.advance()
    assert len(world.ebs.copied) == 1 and list(world.ebs.locked) == [copy]
    (item,) = world.recorder.disks()
    assert item.evidence_id == f"disk-{SNAPSHOT}" and item.lock["snapshot"].state == "governance"
    assert (item.origin.snapshot_id, item.origin.source_snapshot_id, item.origin.volume_id) == (copy, SNAPSHOT, "vol-1")
    assert world.recorder.ledger.actions() == [CustodyAction.TARGET_DESCRIBED, CustodyAction.EVIDENCE_LOCKED]
    stated = world.recorder.ledger.last(CustodyAction.TARGET_DESCRIBED).detail
    assert stated["source_readers"] == [ACCOUNT, "444455556666"] and stated["source_owner"] == ACCOUNT
    assert str(stated["source_started_at"]).startswith(f"{NOW:%Y-%m-%dT%H:%M}") and stated["encrypted"] is False


def test_an_encrypted_one_is_copied_under_the_accounts_forensic_key() -> None:
    world = World(artifact_disk(encrypted=True, kms_key_id=KEY))
    world.advance()
    assert str(world.ebs.copied[0]["key"]).endswith(f"of-{settings().member_key_alias}")


def test_who_can_read_it_is_said_when_all_can_and_when_nobody_knows() -> None:
    world = World()
    world.artifacts.granted = ("all",)
    world.advance()
    assert any("is public" in note for note in world.recorder.notes)
    unknown = World()
    unknown.artifacts.granted = AccessDeniedError("no")
    unknown.advance()
    assert any(f"who can read {SNAPSHOT} is not known" in note for note in unknown.recorder.notes)
    assert unknown.recorder.disks()[0].origin.source_readers is None


@pytest.mark.parametrize(
    ("changes", "why", "action"),
    [
        ({"owner_id": "444455556666"}, "belongs to account 444455556666", "in account 444455556666"),
        ({"state": "error"}, "state error", "other snapshots"),
        ({"tier": "archive"}, "archive tier", "RestoreSnapshotTier"),
        ({"encrypted": True, "kms_key_id": KEY}, "PendingDeletion", f"enable {KEY}"),
    ],
)
def test_what_cannot_be_copied_says_why_and_what_to_do(changes: dict[str, object], why: str, action: str) -> None:
    world = World()
    world.keys.known[KEY] = KeyFacts(arn=KEY, account_id=ACCOUNT, state="PendingDeletion")
    world.change(**changes)
    error = world.refused()
    assert why in str(error) and action in error.next_action
    (item,) = world.recorder.disks()
    assert item.outcome is Outcome.FAILED and why in str(item.reason)
    (failure,) = world.recorder.store.failures().values()
    assert failure.next_action == error.next_action, "the gap's next action"
    world.refused()
    assert world.recorder.ledger.actions() == [CustodyAction.EVIDENCE_FAILED], "said once"
    world.change()
    world.advance()
    world.ebs.complete()
    world.advance(after_wait=True)
    (item,) = world.recorder.disks()
    assert item.origin.snapshot_id and item.outcome is Outcome.PENDING and item.reason is None
    assert world.recorder.store.failures() == {}, "a later try made good for it"


def test_one_that_is_gone_by_now_says_where_to_look() -> None:
    world = World()
    world.artifacts.disks.clear()
    assert "Recycle Bin" in world.refused().next_action


def test_one_that_is_still_being_taken_is_waited_for() -> None:
    world = World()
    world.change(state="pending")
    assert world.advance() == [SNAPSHOT] and world.ebs.copied == []
    world.change()
    assert world.advance(after_wait=True) == list(world.ebs.known)


def test_a_copy_that_ends_in_error_names_the_key_and_is_made_again_by_a_cleared_task() -> None:
    world = World()
    (copy,) = world.advance()
    world.ebs.known[copy] = world.ebs.known[copy].model_copy(
        update={"state": "error", "message": "Given key ID is not accessible"}
    )
    with pytest.raises(SnapshotError, match="Given key ID is not accessible") as caught:
        world.advance(after_wait=True)
    assert "key policy" in caught.value.next_action
    assert world.recorder.disks()[0].outcome is Outcome.FAILED
    (again,) = world.advance()
    assert again != copy
    world.ebs.complete()
    world.ebs.known[copy] = world.ebs.known[copy].model_copy(update={"state": "error"})
    assert world.advance(after_wait=True) == []
    assert world.recorder.disks()[0].origin.snapshot_id == again and copy not in world.ebs.locked


def test_one_disk_that_is_refused_does_not_keep_the_others() -> None:
    world = World(artifact_disk(owner_id="444455556666"), artifact_disk(snapshot_id=OTHER, device="/dev/sdf"))
    (copy,) = world.advance()
    world.ebs.complete()
    assert world.advance(after_wait=True) == [] and list(world.ebs.locked) == [copy]
    outcomes = {e.evidence_id: e.outcome for e in world.recorder.disks()}
    assert outcomes == {f"disk-{SNAPSHOT}": Outcome.FAILED, f"disk-{OTHER}": Outcome.PENDING}


@pytest.mark.parametrize("error", [ThrottledError("twenty copies at a time"), UnreachableError("no answer")])
def test_what_passes_is_tried_again(error: ForensicsError) -> None:
    world = World()
    world.ebs.errors["copy"] = error
    with pytest.raises(type(error)):
        world.advance()
    assert world.recorder.disks()[0].outcome is Outcome.PENDING


def test_a_step_that_dies_before_the_ledger_knows_the_lock_says_it_later(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.advance()
    world.ebs.complete()
    append = world.recorder.ledger.append

    def dies(case_id: str, action: CustodyAction, **stated: Any) -> Any:
        if action is CustodyAction.EVIDENCE_LOCKED:
            raise KeyboardInterrupt
        return append(case_id, action, **stated)

    monkeypatch.setattr(world.recorder.ledger, "append", dies)
    with pytest.raises(KeyboardInterrupt):
        world.advance(after_wait=True)
    monkeypatch.undo()
    assert world.advance() == [] and len(world.ebs.copied) == 1
    assert world.recorder.ledger.actions().count(CustodyAction.EVIDENCE_LOCKED) == 1
