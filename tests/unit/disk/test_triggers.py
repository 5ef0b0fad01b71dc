"""The waits of the disk flow: over when and only when EC2 says so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from unittest.mock import create_autospec

import pytest

from forensics.aws.ebs import EbsGateway, Snapshot
from forensics.aws.shared_looks import SharedLooks
from forensics.aws.triggers import ScopedTrigger
from forensics.disk.triggers import QuotaPauseTrigger, SnapshotsCompletedTrigger
from forensics.errors import AccessDeniedError, ResourceGoneError, SnapshotError, ThrottledError
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


# ---------------------------------------------------------------------- many waits
PENDING = [f"snap-{n:03d}" for n in range(40)]


def looks_of(monkeypatch: pytest.MonkeyPatch, gateway: EbsGateway, *waits: SnapshotsCompletedTrigger) -> list[object]:
    """One look of each wait, all at the same moment."""
    monkeypatch.setattr(ScopedTrigger, "session", None)
    monkeypatch.setattr(EbsGateway, "of", lambda session: gateway)
    monkeypatch.setattr("forensics.disk.triggers._LOOKS", SharedLooks(window=0.01))

    async def look() -> list[object]:
        return await asyncio.gather(*(wait.look() for wait in waits), return_exceptions=True)

    return asyncio.run(look())


def wait_for(snapshot: str, **where: str) -> SnapshotsCompletedTrigger:
    return SnapshotsCompletedTrigger(scope={**SCOPE, **where}, snapshot_ids=[snapshot], poll=5.0, deadline=2e9)


def seen(ids: Sequence[str], state: str = "completed") -> list[Snapshot]:
    return [Snapshot(id=i, volume_id="vol-1", state=state, size_gib=1, encrypted=False) for i in ids]


def test_waits_of_one_account_look_by_one_request_and_each_gets_its_own_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = create_autospec(EbsGateway, instance=True)
    gateway.listed.side_effect = lambda ids: [*seen(ids[1:]), *seen(ids[:1], "pending")]
    answers = looks_of(monkeypatch, gateway, *(wait_for(i) for i in PENDING))
    assert gateway.listed.call_count == 1 and gateway.snapshots.call_count == 0
    assert answers[0] is None and all(a is not None and a.ok for a in answers[1:])  # type: ignore[attr-defined]
    looks_of(monkeypatch, gateway, wait_for("snap-a"), wait_for("snap-b", region="eu-west-1"))
    assert gateway.listed.call_count == 3, "another Region is asked by its own request"


def test_what_the_common_look_does_not_answer_is_asked_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = create_autospec(EbsGateway, instance=True)
    gateway.listed.side_effect = lambda ids: seen([i for i in ids if i != "snap-gone"])
    gateway.snapshots.side_effect = ResourceGoneError("snap-gone does not exist")
    good, gone = looks_of(monkeypatch, gateway, wait_for("snap-1"), wait_for("snap-gone"))
    assert good is not None and isinstance(gone, ResourceGoneError)
    gateway.snapshots.assert_called_once_with(["snap-gone"])


def test_a_session_that_may_not_look_fails_its_own_wait_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = create_autospec(EbsGateway, instance=True)
    gateway.listed.side_effect = AccessDeniedError("the first case's role was deleted")
    gateway.snapshots.side_effect = lambda ids: seen(ids)
    assert all(a is not None and a.ok for a in looks_of(monkeypatch, gateway, wait_for("snap-1"), wait_for("snap-2")))  # type: ignore[attr-defined]


def test_throttled_waits_do_not_ask_once_more_each(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = create_autospec(EbsGateway, instance=True)
    gateway.listed.side_effect = ThrottledError("RequestLimitExceeded")
    answers = looks_of(monkeypatch, gateway, *(wait_for(i) for i in PENDING))
    assert all(isinstance(a, ThrottledError) for a in answers)
    assert gateway.listed.call_count == 1 and gateway.snapshots.call_count == 0
