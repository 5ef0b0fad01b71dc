"""Caps on isolations hold whatever runs at once, and in every window."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forensics.triage.isolation_rate_limiter import Cap, IsolationRateLimiter
from forensics.triage.nonces import NonceStore
from tests.unit.moto_store import TABLE

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
WINDOW = timedelta(minutes=15)
_number = itertools.count()
EVERYWHERE, ACCOUNT = Cap("ALL", "all accounts", 5), Cap("ACCOUNT#3", "account 3", 3)


@pytest.fixture
def budget(dynamodb: Any) -> IsolationRateLimiter:
    return IsolationRateLimiter(dynamodb, table=TABLE, window=WINDOW)


def test_a_burst_of_a_hundred_isolates_as_many_as_the_cap(budget: IsolationRateLimiter) -> None:
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda n: budget.reserve(f"case-{n}", [ACCOUNT, EVERYWHERE], now=NOW), range(100)))
    assert answers.count(None) == 3
    assert {a for a in answers if a} == {"the cap of 3 isolations in 15 minutes is reached for account 3"}


def test_a_case_that_is_refused_in_one_scope_takes_nothing_in_the_others(budget: IsolationRateLimiter) -> None:
    for n in range(4):
        budget.reserve(f"a-{n}", [ACCOUNT, EVERYWHERE], now=NOW)
    other = Cap("ACCOUNT#4", "account 4", 3)
    assert [budget.reserve(f"b-{n}", [other, EVERYWHERE], now=NOW) is None for n in range(3)] == [True, True, False]


def test_a_repeated_try_keeps_its_place_and_takes_no_second_one(budget: IsolationRateLimiter) -> None:
    for _ in range(10):
        assert budget.reserve("case-1", [ACCOUNT], now=NOW) is None
    assert [budget.reserve(f"case-{n}", [ACCOUNT], now=NOW) is None for n in (2, 3, 4)] == [True, True, False]


def test_a_place_is_free_again_when_the_window_has_passed(budget: IsolationRateLimiter) -> None:
    one = Cap("ONE", "one", 1)
    assert budget.reserve("case-1", [one], now=NOW) is None
    assert budget.reserve("case-2", [one], now=NOW + WINDOW - timedelta(seconds=1)) is not None
    assert budget.reserve("case-2", [one], now=NOW + WINDOW) is None
    assert budget.reserve("case-1", [one], now=NOW + WINDOW) is not None


def test_a_cap_of_zero_isolates_nobody(budget: IsolationRateLimiter) -> None:
    assert budget.reserve("case-1", [Cap("ZERO", "nobody", 0)], now=NOW) is not None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 1800), st.integers(0, 9)), min_size=1, max_size=25),
    st.integers(1, 4),
)
def test_no_window_ever_holds_more_than_the_cap(
    budget: IsolationRateLimiter, asks: list[tuple[int, int]], limit: int
) -> None:
    cap, length = Cap(f"SCOPE-{next(_number)}", "a scope", limit), int(WINDOW.total_seconds())
    taken: list[tuple[int, int]] = []
    for second, case in sorted(asks):
        granted = budget.reserve(f"case-{case}", [cap], now=NOW + timedelta(seconds=second)) is None
        # A case that has its place already is one isolation, however often it asks.
        if granted and not any(c == case and second - s < length for s, c in taken):
            taken.append((second, case))
    for start, _ in taken:
        assert len([1 for second, _ in taken if start <= second < start + length]) <= limit


def test_a_name_is_spent_once_but_its_user_may_ask_again(dynamodb: Any) -> None:
    nonces = NonceStore(dynamodb, table=TABLE)
    assert nonces.spend("request/abc", by="case-1", until=NOW)
    assert nonces.spend("request/abc", by="case-1", until=NOW)
    assert not nonces.spend("request/abc", by="case-2", until=NOW)
    assert nonces.spend("request/abd", by="case-2", until=NOW)
