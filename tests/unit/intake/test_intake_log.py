"""The intake's book: newest first over days, replaced by a later verdict, gone after its time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from forensics.intake.intake_log import KEPT_DAYS, IntakeLog
from forensics.models.intake import IntakeRecord
from tests.unit.builders import NOW
from tests.unit.moto_store import TABLE


@pytest.fixture
def book(dynamodb: Any) -> IntakeLog:
    """A book on the case store's table."""
    return IntakeLog(dynamodb, table=TABLE)


def record(number: int, verdict: str = "ignored", *, days_ago: int = 0) -> IntakeRecord:
    """A record."""
    at = NOW - timedelta(days=days_ago, minutes=-number)
    return IntakeRecord(message_id=f"m-{number}", received_at=at, verdict=verdict, reason="because")


def test_records_are_read_newest_first_over_days(book: IntakeLog) -> None:
    for number, days_ago in ((1, 0), (2, 0), (3, 1), (4, 5), (5, 40)):
        book.write(record(number, days_ago=days_ago))
    assert [r.message_id for r in book.records(today=NOW)] == ["m-2", "m-1", "m-3", "m-4"]
    assert [r.message_id for r in book.records(today=NOW, limit=3)] == ["m-2", "m-1", "m-3"]


def test_a_later_verdict_on_the_same_message_replaces_the_first(book: IntakeLog) -> None:
    book.write(record(1, "failed"))
    book.write(record(1, "dead"))
    assert [r.verdict for r in book.records(today=NOW)] == ["dead"]
    assert book.read("m-1", record(1).received_at) == record(1, "dead")
    assert book.read("m-2", record(1).received_at) is None


@pytest.mark.parametrize("verdict", sorted(KEPT_DAYS))
def test_every_record_says_when_dynamodb_may_drop_it(book: IntakeLog, dynamodb: Any, verdict: str) -> None:
    book.write(record(1, verdict))
    (item,) = dynamodb.scan(TableName=TABLE)["Items"]
    kept = int(item["expires"]["N"]) - record(1).received_at.timestamp()
    assert kept == KEPT_DAYS[verdict] * 86400


def test_counts_add_up_by_day(book: IntakeLog) -> None:
    book.count({"opened": 2, "joined": 0}, at=NOW)
    book.count({"opened": 3, "dead": 1}, at=NOW)
    book.count({"opened": 1}, at=NOW - timedelta(days=1))
    book.count({}, at=NOW)
    found = [(c.day, c.numbers) for c in book.counts()]
    assert found == [("2026-11-24", {"opened": 5, "dead": 1}), ("2026-11-23", {"opened": 1})]
