"""Who looks next: critical cases, then what isolation waits for, then the others; nobody starves, and throttled waits slow down together."""

from __future__ import annotations

import asyncio

import pytest

from forensics.aws import look_budget
from forensics.aws.look_budget import BURST, FAIR, LookBudget
from tests import virtual_time
from tests.virtual_time import VirtualLoop

NOW = 1e-6


def order(urgencies: list[int], *, per_second: float = 10.0) -> list[tuple[int, float]]:
    """The waits by their number and when each was served; all come at once, when the bucket is empty."""
    served: list[tuple[int, float]] = []

    async def all_of_them(loop: VirtualLoop) -> None:
        budget = LookBudget(per_second)

        async def look(number: int, urgency: int) -> None:
            await budget.take("ssm", urgency=urgency)
            served.append((number, loop.time()))

        for _ in range(int(BURST)):
            await budget.take("ssm")
        await asyncio.gather(*(look(number, urgency) for number, urgency in enumerate(urgencies)))

    virtual_time.run(all_of_them)
    return served


def test_urgent_looks_come_first_and_every_fifth_is_of_who_has_stood_longest() -> None:
    served = [number for number, _ in order([0] * 100 + [1] * 10 + [2] * 10)]
    first = [number for place, number in enumerate(served[:25], start=1) if place % FAIR]
    assert first == list(range(110, 120)) + list(range(100, 110)), "the critical, then what isolation waits for"
    assert [number for place, number in enumerate(served[:25], start=1) if place % FAIR == 0] == [0, 1, 2, 3, 4]
    assert sorted(served) == list(range(120)), "each of them once"


def test_the_rate_is_kept_and_equals_are_served_in_the_order_in_which_they_came() -> None:
    served = order([0] * 50)
    assert [number for number, _ in served] == list(range(50))
    assert served[-1][1] == pytest.approx(5.0, abs=0.01), "ten a second"


def test_an_idle_bucket_lets_the_first_look_at_once() -> None:
    async def some(loop: VirtualLoop) -> float:
        budget = LookBudget(10)
        await asyncio.gather(*(budget.take("ssm") for _ in range(int(BURST))))
        return loop.time()

    assert virtual_time.run(some) < NOW


def test_other_accounts_have_a_budget_of_their_own() -> None:
    async def both(loop: VirtualLoop) -> float:
        budget = LookBudget(1)
        await asyncio.gather(budget.take("a"), budget.take("b"))
        return loop.time()

    assert virtual_time.run(both) < NOW


def test_what_is_due_waits_no_longer_and_takes_no_turn_of_others() -> None:
    async def due(loop: VirtualLoop) -> tuple[float, float]:
        budget = LookBudget(0.1)
        await budget.take("ssm")
        asyncio.get_running_loop().create_task(budget.take("ssm"))
        await asyncio.sleep(0)
        await budget.take("ssm", within=3)
        at = loop.time()
        await budget.take("ssm")
        return at, loop.time()

    at, after = virtual_time.run(due)
    assert at == pytest.approx(3) and after < 31


def test_a_wait_that_is_cancelled_in_line_costs_nobody_a_turn() -> None:
    async def one_leaves(loop: VirtualLoop) -> float:
        budget = LookBudget(1)
        await budget.take("ssm")
        leaving = [loop.create_task(budget.take("ssm")) for _ in range(50)]
        await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        await budget.take("ssm")
        return loop.time()

    assert virtual_time.run(one_leaves) < 2.1


def test_throttling_halves_the_rate_once_a_second_however_many_are_refused_and_answers_restore_it() -> None:
    async def storm(loop: VirtualLoop) -> list[float]:
        budget, rates = LookBudget(10), []
        for _ in range(3):
            for _ in range(100):
                budget.throttled("ssm")
            rates.append(budget.rate("ssm"))
            await asyncio.sleep(1)
        for _ in range(40):
            budget.throttled("ssm")
            await asyncio.sleep(1)
        rates.append(budget.rate("ssm"))
        for _ in range(200):
            budget.answered("ssm")
        return [*rates, budget.rate("ssm")]

    assert virtual_time.run(storm) == [5, 2.5, 1.25, pytest.approx(10 * look_budget.LOWEST), 10]
