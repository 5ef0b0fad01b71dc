"""Evidence is held while the case is open, and retention counts from the closing (R140)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from forensics import case_keys
from forensics.case.retention import due, due_cases, end, kept_until, lifted, retain
from forensics.custody.holding import Kept
from forensics.errors import RetentionError
from forensics.models.case import CaseStatus
from forensics.models.custody import CustodyAction, HoldLift, Retention
from forensics.models.disk import SnapshotLock
from forensics.models.evidence import DiskEvidence, Outcome
from tests.unit.builders import CASE_ID, NOW, case
from tests.unit.recorders import FakeRecorder

DAYS = 100
CLOSED = {"status": CaseStatus.CLOSED, "closed_at": NOW}


class Keeping:
    """Keeps what it is told to; ``failures`` are what it cannot keep."""

    def __init__(self, *failures: str) -> None:
        self.failures = failures
        self.asked: list[tuple[datetime, bool]] = []

    def keep(self, disks: list[DiskEvidence], *, until: datetime, hold: bool) -> Kept:
        self.asked.append((until, hold))
        locks = {d.evidence_id: {"copy": SnapshotLock(state="governance", until=until.isoformat())} for d in disks}
        return Kept(objects=7, extended=7, held=2, locks=locks, failures=list(self.failures))


def known(basis: Any = "open", *, days: float = DAYS, failures: tuple[str, ...] = ()) -> Retention:
    return Retention(basis=basis, until=NOW + timedelta(days=days), at=NOW, failures=failures)


@pytest.mark.parametrize(
    ("changes", "record", "expected"),
    [
        ({}, None, True),
        ({}, known(), False),
        ({}, known(days=51), False),
        ({}, known(days=49), True),
        ({}, known("closed"), True),
        ({}, known(failures=("x",)), True),
        (CLOSED, None, True),
        (CLOSED, known("open", days=999), True),
        (CLOSED, known("closed"), False),
        (CLOSED, known("closed", days=DAYS - 1), True),
        (CLOSED, known("closed", failures=("x",)), True),
        ({**CLOSED, "status": CaseStatus.OPEN}, known("closed"), True),
    ],
    ids=["never", "fresh", "half left", "less than half", "reopened", "failed", "closed before there was a record", "still as open", "done",
         "closed again later", "a part failed", "opened again"],
)  # fmt: skip
def test_a_case_is_due_when_its_evidence_would_not_be_kept_long_enough(
    changes: dict[str, Any], record: Retention | None, expected: bool
) -> None:
    assert due(case(**changes), record, days=DAYS, now=NOW) is expected


def test_the_end_counts_from_the_closing_or_from_now() -> None:
    later = NOW + timedelta(days=30)
    assert end(case(**CLOSED), days=DAYS, now=later) == NOW + timedelta(days=DAYS)
    assert end(case(), days=DAYS, now=later) == later + timedelta(days=DAYS)
    assert kept_until(NOW + timedelta(microseconds=7), days=1) == NOW + timedelta(days=1), "S3 keeps whole seconds"


def test_what_is_kept_is_recorded_in_case_ledger_and_evidence() -> None:
    recorder, until = FakeRecorder(), NOW + timedelta(days=DAYS)
    recorder.save_evidence(DiskEvidence(evidence_id="disk-vol-1", outcome=Outcome.ACQUIRED))
    for _ in range(2):
        retain(recorder, Keeping(), until=until, closed=True, hold=False)
    record = recorder.get(case_keys.RETENTION, Retention)
    assert record and (record.basis, record.until, record.objects, record.snapshots) == ("closed", until, 7, 1)
    assert recorder.ledger.actions() == [CustodyAction.RETENTION_SET], "repeating it is no new event"
    assert recorder.ledger.last(CustodyAction.RETENTION_SET).detail["until"].startswith("2027-03-04")
    disk = recorder.disk("disk-vol-1")
    assert disk and disk.lock["copy"].until == until.isoformat(), "the audit compares with this"


def test_what_cannot_be_kept_is_recorded_and_raised_and_due_again() -> None:
    recorder, until = FakeRecorder(), NOW + timedelta(days=DAYS)
    with pytest.raises(RetentionError, match=r"2 pieces .*a is denied; b is gone") as caught:
        retain(recorder, Keeping("a is denied", "b is gone"), until=until, closed=True, hold=False)
    assert caught.value.retryable and "evidence_retention" in caught.value.next_action
    assert due_cases(recorder.store, [case(**CLOSED)], days=DAYS, now=NOW) == [CASE_ID]
    retain(recorder, Keeping(), until=until, closed=True, hold=False)
    assert due_cases(recorder.store, [case(**CLOSED)], days=DAYS, now=NOW) == []
    assert recorder.ledger.actions() == [CustodyAction.RETENTION_SET] * 2


@pytest.mark.parametrize(("at", "expected"), [(None, False), (NOW, True)])
def test_holds_are_lifted_once_two_people_did_it(at: datetime | None, expected: bool) -> None:
    recorder = FakeRecorder()
    assert not lifted(recorder)
    lift = HoldLift(digest="0" * 64, objects=1, requester="a", reason="b", at=NOW, lifted_at=at)
    recorder.put(case_keys.HOLD_LIFT, lift)
    assert lifted(recorder) is expected
