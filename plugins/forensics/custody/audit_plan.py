"""What an audit reads today: by age and by a seeded sample, within a budget of requests and bytes. Pure.

What was never read comes first, then what was not read for ``every_days``, the oldest first; of the rest a sample, so large that each
object is read once in that time even when nothing is due. Whoever knows the budget alone cannot tell which objects the sample has.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import Field

from forensics.models.base import Model, Utc

# HeadObject (its lock) and GetObject (its bytes)
REQUESTS_PER_OBJECT = 2
_DAY = 86_400


class Budget(Model):
    """What one run may ask of S3: requests, and bytes that are read."""

    requests: int = Field(ge=0)
    size_bytes: int = Field(ge=0)


class AuditState(Model):
    """When each version of a case was last read and found as recorded: mark → day since 1970 (UTC)."""

    read: dict[str, int] = {}


class AuditPlan(Model):
    """What one run reads of one case; ``marks`` are names of versions."""

    run_id: str
    marks: tuple[str, ...] = ()


class Coverage(Model):
    """How far the evidence is read: ``due`` was never read, or not for ``every_days``; ``late`` is twice as old."""

    objects: int = 0
    covered: int = 0
    due: int = 0
    late: int = 0
    oldest_days: int = 0
    due_bytes: int = 0


@dataclass(frozen=True)
class Candidate:
    """A version that could be read; ``since`` is the day when it was last read, or else written."""

    case_id: str
    mark: str
    size_bytes: int
    since: int
    never: bool


def day_of(moment: datetime) -> int:
    """Days since 1970-01-01, UTC."""
    return int(moment.timestamp() // _DAY)


def candidate(case_id: str, mark: str, *, size_bytes: int, written_at: datetime, read: Mapping[str, int]) -> Candidate:
    """A version and what is known of its reading."""
    last = read.get(mark)
    return Candidate(case_id, mark, size_bytes, day_of(written_at) if last is None else last, last is None)


def select(
    found: Sequence[Candidate], *, budget: Budget, today: int, every_days: int, seed: str
) -> tuple[Candidate, ...]:
    """What is read today. An object larger than the whole budget is read alone on its day, so that it is read at all."""
    chosen: list[Candidate] = []
    requests = size = 0
    for item in _ordered(found, today=today, every_days=every_days, seed=seed):
        if requests + REQUESTS_PER_OBJECT > budget.requests:
            break
        if size + item.size_bytes > budget.size_bytes and (size or item.size_bytes <= budget.size_bytes):
            continue
        chosen.append(item)
        requests += REQUESTS_PER_OBJECT
        size += item.size_bytes
    return tuple(chosen)


def _ordered(found: Sequence[Candidate], *, today: int, every_days: int, seed: str) -> list[Candidate]:
    def lot(item: Candidate) -> str:
        return hashlib.sha256(f"{seed}\n{item.mark}".encode()).hexdigest()

    late = [c for c in found if today - c.since >= 2 * every_days]
    new = [c for c in found if c.never and c not in set(late)]
    due = [c for c in found if not c.never and every_days <= today - c.since < 2 * every_days]
    rest = [c for c in found if not c.never and today - c.since < every_days and c.since < today]
    sample = sorted(rest, key=lot)[: math.ceil(len(rest) / every_days)]
    return [
        *sorted(late, key=lambda c: (c.since, lot(c))),
        *sorted(new, key=lot),
        *sorted(due, key=lambda c: (c.since, lot(c))),
        *sample,
    ]


def coverage(found: Iterable[Candidate], *, today: int, every_days: int) -> Coverage:
    """How far these versions are read."""
    listed = list(found)
    ages = [today - c.since for c in listed]
    due = [c for c in listed if c.never or today - c.since >= every_days]
    return Coverage(
        objects=len(listed),
        covered=len(listed) - len(due),
        due=len(due),
        late=sum(age >= 2 * every_days for age in ages),
        oldest_days=max(ages, default=0),
        due_bytes=sum(c.size_bytes for c in due),
    )


class AuditedCase(Model):
    """One case in the summary of a run."""

    case_id: str
    at: Utc | None = None
    coverage: Coverage = Coverage()
    differences: int = 0


class AuditSummary(Model):
    """One run over all cases: what it was allowed, what it did, what is left."""

    at: Utc
    run_id: str
    budget: Budget
    every_days: int
    cases: int = 0
    audited: int = 0
    requests: int = 0
    read: int = 0
    read_bytes: int = 0
    differences: int = 0
    coverage: Coverage = Coverage()
    rows: tuple[AuditedCase, ...] = ()

    @property
    def share(self) -> float:
        """Which part of all objects was read within ``every_days``; 1 when there are none."""
        return self.coverage.covered / self.coverage.objects if self.coverage.objects else 1.0


def total(parts: Iterable[Coverage]) -> Coverage:
    """The coverage of several cases together."""
    listed = list(parts)
    return Coverage(
        objects=sum(c.objects for c in listed),
        covered=sum(c.covered for c in listed),
        due=sum(c.due for c in listed),
        late=sum(c.late for c in listed),
        oldest_days=max((c.oldest_days for c in listed), default=0),
        due_bytes=sum(c.due_bytes for c in listed),
    )
