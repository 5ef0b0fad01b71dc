"""What is done about an open case whose run does nothing more. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from forensics.models.base import Model, Utc
from forensics.models.case import Case

# A case is not looked at before: its run may not have been triggered yet, or not have said that it has the case.
PATIENCE: Final = timedelta(minutes=10)
# Restarts that are older count no more.
FORGOTTEN: Final = timedelta(days=1)


class RunLoss(StrEnum):
    """Why the run of an open case does nothing more."""

    NEVER_STARTED = "never_started"
    DELETED = "deleted"
    ENDED = "ended"


class Resumption(Model):
    """The last time that a case was started again; written before the run is, so that a killed worker's successor knows it."""

    number: int = 0
    tries: int = 0
    run_id: str = ""
    lost: RunLoss = RunLoss.ENDED
    lost_run: str = ""
    started: bool = True
    at: Utc


def run_of(case: Case) -> str:
    """The id of the run that has the case, or should have it."""
    return case.run_id or case.case_id


def is_settling(case: Case, last: Resumption | None, *, now: datetime) -> bool:
    """Whether it is too early to say that the case's run is lost."""
    began = max(case.opened_at, last.at) if last and last.started else case.opened_at
    # a case from a clock that was far ahead is not left alone until that time has come
    return abs(now - began) < PATIENCE


def next_resumption(
    case: Case, last: Resumption | None, *, lost: RunLoss, now: datetime, limit: int
) -> Resumption | None:
    """The next try for a case that has lost its run; None when no try is left.

    A try that was recorded and not started is the next one.
    """
    if last and not last.started:
        return last
    number, tries = (last.number, last.tries) if last else (0, 0)
    if last and now - last.at > FORGOTTEN:
        tries = 0
    if tries >= limit:
        return None
    return Resumption(
        number=number + 1,
        tries=tries + 1,
        run_id=f"{case.case_id}-again-{number + 1}",
        lost=lost,
        lost_run=run_of(case),
        started=False,
        at=now,
    )
