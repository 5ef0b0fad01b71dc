"""The one loop in which the case waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from forensics.aws import polling as base
from forensics.aws.look_budget import LookBudget
from forensics.aws.polling import PollTrigger, WaitResult
from forensics.aws.visibility import when_visible
from forensics.errors import AccessDeniedError, AwsError, ForensicsError, ResourceGoneError, ThrottledError
from tests import virtual_time
from tests.virtual_time import Inline, VirtualLoop


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No event is held back, and no look stands in line, except where a test is about that."""
    monkeypatch.setattr(base, "RESUME_AFTER", 0.0)
    monkeypatch.setattr(base, "_BUDGET", LookBudget(per_second=1e6))


class Scripted(PollTrigger):
    """Answers with what a test has written down, then with the last of it for ever."""

    def __init__(self, *answers: Any, deadline: float | None = None, ends_task: bool = False) -> None:
        super().__init__(poll=0.001, deadline=time.time() + 30 if deadline is None else deadline, ends_task=ends_task)
        self.answers = list(answers)
        self.looks = 0

    def arguments(self) -> dict[str, Any]:
        """Nothing more."""
        return {}

    def waiting_for(self) -> str:
        """For the messages."""
        return "a scripted thing"

    def check(self) -> WaitResult | None:
        """The next answer."""
        self.looks += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


GOOD = WaitResult(ok=True, payload={"snapshots": ["snap-1"]})


def events(trigger: PollTrigger) -> list[TriggerEvent]:
    """Everything that the trigger yields."""

    async def collect() -> list[TriggerEvent]:
        return [event async for event in trigger.run()]

    return asyncio.run(asyncio.wait_for(collect(), 30))


def test_success_resumes_the_task_with_the_payload() -> None:
    (event,) = events(Scripted(None, None, GOOD))
    assert type(event) is TriggerEvent
    assert event.payload == {"ok": True, "snapshots": ["snap-1"]}


def test_success_ends_the_task_when_nothing_is_left_to_do() -> None:
    (event,) = events(Scripted(None, GOOD, ends_task=True))
    assert isinstance(event, TaskSuccessEvent)
    assert event.xcoms == {"return_value": {"snapshots": ["snap-1"]}}


@pytest.mark.parametrize("ends_task", [True, False])
def test_a_failure_always_resumes_the_task_so_that_it_is_recorded(ends_task: bool) -> None:
    (event,) = events(Scripted(WaitResult(ok=False, payload={"cause": "x"}), ends_task=ends_task))
    assert type(event) is TriggerEvent
    assert event.payload == {"ok": False, "cause": "x"}


@pytest.mark.parametrize("ends_task", [True, False])
def test_the_deadline_fails_with_what_was_awaited(ends_task: bool) -> None:
    (event,) = events(Scripted(None, deadline=time.time() - 1, ends_task=ends_task))
    assert event.payload["ok"] is False
    assert event.payload["cause"] == "timed out waiting for a scripted thing"
    assert event.payload["next_action"]


def test_a_thing_that_is_ready_after_the_deadline_is_still_ready() -> None:
    (event,) = events(Scripted(GOOD, deadline=time.time() - 1))
    assert event.payload["ok"] is True


@pytest.mark.parametrize("error", [ThrottledError("slow"), AwsError("500"), AccessDeniedError("expired")])
def test_errors_that_pass_are_waited_out(error: AwsError) -> None:
    trigger = Scripted(*[error] * (base.MAX_ERRORS - 1), GOOD)
    assert events(trigger)[0].payload["ok"] is True
    assert trigger.looks == base.MAX_ERRORS


def test_errors_without_end_fail_after_the_limit() -> None:
    trigger = Scripted(AccessDeniedError("AWS answered AccessDenied"))
    (event,) = events(trigger)
    assert event.payload["ok"] is False
    assert "AccessDenied" in event.payload["cause"] and "policy" in event.payload["next_action"]
    assert trigger.looks == base.MAX_ERRORS


def test_only_errors_in_a_row_count() -> None:
    almost = [AwsError("500")] * (base.MAX_ERRORS - 1)
    trigger = Scripted(*almost, None, *almost, GOOD)
    assert events(trigger)[0].payload["ok"] is True


@pytest.mark.parametrize("error", [ResourceGoneError("snap-1 is gone"), ForensicsError("in state error")])
def test_what_a_repetition_cannot_fix_fails_at_once(error: ForensicsError) -> None:
    trigger = Scripted(error)
    (event,) = events(trigger)
    assert event.payload == {"ok": False, "cause": str(error), "next_action": error.next_action}
    assert trigger.looks == 1


