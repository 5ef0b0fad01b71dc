"""What is read today: new objects at once, each object in time, a sample of the rest, never more than the budget."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from forensics.custody.audit_plan import (
    AuditSummary,
    Budget,
    Candidate,
    candidate,
    coverage,
    day_of,
    select,
    total,
)

GIB = 1024**3
TODAY, EVERY = 20_000, 90


def item(name: str, *, age: int = 0, size: int = 1, never: bool = False) -> Candidate:
    return Candidate("fc-1", name, size, TODAY - age, never)


def names(found: list[Candidate], *, requests: int = 1000, size: int = 1000, seed: str = "run") -> list[str]:
    budget = Budget(requests=requests, size_bytes=size)
    return [c.mark for c in select(found, budget=budget, today=TODAY, every_days=EVERY, seed=seed)]


def test_late_then_new_then_due_the_oldest_first() -> None:
    found = [item("due", age=91), item("older", age=120), item("late", age=180), item("new", never=True), item("today")]
    assert names(found) == ["late", "new", "older", "due"]


def test_of_the_rest_a_sample_that_the_budget_does_not_tell() -> None:
    found = [item(f"o{n}", age=1 + n % 89) for n in range(900)]
    one, again, other = (names(found, seed=seed) for seed in ("a", "a", "b"))
    assert len(one) == 10 and one == again and one != other


@pytest.mark.parametrize(("requests", "size", "number"), [(5, 1000, 2), (1000, 3, 3), (0, 1000, 0), (1, 1000, 0)])
def test_neither_requests_nor_bytes_go_beyond_the_budget(requests: int, size: int, number: int) -> None:
    found = [item(f"o{n}", age=100) for n in range(50)]
    assert len(names(found, requests=requests, size=size)) == number


def test_a_small_object_is_read_beside_one_that_does_not_fit() -> None:
    assert names([item("big", age=100, size=900), item("huge", age=99, size=500), item("small", age=98)]) == [
        "big",
        "small",
    ]


def test_an_object_larger_than_the_whole_budget_is_read_alone_on_its_day() -> None:
    assert names([item("image", age=100, size=5000), item("small", age=99)]) == ["image"]


def test_within_its_days_everything_is_read_when_the_budget_allows_it() -> None:
    """1,200 objects, 90 days, no more than 20 a day: each is read, and none waits twice as long as it should."""
    chosen = random.Random(7)
    last: dict[str, int | None] = {f"o{n}": None for n in range(1200)}
    written = {name: TODAY - chosen.randrange(30) for name in last}
    worst = 0
    for day in range(TODAY, TODAY + 400):
        found = [
            Candidate("c", n, 1, w if (seen := last[n]) is None else seen, last[n] is None) for n, w in written.items()
        ]
        budget = Budget(requests=40, size_bytes=GIB)
        for read in select(found, budget=budget, today=day, every_days=EVERY, seed=str(day)):
            last[read.mark] = day
        if day > TODAY + 100:
            worst = max(worst, *(day - seen for seen in last.values() if seen is not None))
    assert all(last.values()) and worst <= EVERY + 1


def test_coverage_counts_what_is_covered_due_and_late() -> None:
    found = [item("fresh", age=3), item("due", age=90, size=7), item("late", age=200), item("new", never=True)]
    seen = coverage(found, today=TODAY, every_days=EVERY)
    assert (seen.objects, seen.covered, seen.due, seen.late, seen.oldest_days, seen.due_bytes) == (4, 1, 3, 1, 200, 9)
    both = total([seen, seen])
    assert (both.objects, both.due, both.oldest_days) == (8, 6, 200)
    summary = AuditSummary(
        at=datetime(2026, 11, 24, tzinfo=UTC),
        run_id="r",
        budget=Budget(requests=1, size_bytes=1),
        every_days=90,
        coverage=both,
    )
    assert summary.share == 0.25
    assert summary.model_copy(update={"coverage": total([])}).share == 1.0


def test_a_version_counts_from_its_writing_until_it_is_read() -> None:
    written = datetime(2026, 11, 24, 23, 59, tzinfo=UTC)
    fresh = candidate("fc-1", "m", size_bytes=3, written_at=written, read={})
    assert (fresh.since, fresh.never) == (day_of(written), True)
    assert candidate("fc-1", "m", size_bytes=3, written_at=written, read={"m": 9}).since == 9
