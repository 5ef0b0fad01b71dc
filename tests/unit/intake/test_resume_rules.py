"""What is done about an open case whose run does nothing more."""

from __future__ import annotations

from datetime import timedelta

from forensics.intake.resume_rules import FORGOTTEN, PATIENCE, Resumption, RunLoss, is_settling, next_resumption, run_of
from tests.unit.builders import CASE_ID, NOW, case

MINUTE = timedelta(minutes=1)
LOST = case(run_id="manual__1")


def after(last: Resumption | None, *, at: timedelta, limit: int = 2) -> Resumption | None:
    return next_resumption(LOST, last, lost=RunLoss.ENDED, now=NOW + at, limit=limit)


def started(made: Resumption | None) -> Resumption:
    assert made is not None
    return made.model_copy(update={"started": True})


def test_the_run_of_a_case_is_the_one_it_names_else_the_one_with_its_id() -> None:
    assert (run_of(LOST), run_of(case(run_id=None))) == ("manual__1", CASE_ID)


def test_a_new_case_and_one_just_started_again_are_left_alone() -> None:
    assert is_settling(LOST, None, now=NOW + PATIENCE - MINUTE)
    assert not is_settling(LOST, None, now=NOW + PATIENCE)
    again = after(None, at=timedelta(hours=1))
    assert not is_settling(LOST, again, now=NOW + timedelta(hours=1)), "recorded, but never started"
    assert is_settling(LOST, started(again), now=NOW + timedelta(hours=1, minutes=5))
    assert not is_settling(LOST, started(again), now=NOW + timedelta(hours=1) + PATIENCE)


def test_each_try_has_a_run_of_its_own_and_they_are_bounded() -> None:
    first = after(None, at=timedelta(hours=1))
    second = after(started(first), at=timedelta(hours=2))
    assert first and second
    assert [(r.run_id, r.tries, r.lost_run, r.started) for r in (first, second)] == [
        (f"{CASE_ID}-again-1", 1, "manual__1", False),
        (f"{CASE_ID}-again-2", 2, "manual__1", False),
    ]
    assert after(started(second), at=timedelta(hours=3)) is None
    assert after(None, at=MINUTE, limit=0) is None


def test_a_try_that_was_not_started_is_the_next_one_also_when_it_was_the_last() -> None:
    first = after(None, at=timedelta(hours=1), limit=1)
    assert after(first, at=timedelta(hours=2), limit=1) == first


def test_tries_of_an_earlier_day_count_no_more_but_their_runs_keep_their_names() -> None:
    second = started(after(started(after(None, at=timedelta())), at=timedelta(hours=1)))
    later = after(second, at=timedelta(hours=1) + FORGOTTEN + MINUTE)
    assert later and (later.run_id, later.tries) == (f"{CASE_ID}-again-3", 1)
