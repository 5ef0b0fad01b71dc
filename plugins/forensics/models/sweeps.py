"""A sweep: indicators that are looked for on instances and snapshots, and what became of each target."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from forensics.models.base import AccountId, CaseId, Region, SubjectId, Utc
from forensics.models.indicators import Indicator, IndicatorKind
from forensics.models.outside import Outside
from forensics.models.status_lines import DocumentStatus, ShownCount, Text

MOST_HITS = 60  # that one target's answer has
SWEEP_ID = r"^sw-[0-9]{8}-[0-9a-f]{10}$"


class SweepLimits(Outside):
    """What a sweep may read of one target: ``files`` and ``mib`` are hashed on an instance, ``blocks`` of 512 KiB read of a snapshot."""

    files: int = Field(default=200_000, ge=1, le=2_000_000)
    mib: int = Field(default=20_480, ge=1, le=1_000_000)
    seconds: int = Field(default=900, ge=30, le=3600)
    blocks: int = Field(default=16_384, ge=1, le=1_000_000)


class SweepTarget(Outside):
    """An instance or a snapshot, and where it is."""

    account_id: AccountId
    region: Region
    subject: SubjectId

    @property
    def name(self) -> str:
        """Account, Region and id: how people write it, and the key of its record."""
        return f"{self.account_id}/{self.region}/{self.subject}"


class SweepOrder(Outside):
    """What a person asked for; ``outside``: (target, why) of what was refused at once, ``unsearched``: indicators nobody can look for."""

    sweep_id: str = Field(pattern=SWEEP_ID)
    at: Utc
    asked_by: str = Field(default="", max_length=500)
    reason: str = Field(default="", max_length=500)
    case_id: CaseId | None = None
    indicators: tuple[Indicator, ...] = Field(min_length=1)
    unsearched: tuple[str, ...] = ()
    targets: tuple[SweepTarget, ...] = Field(min_length=1)
    limits: SweepLimits = SweepLimits()


class SweepState(StrEnum):
    """How a target ended. Only ``NOT_FOUND`` says that everything the sweep looks at was looked at."""

    FOUND = "found"
    NOT_FOUND = "not found"
    INCOMPLETE = "nothing found, not all examined"
    NOT_EXAMINED = "not examined"


class SweepHit(Outside):
    """An indicator that was found, and where, as the target says it."""

    kind: IndicatorKind
    value: str = Field(max_length=300)
    at: str = Field(max_length=300)


class SweptTarget(Outside):
    """What became of one target. ``reason``: why it was not examined, or what was left out; ``looked``: what was read."""

    target: SweepTarget
    state: SweepState
    reason: str = Field(default="", max_length=2000)
    looked: str = Field(default="", max_length=500)
    hits: tuple[SweepHit, ...] = ()
    more: int = Field(default=0, ge=0)
    command_id: str = Field(default="", max_length=100)
    document: str = Field(default="", max_length=200)
    document_sha256: str = Field(default="", max_length=64)
    lost: str = Field(
        default="", max_length=100, description="a command that no agent took: it is not waited for again"
    )
    ended_at: Utc | None = None


class SweepReport(Outside):
    """A sweep as a whole, short enough for one item: of each target the first hits."""

    order: SweepOrder
    ended_at: Utc
    targets: tuple[SweptTarget, ...]

    def of(self, state: SweepState) -> tuple[SweptTarget, ...]:
        """The targets that ended so."""
        return tuple(t for t in self.targets if t.state is state)

    @property
    def headline(self) -> str:
        """Numbers of targets by how they ended."""
        return ", ".join(f"{len(found)} {state.value}" for state in SweepState if (found := self.of(state)))


def _count(value: object) -> object:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**50 else 0


Count = Annotated[int, BeforeValidator(_count)]


class SweepClaim(Outside):
    """A hit as the host says it: ``n`` is the place of the indicator in what it was given, from 1."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Literal["hash", "name", "text", "connection", "user"]
    n: int = Field(strict=True, ge=1, le=200)
    at: str = Field(default="", max_length=400)


class SweepStatus(DocumentStatus):
    """``sweep``: what a host says of itself. ``left``: what it did not look at, and why."""

    status: Literal["ok", "partial"]
    case_id: Text = ""
    files: Count = 0
    mib: Count = 0
    processes: Count = 0
    connections: Count = 0
    seconds: ShownCount = None
    left: Text = ""
    more: Count = 0
    found: tuple[SweepClaim, ...] = Field(default=(), max_length=MOST_HITS)
