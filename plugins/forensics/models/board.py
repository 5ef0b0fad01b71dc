"""What the board finds a case by: one small value beside the case's head record, so that no list has to read whole cases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from forensics.models.base import Utc
from forensics.models.case import Case, CaseStatus
from forensics.models.outside import Outside


class Need(StrEnum):
    """Why a case needs a person, the most pressing first."""

    ANSWER = "answer"
    CONTAIN = "contain"
    DRIFT = "drift"
    FAILED = "failed"
    GAPS = "gaps"


class Stage(StrEnum):
    """What people wait for in a case, in this order."""

    OPENED = "opened"
    CONTAINED = "contained"
    ANSWERED = "answered"
    REPORTED = "reported"


class BoardLine(Outside):
    """What steps have left of a case for lists, as of ``at``.

    ``contained`` are the words of the board's column, ``playbook`` and ``owner`` (the person who took the case, else a tag of
    the target) are empty where there is none, ``tags`` are those that people gave the case;
    ``times`` are seconds from the reception to each stage that was reached; ``until`` is the end of the open question; ``acts``: somebody has to act on the containment.
    """

    contained: str = Field(default="", max_length=60)
    gaps: int = 0
    playbook: str = Field(default="", max_length=60)
    owner: str = Field(default="", max_length=100)
    tags: tuple[str, ...] = ()
    asks: bool = False
    until: Utc | None = None
    acts: bool = False
    drifted: bool = False
    times: dict[Stage, float] = Field(default_factory=dict)
    at: Utc


@dataclass(frozen=True)
class Entry:
    """A case in a list; ``line`` is None for cases of earlier releases and for those of which no step has ended yet."""

    case: Case
    line: BoardLine | None = None

    def needs(self, now: datetime) -> tuple[Need, ...]:
        """Why the case needs a person, the most pressing first; empty when it does not."""
        line, found = self.line, []
        if line and line.asks and (line.until is None or line.until > now):
            found.append(Need.ANSWER)
        if line and line.acts:
            found.append(Need.CONTAIN)
        if line and line.drifted:
            found.append(Need.DRIFT)
        if self.case.status is CaseStatus.FAILED:
            found.append(Need.FAILED)
        if self.case.status is CaseStatus.CLOSED_WITH_GAPS:
            found.append(Need.GAPS)
        return tuple(found)
