"""When a step began: what it names or counts by time is the same in every try that Airflow makes of it.

A worker that dies after it has stored an object or set a retention is followed by one that knows nothing of it. With names and ends
from its own clock the second would make a second object, a second retention, a second event of the ledger.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from forensics import case_keys
from forensics.case.recorder import CaseRecorder
from forensics.models.base import format_utc


@dataclass(frozen=True)
class Beginning:
    """``first``: no other try, and no twin of this one, has begun before."""

    at: datetime
    first: bool


def begin(recorder: CaseRecorder) -> Beginning:
    """When the recorder's step began first, in this run and since it was last cleared. Safe to repeat.

    Without a run (outside Airflow) every call is a beginning.
    """
    now, run = datetime.now(UTC), recorder.run
    if not run.run_id:
        return Beginning(now, first=True)
    mark = hashlib.sha256(f"{run.dag_id}|{run.run_id}|{run.order}".encode()).hexdigest()[:16]
    store, key = recorder.gateways.store, f"{case_keys.BEGUN}{recorder.step}#{mark}"
    if store.put_once(recorder.case_id, key, {"at": format_utc(now)}):
        return Beginning(now, first=True)
    known = store.data(recorder.case_id, key)
    at = str(known["at"]) if isinstance(known, dict) else format_utc(now)
    return Beginning(datetime.fromisoformat(at), first=False)