def test_looking_does_not_stop_the_triggerers_loop() -> None:
    class Slow(Scripted):
        def check(self) -> WaitResult | None:
            time.sleep(0.2)
            return GOOD

    async def both() -> int:
        ticks = 0
        waiting = asyncio.ensure_future(anext(Slow(None).run()))
        while not waiting.done():
            ticks += 1
            await asyncio.sleep(0.01)
        return ticks

    assert asyncio.run(both()) > 3


def test_an_event_that_starts_the_task_again_is_held_back_and_one_that_ends_it_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(base, "RESUME_AFTER", 300.0)
    monkeypatch.setattr(base, "_POOL", Inline())

    def held_back(trigger: PollTrigger) -> float:
        async def first(loop: VirtualLoop) -> float:
            async for _ in trigger.run():
                break
            return loop.time()

        return virtual_time.run(first)

    there = WaitResult(ok=True, payload={})
    assert held_back(Scripted(there)) > 200
    assert held_back(Scripted(there, ends_task=True)) < 1


class Often(Scripted):
    """Looks every five seconds, in the order of urgency where many do."""

    def __init__(self, *answers: Any, urgency: int = 0, due: float = 4e9) -> None:
        super().__init__(*answers, deadline=4e9)
        self.poll, self.urgency, self.due = 5.0, urgency, due

    def look_again_by(self) -> float:
        """What is due."""
        return self.due


def test_a_thousand_waits_share_the_budget_and_what_is_due_looks_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_POOL", Inline())
    monkeypatch.setattr(base, "_BUDGET", LookBudget(per_second=10))
    waits, due = [Often(None) for _ in range(1000)], Often(None, due=0.0)

    async def a_while(loop: VirtualLoop) -> None:
        tasks = [loop.create_task(wait._wait()) for wait in (*waits, due)]
        await asyncio.sleep(300)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    virtual_time.run(a_while)
    looks = [wait.looks for wait in waits]
    assert sum(looks) == pytest.approx(3000, abs=20), "ten a second"
    assert max(looks) - min(looks) <= 1, "fairly"
    assert 60 <= due.looks <= 61, "every five seconds"


def test_throttled_waits_slow_down_together_and_none_of_them_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_POOL", Inline())
    monkeypatch.setattr(base, "_BUDGET", LookBudget(per_second=10))
    waits = [Often(*[ThrottledError("slow")] * 30, None) for _ in range(20)]

    async def a_while(loop: VirtualLoop) -> list[int]:
        tasks = [loop.create_task(wait._wait()) for wait in waits]
        await asyncio.sleep(120)
        throttled = [wait.looks for wait in waits]
        await asyncio.sleep(3600)
        assert not any(task.done() for task in tasks), "a throttled look says nothing of what is awaited"
        assert base._BUDGET.rate("Often") == 10, "and the rate has recovered"
        return throttled

    throttled = virtual_time.run(a_while)
    assert sum(throttled) < 20 * 24 / 4 and max(throttled) - min(throttled) <= 1


class Unseen(Scripted):
    """Asks as the gateways do."""

    def check(self) -> WaitResult | None:
        """The next answer."""
        return when_visible(super().check, seconds=60)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Callable[[Unseen], tuple[WaitResult, float]]:
    """The end of a wait, and the seconds that it took."""
    monkeypatch.setattr(base, "_POOL", Inline())

    def play(trigger: Unseen) -> tuple[WaitResult, float]:
        async def wait(loop: VirtualLoop) -> tuple[WaitResult, float]:
            return await trigger._wait(), loop.time()

        trigger.poll = 5.0
        return virtual_time.run(wait)

    return play


Played = Callable[[Unseen], tuple[WaitResult, float]]


def test_what_aws_does_not_know_yet_holds_no_thread_and_is_looked_at_again(played: Played) -> None:
    """A wait of up to two minutes in one of the threads that all waits share."""
    gone = ResourceGoneError("snap-1")
    trigger = Unseen(gone, gone, gone, GOOD, deadline=time.time() + 600)
    outcome, passed = played(trigger)
    assert outcome == GOOD
    assert trigger.looks == 4 and 15 <= passed < 16, "one look a poll, and the loop sleeps in between"


def test_what_aws_does_not_know_for_longer_is_gone(played: Played) -> None:
    trigger = Unseen(ResourceGoneError("snap-1 does not exist"), deadline=time.time() + 6000)
    outcome, passed = played(trigger)
    assert not outcome.ok and "snap-1 does not exist" in str(outcome.payload["cause"])
    assert 60 < passed <= 66


def test_the_time_counts_anew_after_it_was_seen(played: Played) -> None:
    """awslabs/coldsnap#43: a snapshot disappeared again after its first success."""
    gone = ResourceGoneError("snap-1")
    trigger = Unseen(*[gone] * 10, None, *[gone] * 10, GOOD, deadline=time.time() + 6000)
    outcome, passed = played(trigger)
    assert outcome.ok and passed > 100
