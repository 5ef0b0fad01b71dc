"""Evidence is held while its case is open, and its retention counts from the closing (docs/custody.md, "How long")."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.case.recorder import CaseRecorder
from forensics.custody.holding import Kept
from forensics.errors import RetentionError
from forensics.models.case import Case, CaseStatus, TimelineKind
from forensics.models.custody import CustodyAction, HoldLift, Retention
from forensics.models.evidence import DiskEvidence
from forensics.printable import count
from forensics.settings import DRILL_RETENTION_DAYS


class Holding(Protocol):
    """What :class:`forensics.custody.holding.EvidenceHolding` does."""

    def keep(self, disks: list[DiskEvidence], *, until: datetime, hold: bool) -> Kept:
        """Keep all evidence at least until then."""
        ...


def due(case: Case, known: Retention | None, *, days: int, now: datetime) -> bool:
    """Whether the retention of a case has to be seen to.

    Open: less than half of the retention is left, or it counts from an earlier closing. Closed: it does not yet count
    from the closing, or a part of it failed.
    """
    if known is None or known.failures:
        return True
    days = DRILL_RETENTION_DAYS if case.drill else days
    if case.status is CaseStatus.OPEN or case.closed_at is None:
        return known.basis == "closed" or known.until - now < timedelta(days=days) / 2
    return known.basis == "open" or known.until < end(case, days=days, now=now)


def end(case: Case, *, days: int, now: datetime) -> datetime:
    """Until when the evidence is kept: so many days from the closing, or from now while the case is open."""
    closed = case.status is not CaseStatus.OPEN and case.closed_at
    return kept_until(closed or now, days=days)


def kept_until(moment: datetime, *, days: int) -> datetime:
    """So many days after a moment, in whole seconds: what S3 and EC2 keep of a time."""
    return (moment + timedelta(days=days)).replace(microsecond=0)


def retain(recorder: CaseRecorder, holding: Holding, *, until: datetime, closed: bool, hold: bool) -> Retention:
    """Keep the evidence, record it in case and ledger. Safe to repeat.

    Raises :class:`RetentionError` after the record when a part could not be kept; the next run tries that part again.
    """
    kept = holding.keep(recorder.disks(), until=until, hold=hold)
    for evidence_id, locks in kept.locks.items():
        known = recorder.disk(evidence_id)
        if known and any(known.lock.get(name) != lock for name, lock in locks.items()):
            recorder.save_evidence(known.model_copy(update={"lock": {**known.lock, **locks}}))
    retention = Retention(
        basis="closed" if closed else "open",
        until=until,
        at=datetime.now(UTC),
        objects=kept.objects,
        snapshots=kept.snapshots,
        held=kept.held,
        failures=tuple(problem[:500] for problem in kept.failures[:50]),
    )
    recorder.put(case_keys.RETENTION, retention)
    recorder.custody(
        CustodyAction.RETENTION_SET,
        detail=retention.model_dump(mode="json", exclude={"at"}),
        once=f"retention-{retention.basis}-{until.isoformat()}-{len(kept.failures)}",
    )
    recorder.note(
        f"evidence is kept until {until:%Y-%m-%d %H:%M} UTC ({'from the closing' if closed else 'the case is open'}): "
        f"{count(kept.objects, 'object')}, {count(kept.snapshots, 'snapshot')}, {len(kept.failures)} failed",
        kind=TimelineKind.CUSTODY,
    )
    if kept.failures:
        named = "; ".join(kept.failures[:5])
        msg = f"{count(len(kept.failures), 'piece')} of evidence not kept until {until:%Y-%m-%d}: {named}"
        raise RetentionError(msg)
    return retention


def lifted(recorder: CaseRecorder) -> bool:
    """Whether two people have lifted the legal holds of this case (and it was not opened again since)."""
    found = recorder.get(case_keys.HOLD_LIFT, HoldLift)
    return found is not None and found.lifted_at is not None


def due_cases(store: CaseStore, cases: Iterable[Case], *, days: int, now: datetime) -> list[str]:
    """The ids of the cases whose retention has to be seen to."""
    return [
        case.case_id
        for case in cases
        if due(case, store.get(case.case_id, case_keys.RETENTION, Retention), days=days, now=now)
    ]
