"""Search, filters, order and pages of the board."""

from __future__ import annotations

import random
import time
from datetime import timedelta

import pytest

from forensics.models.board import BoardLine, Entry, Need
from forensics.models.case import CaseStatus
from forensics.web.board import BoardQuery, select
from tests.unit.builders import NOW, case


def entry(
    number: int, *, status: CaseStatus = CaseStatus.CLOSED, minutes: int = 0, severity: str = "HIGH", **line: object
) -> Entry:
    about = case(
        case_id=f"fc-20261124-{number:010x}",
        status=status,
        opened_at=NOW - timedelta(minutes=minutes),
        severity=severity,
    )
    return Entry(about, BoardLine.model_validate({"at": NOW, **line}) if line else None)


def order(entries: list[Entry], **asked: object) -> list[int]:
    found = select(entries, BoardQuery(**asked), NOW)  # type: ignore[arg-type]
    return [int(e.case.case_id[-10:], 16) for e in found.entries]


PRESSING = [
    entry(1, minutes=1),
    entry(2, minutes=2, status=CaseStatus.CLOSED_WITH_GAPS, gaps=3),
    entry(3, minutes=3, status=CaseStatus.OPEN, severity="LOW"),
    entry(4, minutes=4, status=CaseStatus.OPEN, severity="CRITICAL"),
    entry(5, minutes=5, status=CaseStatus.FAILED),
    entry(6, minutes=6, drifted=True),
    entry(7, minutes=7, status=CaseStatus.OPEN, acts=True),
    entry(8, minutes=8, status=CaseStatus.OPEN, asks=True, until=NOW + timedelta(minutes=30)),
    entry(9, minutes=9, status=CaseStatus.OPEN, asks=True, until=NOW + timedelta(minutes=5)),
    entry(10, minutes=10, status=CaseStatus.OPEN, severity="LOW", asks=True, until=NOW - timedelta(minutes=5)),
]


def test_what_needs_a_person_goes_first_and_the_question_that_ends_first_before_others() -> None:
    assert order(PRESSING) == [9, 8, 7, 6, 5, 4, 3, 10, 2, 1]


@pytest.mark.parametrize(
    ("sort", "numbers"),
    [
        ("newest", list(range(1, 11))),
        ("oldest", list(range(10, 0, -1))),
        ("gaps", [2, 1, *range(3, 11)]),
        ("severity", [4, 1, 2, 5, 6, 7, 8, 9, 3, 10]),
    ],
)
def test_other_orders(sort: str, numbers: list[int]) -> None:
    assert order(PRESSING, sort=sort) == numbers


@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        ({"needs": "any"}, [9, 8, 7, 6, 5, 2]),
        ({"needs": "answer"}, [9, 8]),
        ({"needs": "gaps"}, [2]),
        ({"status": "FAILED"}, [5]),
        ({"severity": "CRITICAL"}, [4]),
        ({"age": "1h", "q": "0a"}, [10]),
    ],
)
def test_filters(asked: dict[str, str], numbers: list[int]) -> None:
    assert order(PRESSING, **asked) == numbers


def test_what_steps_left_of_a_case_is_found() -> None:
    entries = [
        entry(1, contained="released", owner="shop", playbook="c2"),
        entry(2, contained="no", owner="bank", playbook="miner"),
        entry(3),
    ]
    for asked in ({"contained": "released"}, {"owner": "shop"}, {"playbook": "c2"}):
        assert order(entries, **asked) == [1]
    found = select(entries, BoardQuery(), NOW)
    assert (found.choices["owner"], found.choices["contained"]) == (("bank", "shop"), ("no", "released"))


def test_pages_lose_and_repeat_nothing() -> None:
    rest, seen, cursor = list(PRESSING), list[int](), ""
    random.Random(7).shuffle(rest)
    while True:
        found = select(rest, BoardQuery(limit=3, cursor=cursor), NOW)
        seen += [int(e.case.case_id[-10:], 16) for e in found.entries]
        if found.following is None:
            break
        cursor = found.following
    assert seen == order(PRESSING)


def test_the_search_takes_no_more_for_each_of_ten_thousand_cases_than_for_each_of_a_thousand() -> None:
    many = [
        entry(n, minutes=n, status=list(CaseStatus)[n % 4], contained=f"words {n % 9}", gaps=n % 5, asks=n % 97 == 0)
        for n in range(10_000)
    ]
    asked = BoardQuery(q="traffic", needs="any", sort="needs")

    def seconds(some: list[Entry]) -> float:
        times = []
        for _ in range(5):
            began = time.process_time()
            select(some, asked, NOW)
            times.append(time.process_time() - began)
        return min(times)

    found = select(many, asked, NOW)
    assert found.total == 10_000 and 0 < found.matched < 10_000 and len(found.entries) == 20
    assert seconds(many) < 40 * seconds(many[:1_000]), (
        "ten times the cases; a search that compares each with each takes a hundred times as long"
    )


def test_an_entry_says_why_it_needs_a_person() -> None:
    assert entry(1, status=CaseStatus.CLOSED_WITH_GAPS, asks=True, acts=True).needs(NOW) == (
        Need.ANSWER,
        Need.CONTAIN,
        Need.GAPS,
    )
    assert entry(1).needs(NOW) == ()
