"""The waits of the disk flow: over when and only when EC2 says so."""

from __future__ import annotations

import time

import pytest

from forensics.aws.ebs import EbsGateway
from forensics.aws.triggers import ScopedTrigger
from forensics.disk.triggers import QuotaPauseTrigger, SnapshotsCompletedTrigger
from forensics.errors import SnapshotError
from tests.unit.accounts import EbsInMemory
from tests.unit.builders import ACCOUNT, CASE_ID, REGION

SCOPE = {"account_id": ACCOUNT, "region": REGION, "phase": "acquire", "case_id": CASE_ID}


@pytest.fixture
def ebs(monkeypatch: pytest.MonkeyPatch) -> EbsInMemory:
    made = EbsInMemory()
    monkeypatch.setattr(ScopedTrigger, "session", None)
    monkeypatch.setattr(EbsGateway, "of", lambda session: made)
    return made


def waiting() -> SnapshotsCompletedTrigger:
    return SnapshotsCompletedTrigger(scope=SCOPE, snapshot_ids=["snap-1", "snap-2"], poll=5.0, deadline=2e9)


@pytest.mark.parametrize(
    ("states", "over"),
    [
        ({"snap-1": "completed", "snap-2": "completed"}, True),
        ({"snap-1": "completed", "snap-2": "pending"}, False),
        ({"snap-1": "completed"}, False),
        ({}, False),
    ],
)
def test_snapshots_are_over_when_all_are_complete(ebs: EbsInMemory, states: dict[str, str], over: bool) -> None:
    for name, state in states.items():
        ebs.add(name, state)
    outcome = waiting().check()
    assert (outcome is not None) is over
    assert outcome is None or (outcome.ok, outcome.payload) == (True, {"snapshots": states})


def test_where_the_step_decides_a_failed_snapshot_has_ended_too(ebs: EbsInMemory) -> None:
    ebs.add("snap-1", "error")
    ebs.add("snap-2", "pending")
    trigger = SnapshotsCompletedTrigger(
        scope=SCOPE, snapshot_ids=["snap-1", "snap-2"], until_ended=True, poll=5.0, deadline=2e9
    )
    assert trigger.check() is None
    ebs.add("snap-2", "completed")
    assert trigger.check() is not None and trigger.arguments()["until_ended"] is True


def test_a_failed_snapshot_ends_the_wait_with_its_reason(ebs: EbsInMemory) -> None:
    ebs.add("snap-1", "pending")
    ebs.add("snap-2", "error", message="no key")
    with pytest.raises(SnapshotError, match="snap-2 of vol-1: no key"):
        waiting().check()


def test_the_wait_names_its_snapshots() -> None:
    assert waiting().waiting_for() == "snapshots snap-1, snap-2"


@pytest.mark.parametrize(("seconds", "over"), [(-1, True), (60, False)])
def test_a_pause_is_over_when_its_time_has_come(seconds: float, over: bool) -> None:
    trigger = QuotaPauseTrigger(until=time.time() + seconds, poll=5.0, deadline=2e9)
    assert (trigger.check() is not None) is over
    assert trigger.arguments() == {"until": trigger.until}
