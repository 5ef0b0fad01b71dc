"""What a preflight found: one line for each thing that was tried, and what is to be done about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import Self

from pydantic import Field

from forensics.models.base import AccountId, Model, Region, Utc
from forensics.models.outside import Outside

# An item of the case store holds 400 KB: of the lines that are in order this many are kept.
OK_LINES_KEPT = 400
_TEXT = 600


class CheckStatus(StrEnum):
    """How one check ended."""

    OK = "ok"
    BROKEN = "broken"
    NOT_TRIED = "not tried"


class CheckResult(Outside):
    """One line: what was tried on what, how it ended, and what a person does next (empty when it is in order)."""

    check: str
    subject: str = ""
    status: CheckStatus
    detail: str = ""
    next_action: str = ""
    seconds: float = 0.0

    def cut(self) -> CheckResult:
        """The line with texts of bounded length."""
        return self.model_copy(update={"detail": self.detail[:_TEXT], "next_action": self.next_action[:_TEXT]})


class PreflightReport(Model):
    """One preflight as it is stored and shown; ``counts`` are of all lines, also of those that are not kept."""

    run: str
    part: str = Field(description="quick or full")
    at: Utc
    seconds: float
    counts: dict[CheckStatus, int]
    results: tuple[CheckResult, ...]

    @classmethod
    def of(cls, results: Iterable[CheckResult], *, run: str, part: str, at: Utc, seconds: float) -> Self:
        """The report of these lines: the broken ones first, then what was not tried."""
        order = [CheckStatus.BROKEN, CheckStatus.NOT_TRIED, CheckStatus.OK]
        lines = sorted((r.cut() for r in results), key=lambda r: (order.index(r.status), r.check, r.subject))
        counts = Counter(line.status for line in lines)
        kept = [r for r in lines if r.status is not CheckStatus.OK][: 2 * OK_LINES_KEPT]
        kept += [r for r in lines if r.status is CheckStatus.OK][:OK_LINES_KEPT]
        return cls(
            run=run,
            part=part,
            at=at,
            seconds=round(seconds, 1),
            counts={status: counts[status] for status in order},
            results=tuple(kept),
        )

    @property
    def broken(self) -> tuple[CheckResult, ...]:
        """The lines that need somebody."""
        return tuple(r for r in self.results if r.status is CheckStatus.BROKEN)

    @property
    def headline(self) -> str:
        """One sentence for people."""
        n = self.counts
        return f"{n[CheckStatus.BROKEN]} broken, {n[CheckStatus.OK]} in order, {n[CheckStatus.NOT_TRIED]} not tried"


class Heartbeat(Model):
    """The last test event that came all the way from the security account through bus, rule and queue to the intake."""

    sent_at: Utc
    received_at: Utc
    account_id: AccountId
    region: Region | None = None


class WaitingSince(Model):
    """When a preflight first looked for a test event and none had ever come."""

    at: Utc


class PagesReach(Model):
    """What the web server itself reached when somebody last opened the preflight's page."""

    at: Utc
    results: tuple[CheckResult, ...]


class UnreadyInstance(Outside):
    """A running instance that could not be captured today; each reason with what to do about it."""

    account_id: AccountId
    region: Region
    instance_id: str
    name: str = ""
    memory: tuple[str, ...] = Field(default=(), description="why its memory could not be captured")
    disk: tuple[str, ...] = Field(default=(), description="why its disks could not be copied")


class ReadinessReport(Outside):
    """The readiness of the member accounts' running instances; ``problems`` name what could not be asked."""

    at: Utc
    instances: int
    unready: tuple[UnreadyInstance, ...]
    unready_count: int
    problems: tuple[str, ...] = ()
