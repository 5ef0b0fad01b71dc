"""Waits of one kind ask AWS together, and each has its own answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest

from forensics.aws.shared_looks import CHUNK, SharedLooks
from forensics.errors import ThrottledError
from tests import virtual_time
from tests.virtual_time import Inline, VirtualLoop


class Asked:
    """Answers each id with itself, and keeps what was asked by whom."""

    def __init__(self, name: str = "a", *, error: Exception | None = None) -> None:
        self.name, self.error = name, error
        self.calls: list[list[str]] = []
        self.threads: set[int] = set()

    def __call__(self, ids: Sequence[str]) -> Mapping[str, str]:
        self.threads.add(threading.get_ident())
        self.calls.append(list(ids))
        if self.error:
            raise self.error
        return {i: i.upper() for i in ids if i != "gone"}


def test_a_thousand_waits_are_a_handful_of_requests_in_another_thread() -> None:
    asked = Asked()

    async def all_of_them() -> list[Mapping[str, str]]:
        looks: SharedLooks[str] = SharedLooks(window=0.01)
        return await asyncio.gather(*(looks.ask("k", "a", [f"s-{n:04d}"], asked) for n in range(1000)))

    answers = asyncio.run(all_of_them())
    assert len(asked.calls) == 1000 / CHUNK and max(map(len, asked.calls)) == CHUNK
    assert all(answer[f"s-{n:04d}"] == f"S-{n:04d}" for n, answer in enumerate(answers))
    assert threading.get_ident() not in asked.threads


def test_other_accounts_are_asked_apart_and_what_aws_does_not_know_is_left_out() -> None:
    one, other = Asked(), Asked()

    async def both() -> list[Mapping[str, str]]:
        looks: SharedLooks[str] = SharedLooks(window=0.01)
        return await asyncio.gather(looks.ask(1, "a", ["x", "gone"], one), looks.ask(2, "b", ["y"], other))

    assert asyncio.run(both()) == [{"x": "X"}, {"y": "Y"}]
    assert (one.calls, other.calls) == ([["gone", "x"]], [["y"]])


def test_the_same_session_asks_as_long_as_its_case_waits() -> None:
    first, second = Asked("case-1"), Asked("case-2")

    async def twice() -> None:
        looks: SharedLooks[str] = SharedLooks(window=0.01)
        for order in ((first, second), (second, first)):
            await asyncio.gather(*(looks.ask("k", a.name, [a.name], a) for a in order))

    asyncio.run(twice())
    assert first.calls == [["case-1", "case-2"]] * 2 and second.calls == []


def test_an_error_reaches_each_wait_and_the_next_question_is_a_new_one() -> None:
    broken = Asked(error=ValueError("throttled"))

    async def twice() -> list[object]:
        looks: SharedLooks[str] = SharedLooks(window=0.01)
        found: list[object] = []
        for _ in range(2):
            found += await asyncio.gather(
                *(looks.ask("k", "a", ["x"], broken) for _ in range(3)), return_exceptions=True
            )
        return found

    assert [str(e) for e in asyncio.run(twice())] == ["throttled"] * 6
    assert len(broken.calls) == 2


def test_a_wait_that_is_cancelled_takes_nothing_from_the_others() -> None:
    asked = Asked()

    async def one_leaves() -> Mapping[str, str]:
        looks: SharedLooks[str] = SharedLooks(window=0.02)
        leaving = asyncio.create_task(looks.ask("k", "a", ["x"], asked))
        staying = asyncio.create_task(looks.ask("k", "b", ["y"], asked))
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        return await staying

    assert asyncio.run(one_leaves())["y"] == "Y"


def test_a_loop_that_ended_in_the_middle_leaves_nothing_to_the_next() -> None:
    looks: SharedLooks[str] = SharedLooks(window=5)
    asked = Asked()

    async def impatient() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(looks.ask("k", "a", ["x"], asked), 0.01)

    asyncio.run(impatient())
    looks._window = 0.01
    assert asyncio.run(looks.ask("k", "a", ["y"], asked)) == {"y": "Y"}
    assert asked.calls == [["y"]]


def test_one_question_is_asked_at_a_time_and_the_next_as_long_after_it_as_it_took() -> None:
    began: list[float] = []

    async def a_minute(loop: VirtualLoop) -> None:
        looks: SharedLooks[str] = SharedLooks(Inline(), window=0.5)

        def slow(ids: Sequence[str]) -> Mapping[str, str]:
            began.append(loop.time())
            loop.spend(2.0)
            return dict.fromkeys(ids, "there")

        async def wait(number: int) -> None:
            await asyncio.sleep(number * 0.05)
            while loop.time() < 60:
                assert (await looks.ask("k", "a", [str(number)], slow))[str(number)] == "there"
                await asyncio.sleep(5)

        await asyncio.gather(*(wait(number) for number in range(100)))

    virtual_time.run(a_minute)
    gaps = [later - earlier for earlier, later in pairwise(began)]
    assert min(gaps) >= 4 - 1e-6, "two seconds of work, two of rest"
    assert len(began) <= 17, "half of the time nothing is asked, however many wait"


def test_a_throttled_question_is_asked_again_after_pauses_that_double() -> None:
    began: list[float] = []

    async def throttled(loop: VirtualLoop) -> None:
        looks: SharedLooks[str] = SharedLooks(Inline(), window=0.1)

        def refused(ids: Sequence[str]) -> Mapping[str, str]:
            began.append(loop.time())
            raise ThrottledError("slow down")

        for _ in range(6):
            with pytest.raises(ThrottledError):
                await looks.ask("k", "a", ["x"], refused)

    virtual_time.run(throttled)
    assert [round(b - a) for a, b in pairwise(began)] == [1, 2, 4, 8, 16]
