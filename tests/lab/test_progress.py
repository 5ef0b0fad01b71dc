"""Waiting by progress, on a clock that only moves when somebody sleeps."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lab.progress import LIMIT, QUIET, QUIET_UNWATCHED, ProgressWatch, StandstillError, wait_until


class FakeClock:
    """Time that passes by sleeping alone."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_returns_the_first_true_value(clock: FakeClock) -> None:
    answers = iter([None, "", 0, "there"])
    assert wait_until(lambda: next(answers), what="an answer", clock=clock) == "there"
    assert clock.time == pytest.approx(1000.6)


def test_continues_for_hours_while_something_moves(clock: FakeClock) -> None:
    """One change every ten minutes, for three hours: slow, and no failure."""
    end = 1000 + 3 * 3600
    done = wait_until(
        lambda: clock.time >= end,
        what="the end",
        progress=lambda: {"parts": int(clock.time // 600)},
        pause=30,
        clock=clock,
    )
    assert done and clock.time >= end


def test_fails_once_nothing_has_moved_for_the_quiet_time(clock: FakeClock) -> None:
    def progress() -> dict[str, str]:
        moving = min(int(clock.time - 1000) // 60, 5)  # stops after five minutes
        return {"capture": f"part {moving}", "snapshot": "success", "report": "queued"}

    with pytest.raises(StandstillError) as failure:
        wait_until(
            lambda: False,
            what="run r1 to end",
            progress=progress,
            quiet=timedelta(minutes=10),
            finished=lambda value: value == "success",
            pause=1,
            clock=clock,
        )
    assert clock.time == pytest.approx(1000 + 900, abs=3)
    assert str(failure.value) == (
        "waited 15 min for run r1 to end: nothing has changed for 10 min. "
        "Last change: capture: part 4 → part 5 (10 min ago). Standing still: capture: part 5; report: queued."
    )


def test_a_wait_that_never_saw_a_change_says_so(clock: FakeClock) -> None:
    with pytest.raises(
        StandstillError,
        match=r"waited 3 min for the port: nothing has changed for 3 min\. Last change: none was seen\.$",
    ):
        wait_until(lambda: False, what="the port", pause=1, clock=clock)
    assert clock.time - 1000 == pytest.approx(QUIET_UNWATCHED.total_seconds(), abs=2)


def test_entries_that_come_and_go_are_changes(clock: FakeClock) -> None:
    watch = ProgressWatch("the cases", quiet=timedelta(seconds=50), clock=clock)
    for snapshot in ({"a": 1}, {"a": 1, "b": 1}, {"b": 1}):
        watch.see(snapshot)
        clock.sleep(40)
    watch.see({"b": 1})
    clock.sleep(40)
    with pytest.raises(StandstillError, match=r"Last change: a: 1 → nothing .*Standing still: b: 1\."):
        watch.see({"b": 1})


def test_endless_motion_meets_the_limit(clock: FakeClock) -> None:
    with pytest.raises(
        StandstillError, match=r"waited 4\.0 h for the end: things still change, but 4\.0 h is the limit"
    ):
        wait_until(lambda: False, what="the end", progress=lambda: int(clock.time), pause=60, clock=clock)
    assert clock.time - 1000 == pytest.approx(LIMIT.total_seconds(), abs=120)


def test_a_waiter_that_was_stopped_itself_looks_again_first(clock: FakeClock) -> None:
    """The machine was suspended between two looks: that is not a standstill."""
    watch = ProgressWatch("the run", quiet=QUIET, clock=clock)
    watch.see("started")
    clock.sleep(2 * QUIET.total_seconds())
    watch.see("started")
    watch.see("running")
    clock.sleep(1)
    watch.see("running")


def test_long_lists_are_cut(clock: FakeClock) -> None:
    tasks = {f"task-{n}": "running" for n in range(40)}
    with pytest.raises(StandstillError, match=r"task-24: running and 15 more\.$"):
        wait_until(lambda: False, what="x", progress=lambda: tasks, quiet=timedelta(seconds=9), pause=3, clock=clock)


def test_errors_of_the_condition_are_not_swallowed(clock: FakeClock) -> None:
    def broken() -> bool:
        raise ValueError("the stack has died")

    with pytest.raises(ValueError, match="the stack has died"):
        wait_until(broken, what="x", clock=clock)
