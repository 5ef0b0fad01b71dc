"""The step that copies: it waits for what is open, in the account where it is open, and ends when nothing is."""

from __future__ import annotations

import time

import pytest

from forensics.aws.ebs import EbsGateway
from forensics.aws.kms import KeyGateway
from forensics.disk import copy_operators
from forensics.disk.copy_operators import CopySnapshotsOperator
from forensics.disk.triggers import QuotaPauseTrigger, SnapshotsCompletedTrigger
from forensics.errors import AccessDeniedError, SnapshotError, ThrottledError
from forensics.models.evidence import EvidenceKind, Outcome
from tests.unit.accounts import FORENSIC, EbsInMemory, KeysInMemory, act, deferred, prepare
from tests.unit.builders import ACCOUNT, evidence
from tests.unit.recorders import FakeRecorder, context

pytestmark = pytest.mark.usefixtures("settings_environment")


class World:
    """A case with one snapshot, and the step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.recorder = FakeRecorder()
        accounts = {ACCOUNT: EbsInMemory(account_id=ACCOUNT), FORENSIC: EbsInMemory()}
        self.member, self.forensic = accounts[ACCOUNT], accounts[FORENSIC]
        self.keys = KeysInMemory()
        monkeypatch.setattr(EbsGateway, "of", lambda session: accounts[session.account_id])
        monkeypatch.setattr(KeyGateway, "of", lambda session: self.keys)
        self.member.add("snap-1")
        origin = {"volume_id": "vol-1", "snapshot_id": "snap-1"}
        self.recorder.save_evidence(evidence(EvidenceKind.DISK, Outcome.PENDING, origin=origin))
        self.step = CopySnapshotsOperator(task_id="copy_snapshots")
        prepare(self.step, self.recorder)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_it_waits_for_the_copies_in_the_forensic_account(world: World) -> None:
    trigger = deferred(world.step, world.recorder)
    assert isinstance(trigger, SnapshotsCompletedTrigger) and not trigger.ends_task
    assert trigger.snapshot_ids == [i for i in world.forensic.known if i.startswith("copy")]
    assert (trigger.scope["account_id"], trigger.scope["phase"]) == (FORENSIC, "analyse")


def test_it_waits_for_a_copy_in_the_targets_account_first(world: World) -> None:
    world.member.add("snap-1", encrypted=True, kms_key_id="alias/aws/ebs")
    trigger = deferred(world.step, world.recorder)
    assert isinstance(trigger, SnapshotsCompletedTrigger)
    assert (trigger.scope["account_id"], trigger.scope["phase"]) == (ACCOUNT, "acquire")
    assert world.forensic.copied == []


def test_a_full_quota_is_waited_for_a_random_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_operators, "QUOTA_PAUSE", (30.0, 31.0))
    world.forensic.errors["copy"] = ThrottledError("ResourceLimitExceeded")
    trigger = deferred(world.step, world.recorder)
    assert isinstance(trigger, QuotaPauseTrigger)
    assert 25 < trigger.until - time.time() < 31
    assert any("waiting for room in a quota: disk-vol-1: ResourceLimitExceeded" in n for n in world.recorder.notes)


def test_after_the_wait_the_complete_copy_is_acquired(world: World) -> None:
    deferred(world.step, world.recorder)
    world.forensic.complete()
    (copy,) = (i for i in world.forensic.known if i.startswith("copy"))
    assert world.step.resume(world.recorder, {"snapshots": {copy: "completed"}}, context()) == {"copies": [copy]}
    assert [e.outcome for e in world.recorder.disks()] == [Outcome.ACQUIRED]
    assert act(world.step, world.recorder) == {"copies": [copy]}, "a cleared task"


def test_the_end_of_all_tries_leaves_no_disk_pending(world: World) -> None:
    world.step.on_final_failure(world.recorder, "no access")
    assert [(e.outcome, e.reason) for e in world.recorder.disks()] == [(Outcome.FAILED, "no access")]
    assert isinstance(world.step.wait_failed("copy failed", "look"), SnapshotError)


def test_a_cleared_copy_makes_its_disk_pending_again_and_a_refusal_keeps_its_own_cure(world: World) -> None:
    """AWS's refusal of a copy is one of IAM, not of a key: what to do next is the refusal's."""
    refused = AccessDeniedError("copy snapshot snap-1: UnauthorizedOperation", next_action="look at the role analyse")
    world.forensic.errors["copy"] = refused
    with pytest.raises(SnapshotError) as caught:
        world.step.act(world.recorder, context())
    assert caught.value.next_action == "look at the role analyse"
    world.step.on_final_failure(world.recorder, str(caught.value))
    assert world.recorder.disks()[0].outcome is Outcome.FAILED
    del world.forensic.errors["copy"]
    deferred(world.step, world.recorder)
    (disk,) = world.recorder.disks()
    assert (disk.outcome, disk.ended_at) == (Outcome.PENDING, None)
    assert any("is acquired again" in note and "UnauthorizedOperation" in note for note in world.recorder.notes)
