"""The product's own figures, every five minutes: what is open, what waits for a person, what stands still, what has drifted, what ends soon.

Alarms and the dashboard read them (infra/cloudformation/case-alarms.yaml); docs/runbooks.md says what to do about each.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.case.waiting import all_waiting
from forensics.containment.drift_rules import Drift
from forensics.containment.watch_list import watched_cases
from forensics.intake.standing_rules import RunProgress
from forensics.models.case import Case
from forensics.models.custody import Retention

# evidence_retention locks again when half of the retention is left: a quarter says that it has not run for long, or cannot.
LEFT_OF_RETENTION = 4


def figures(store: CaseStore, *, retention_days: int, now: datetime) -> dict[str, float]:
    """Metric → value, all counts but those whose names say hours or minutes."""
    cases = [store.case(case_id) for case_id in store.open_cases()]
    waiting = [w for w in all_waiting(store) if w.until is None or w.until > now]
    oldest = max((now - case.opened_at for case in cases), default=timedelta())
    longest = max((now - w.since for w in waiting), default=timedelta())
    return {
        "OpenCases": len(cases),
        "OldestOpenCaseHours": round(oldest / timedelta(hours=1), 2),
        "WaitsForPerson": len(waiting),
        "WaitsForPersonMinutes": round(longest / timedelta(minutes=1), 1),
        "RunsStandStill": sum(_stands_still(store, case) for case in cases),
        "TargetsDrifted": sum(_has_drifted(store, case_id) for case_id in watched_cases(store)),
        "LocksEndSoon": sum(_ends_soon(store, case, days=retention_days, now=now) for case in cases),
    }


def _stands_still(store: CaseStore, case: Case) -> bool:
    """Whether the watchdog has told people that a task of the case's run stands still, and it still does."""
    progress = store.get(case.case_id, case_keys.RUN_PROGRESS, RunProgress)
    return progress is not None and any(stay.told for stay in progress.tasks.values())


def _has_drifted(store: CaseStore, case_id: str) -> bool:
    drift = store.get(case_id, case_keys.DRIFT, Drift)
    return drift is not None and bool(drift.items)


def _ends_soon(store: CaseStore, case: Case, *, days: int, now: datetime) -> bool:
    known = store.get(case.case_id, case_keys.RETENTION, Retention)
    # nothing is recorded before the first run of evidence_retention: what was written has its whole time left
    until = known.until if known is not None else case.opened_at + timedelta(days=days)
    return until - now < timedelta(days=days) / LEFT_OF_RETENTION
