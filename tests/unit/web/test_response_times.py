"""How long cases took: percentiles by a plain definition, drills left out, the aim said; page and API agree."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from forensics.models.board import BoardLine, Entry, Stage
from forensics.web.app import create_app
from forensics.web.response_times import percentile, response_times
from tests.unit.builders import NOW
from tests.unit.report import sample
from tests.unit.report.test_hostile import check
from tests.unit.web.test_app import Shelf


def entry(days: float, *, drill: bool = False, **times: float) -> Entry:
    case = sample.case(opened_at=NOW - timedelta(days=days), closed_at=None, sample=drill)
    return Entry(case, BoardLine(at=NOW, times={Stage(name): seconds for name, seconds in times.items()}))


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [([], 0.5, None), ([7], 0.95, 7), ([1, 2, 3, 4], 0.5, 2), ([*range(1, 101)], 0.95, 95), ([3, 1, 2], 0.5, 2)],
)
def test_percentiles_are_the_nearest_rank(values: list[float], share: float, found: float | None) -> None:
    random.Random(5).shuffle(values)
    assert percentile(values, share) == found


def test_each_window_has_its_cases_and_drills_are_left_out() -> None:
    entries = [
        entry(1, opened=5, answered=100, contained=60),
        entry(20, opened=7, answered=900),
        entry(200, opened=9),
        entry(1, drill=True, opened=1_000),
        Entry(sample.case(opened_at=NOW, closed_at=None)),
    ]
    week, month, quarter, whole = response_times(entries, NOW)
    assert [w.cases for w in (week, month, quarter, whole)] == [2, 3, 3, 4]
    assert [w.untimed for w in (week, whole)] == [1, 1]
    opened, contained, answered, reported = whole.stages
    assert (opened.cases, opened.p50, opened.p95, opened.most) == (3, 7, 9, 9)
    assert (contained.cases, contained.p50) == (1, 60)
    assert (answered.cases, answered.aim, answered.within) == (2, 300.0, 1)
    assert (reported.cases, reported.p50, reported.aim) == (0, None, None)


def test_page_and_api_say_the_same() -> None:
    view = sample.rich_view()
    shelf = Shelf({sample.CASE_ID: view}, lines={sample.CASE_ID: BoardLine(at=NOW, times={Stage.ANSWERED: 240.0})})
    client = TestClient(create_app(shelf, authorize=lambda: None))
    whole = client.get("/api/times").json()["windows"][-1]
    answered = next(stage for stage in whole["stages"] if stage["stage"] == "answered")
    assert (answered["p50"], answered["within"], answered["cases"]) == (240.0, 1, 1)
    page = check(client.get("/times").text)
    assert "1 of 1" in page.text and "within 5 min" in page.text and "+240.0 s (4 min 0 s)" in page.text
    assert "/times" in [v for t, n, v in check(client.get("/").text).attributes if n == "href"]
