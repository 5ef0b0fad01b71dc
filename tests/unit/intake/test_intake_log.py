"""The intake's log: newest first over days, replaced by a later verdict, gone after its time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from forensics.intake.intake_log import CLAIM_SECONDS, KEPT_DAYS, IntakeLog
from forensics.models.intake import IntakeRecord
from tests.unit.builders import NOW
from tests.unit.moto_store import TABLE


@pytest.fixture
def intake_log(dynamodb: Any) -> IntakeLog:
    """A log on the case store's table."""
    return IntakeLog(dynamodb, table=TABLE)


class Clock(datetime):
    """The tests' day has not passed yet."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        """The tests' now."""
        return NOW


def record(number: int, verdict: str = "ignored", *, days_ago: int = 0) -> IntakeRecord:
    """A record."""
    at = NOW - timedelta(days=days_ago, minutes=-number)
    return IntakeRecord(message_id=f"m-{number}", received_at=at, verdict=verdict, reason="because")


def test_records_are_read_newest_first_over_days(intake_log: IntakeLog) -> None:
    for number, days_ago in ((1, 0), (2, 0), (3, 1), (4, 5), (5, 40)):
        intake_log.write(record(number, days_ago=days_ago))
    assert [r.message_id for r in intake_log.records(today=NOW)] == ["m-2", "m-1", "m-3", "m-4"]
    assert [r.message_id for r in intake_log.records(today=NOW, limit=3)] == ["m-2", "m-1", "m-3"]


def test_a_later_verdict_on_the_same_message_replaces_the_first(intake_log: IntakeLog) -> None:
    intake_log.write(record(1, "failed"))
    intake_log.write(record(1, "dead"))
    assert [r.verdict for r in intake_log.records(today=NOW)] == ["dead"]
    assert intake_log.read("m-1", record(1).received_at) == record(1, "dead")
    assert intake_log.read("m-2", record(1).received_at) is None


@pytest.mark.parametrize("verdict", sorted(KEPT_DAYS))
def test_every_record_says_when_dynamodb_may_drop_it(intake_log: IntakeLog, dynamodb: Any, verdict: str) -> None:
    intake_log.write(record(1, verdict))
    (item,) = dynamodb.scan(TableName=TABLE)["Items"]
    kept = int(item["expires"]["N"]) - record(1).received_at.timestamp()
    assert kept == KEPT_DAYS[verdict] * 86400


def test_what_people_were_told_holds_until_it_has_been_quiet_for_long(intake_log: IntakeLog) -> None:
    quiet = timedelta(days=7)

    def known(days: int) -> bool:
        return intake_log.told_before("k", at=NOW + timedelta(days=days), quiet=quiet)

    assert not known(0) and not known(1), "asking alone notes nothing"
    intake_log.told("k", at=NOW, quiet=quiet)
    assert known(6) and known(12), "what comes meanwhile begins the time again"
    assert not known(20), "DynamoDB may drop it days later: its time counts"


def test_one_at_a_time_tells_people_and_a_dead_ones_claim_ends(
    intake_log: IntakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forensics.intake.intake_log.datetime", Clock)
    assert intake_log.claim_telling("k", at=NOW) and not intake_log.claim_telling("k", at=NOW)
    assert not intake_log.told_before("k", at=NOW, quiet=timedelta(days=7)), "a claim is no message"
    assert intake_log.claim_telling("k", at=NOW + timedelta(seconds=CLAIM_SECONDS))
    intake_log.not_told("k")
    assert intake_log.claim_telling("k", at=NOW)
    intake_log.told("k", at=NOW, quiet=timedelta(days=7))
    assert not intake_log.claim_telling("k", at=NOW + timedelta(days=6))
    assert intake_log.claim_telling("k", at=NOW + timedelta(days=7))


def test_the_tally_is_of_an_hour_and_a_scope(intake_log: IntakeLog) -> None:
    assert [intake_log.tally("a", at=NOW) for _ in range(3)] == [1, 2, 3]
    assert intake_log.tally("b", at=NOW) == intake_log.tally("a", at=NOW + timedelta(hours=1)) == 1
    assert list(intake_log.records(today=NOW)) == [] and intake_log.counts() == []


def test_counts_add_up_by_day(intake_log: IntakeLog) -> None:
    intake_log.count({"opened": 2, "joined": 0}, at=NOW)
    intake_log.count({"opened": 3, "dead": 1}, at=NOW)
    intake_log.count({"opened": 1}, at=NOW - timedelta(days=1))
    intake_log.count({}, at=NOW)
    found = [(c.day, c.numbers) for c in intake_log.counts()]
    assert found == [("2026-11-24", {"opened": 5, "dead": 1}), ("2026-11-23", {"opened": 1})]
