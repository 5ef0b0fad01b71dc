"""Findings of a time in which none arrived: fetched from Security Hub and put into the queue as EventBridge would have.

Nothing is decided here: the intake takes them like any other, and a finding whose case exists joins it, so that a window may
overlap what has arrived, and be fetched again.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from forensics.aws.guardduty import GuardDutyGateway
from forensics.aws.securityhub import SecurityHubGateway
from forensics.aws.sqs import FindingQueue
from forensics.errors import FindingError
from forensics.intake.readers.envelope import GUARDDUTY, IMPORTED
from forensics.models.base import format_utc

# Security Hub deletes findings 90 days after their last change (user guide, "Security Hub findings").
LONGEST = timedelta(days=90)


@dataclass(frozen=True)
class Window:
    """The time in which findings were changed, both ends included."""

    start: datetime
    end: datetime

    @classmethod
    def of(cls, start: str, end: str, *, now: datetime) -> Window:
        """From two times in ISO 8601 with a zone; an empty end is now. Raises :class:`FindingError` that says what is wrong."""
        given = cls(_moment("start", start), _moment("end", end) if end else now)
        if given.start >= given.end:
            raise _wrong(f"{format_utc(given.start)} is not before {format_utc(given.end)}")
        if given.start < now - LONGEST:
            raise _wrong(
                f"{format_utc(given.start)} is more than {LONGEST.days} days ago: Security Hub has deleted what was not changed since"
            )
        return given


@dataclass(frozen=True)
class CatchUp:
    """How many findings were put into the queue; ``last`` is the time of the newest; ``cut``: there are more."""

    sent: int
    last: str
    cut: bool


def catch_up(hub: SecurityHubGateway, queue: FindingQueue, window: Window, *, limit: int) -> CatchUp:
    """Put at most ``limit`` findings of the window into the queue, the oldest change first."""
    sent, last = 0, ""
    for finding in hub.updated_between(window.start, window.end):
        if sent == limit:
            return CatchUp(sent, last, cut=True)
        queue.put_in(json.dumps(event(finding, account=hub.account_id, region=hub.region)))
        sent, last = sent + 1, str(finding.get("UpdatedAt", ""))
    return CatchUp(sent, last, cut=False)


def catch_up_guardduty(service: GuardDutyGateway, queue: FindingQueue, window: Window, *, limit: int) -> CatchUp:
    """The same from GuardDuty itself: for where Security Hub does not get its findings, or was the one that was down."""
    sent, last = 0, ""
    for finding in service.updated_between(window.start, window.end):
        if sent == limit:
            return CatchUp(sent, last, cut=True)
        queue.put_in(json.dumps(guardduty_event(finding, account=service.account_id, region=service.region)))
        sent, last = sent + 1, str(finding.get("updatedAt", ""))
    return CatchUp(sent, last, cut=False)


def guardduty_event(finding: Mapping[str, object], *, account: str, region: str) -> dict[str, object]:
    """The event in which GuardDuty sends a finding (GuardDuty user guide, "Processing GuardDuty findings with EventBridge")."""
    name, changed = str(finding.get("id", "")), str(finding.get("updatedAt", ""))
    return {
        "version": "0",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{account}|{region}|guardduty|{name}|{changed}")),
        "detail-type": GUARDDUTY,
        "source": "aws.guardduty",
        "account": account,
        "time": changed,
        "region": region,
        "resources": [],
        "detail": dict(finding),
    }


def event(finding: Mapping[str, object], *, account: str, region: str) -> dict[str, object]:
    """The event in which Security Hub sends a finding (EventBridge reference, "Security Hub Findings - Imported"); the same for the same change."""
    name, changed = str(finding.get("Id", "")), str(finding.get("UpdatedAt", ""))
    return {
        "version": "0",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{account}|{region}|{name}|{changed}")),
        "detail-type": IMPORTED,
        "source": "aws.securityhub",
        "account": account,
        "time": changed,
        "region": region,
        "resources": [f"{finding.get('ProductArn', '')}/{name}"],
        "detail": {"findings": [dict(finding)]},
    }


def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise _wrong(f"{name} {text[:40]!r} is no time: write 2026-11-30T08:00:00Z") from error
    if moment.tzinfo is None:
        raise _wrong(f"{name} {text[:40]!r} has no zone: write 2026-11-30T08:00:00Z")
    return moment


def _wrong(why: str) -> FindingError:
    return FindingError(
        f"findings cannot be fetched for this time: {why}",
        next_action="start the DAG finding_catchup with another time",
    )
