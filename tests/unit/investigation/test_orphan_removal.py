"""What outlived its case is removed under that case's identity, noted there and reported once; the rest is left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from forensics.aws.ebs import EbsGateway
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.session import AwsSession
from forensics.errors import AccessDeniedError
from forensics.investigation.orphan_removal import MOST, REAPER, OrphanRemoval
from forensics.models.case import CaseStatus
from forensics.models.orphans import Orphan
from tests.unit.accounts import FORENSIC, EbsInMemory, Ec2InMemory
from tests.unit.builders import CASE_ID, REGION, case
from tests.unit.recorders import FakeRecorder

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)  # the account's resources were made an hour before
CLOSED_AT = datetime(2026, 11, 24, 7, 30, tzinfo=UTC)
INSTANCE, VOLUME = "forensic-instance", "analysis-volume"


class World:
    """A closed case, and the forensic account."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ec2, self.ebs = Ec2InMemory(), EbsInMemory()
        self.recorder = FakeRecorder(case().model_copy(update={"status": CaseStatus.CLOSED, "closed_at": CLOSED_AT}))
        self.identities: list[str] = []
        monkeypatch.setattr(Ec2Gateway, "of", lambda session: self.ec2)
        monkeypatch.setattr(EbsGateway, "of", lambda session: self.ebs)

    def session_of(self, identity: str) -> AwsSession:
        self.identities.append(identity)
        return AwsSession(boto=None, account_id=FORENSIC, region=REGION)  # type: ignore[arg-type]

    def run(self) -> tuple[list[Orphan], list[str]]:
        removal = OrphanRemoval(
            self.recorder.store, self.recorder.mailbox, session_of=self.session_of, limit=timedelta(hours=12)
        )
        return removal.run(NOW)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_an_orphan_is_removed_noted_and_reported(world: World) -> None:
    world.ec2.add("i-1", "running", forensics_case=CASE_ID, forensics_purpose=INSTANCE)
    world.ebs.add_volume("vol-1", "available", forensics_case=CASE_ID, forensics_purpose=VOLUME)
    removed, failed = world.run()
    reason = "its case is CLOSED since 2026-11-24 07:30:00Z"
    assert removed == [
        Orphan(id="i-1", kind="instance", case_id=CASE_ID, reason=reason),
        Orphan(id="vol-1", kind="volume", case_id=CASE_ID, reason=reason),
    ]
    assert failed == []
    assert world.identities == [REAPER, CASE_ID, CASE_ID]
    assert world.ec2.state("i-1") == "shutting-down" and world.ebs.deleted == ["vol-1"]
    assert world.recorder.notes == [
        f"orphaned instance i-1 removed: {reason}",
        f"orphaned volume vol-1 removed: {reason}",
    ]
    (mail,) = world.recorder.mailbox.mail
    assert (mail.event, mail.subject) == ("orphans", "Forensic orphans: 2 removed, 0 not removed")
    assert mail.lines[0] == f"Removed instance i-1 of case {CASE_ID}: {reason}"
    assert mail.facts["removed"][1] == {"id": "vol-1", "kind": "volume", "case_id": CASE_ID, "reason": reason}


@pytest.mark.parametrize("state", ["terminated", "shutting-down"])
def test_what_is_going_already_and_what_is_attached_is_left_alone(world: World, state: str) -> None:
    world.ec2.add("i-1", state, forensics_case=CASE_ID, forensics_purpose=INSTANCE)
    world.ec2.add("i-2", "running", forensics_case=CASE_ID, forensics_purpose="something else")
    world.ebs.add_volume("vol-1", "in-use", holder="i-1", forensics_case=CASE_ID, forensics_purpose=VOLUME)
    assert world.run() == ([], [])
    assert world.recorder.mailbox.mail == [] and world.identities == [REAPER]


def test_an_open_case_keeps_what_it_has(world: World) -> None:
    world.recorder = FakeRecorder()
    world.ec2.add("i-1", "running", forensics_case=CASE_ID, forensics_purpose=INSTANCE)
    assert world.run() == ([], [])


def test_a_tag_that_names_no_case_is_reported_and_not_touched(world: World) -> None:
    world.ec2.add("i-1", "running", forensics_case="somebody's", forensics_purpose=INSTANCE)
    removed, (failed,) = world.run()
    assert removed == [] and world.ec2.state("i-1") == "running"
    assert failed.startswith("instance i-1 (no case somebody's is known): its tag forensics:case is")
    assert "names no case" in failed
    (mail,) = world.recorder.mailbox.mail
    assert mail.subject == "Forensic orphans: 0 removed, 1 not removed"
    assert mail.lines == [f"NOT removed: {failed}"]


def test_one_refusal_does_not_stop_the_others(world: World) -> None:
    world.ec2.errors["terminate"] = AccessDeniedError("terminate i-1: UnauthorizedOperation")
    world.ec2.add("i-1", "running", forensics_case=CASE_ID, forensics_purpose=INSTANCE)
    world.ebs.add_volume("vol-1", "available", forensics_case=CASE_ID, forensics_purpose=VOLUME)
    removed, failed = world.run()
    assert [o.id for o in removed] == ["vol-1"]
    assert len(failed) == 1 and failed[0].endswith("terminate i-1: UnauthorizedOperation")


def test_a_case_that_is_not_known_gets_no_note(world: World) -> None:
    unknown = "fc-20261124-ffffffffff"
    world.ec2.add("i-1", "running", forensics_case=unknown, forensics_purpose=INSTANCE)
    removed, _ = world.run()
    assert [o.reason for o in removed] == [f"no case {unknown} is known"]
    assert world.recorder.notes == []


def test_what_a_dead_worker_removed_is_noted_and_reported_by_the_next_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before it had said anything: a volume that is gone can be found by no search."""
    world.ec2.add("i-1", "running", forensics_case=CASE_ID, forensics_purpose=INSTANCE)
    world.ebs.add_volume("vol-1", "available", forensics_case=CASE_ID, forensics_purpose=VOLUME)

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
        dying.setattr(OrphanRemoval, "_note", dies)
        world.run()
    assert world.ebs.deleted == ["vol-1"] and world.recorder.mailbox.mail == []
    removed, failed = world.run()
    assert [o.id for o in removed] == ["i-1", "vol-1"] and failed == []
    assert len(world.recorder.notes) == 2
    (mail,) = world.recorder.mailbox.mail
    assert mail.subject == "Forensic orphans: 2 removed, 0 not removed"
    assert world.run() == ([], []) and len(world.recorder.mailbox.mail) == 1


def test_very_many_are_removed_in_several_looks(world: World) -> None:
    for number in range(MOST + 1):
        world.ebs.add_volume(f"vol-{number}", "available", forensics_case=CASE_ID, forensics_purpose=VOLUME)
    assert [len(world.run()[0]) for _ in range(3)] == [MOST, 1, 0]
