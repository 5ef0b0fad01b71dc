"""The page on messages that opened no case: what a hostile sender wrote stays text, and the filters filter."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient

from forensics.errors import AwsError
from forensics.models.intake import IntakeCounts, IntakeRecord
from forensics.web.app import create_app
from forensics.web.intake import IntakeState
from tests.unit.web.test_app import GOOD, Shelf, authorize

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def record(verdict: str, reason: str, **more: object) -> IntakeRecord:
    """One record."""
    return IntakeRecord(message_id=f"m-{verdict}", received_at=NOW, verdict=verdict, reason=reason, **more)  # type: ignore[arg-type]


class Reader:
    """The intake in memory."""

    broken: AwsError | None = None

    def intake(self, *, limit: int) -> IntakeState:
        """Three records and a day's counts."""
        if self.broken:
            raise self.broken
        records = (
            record("quarantined", "account='<script>alert(1)</script>': not an account"),
            record("ignored", "no EC2 instance among its resources", detail_type="GuardDuty Finding"),
            record("announced", "it is about a snapshot", next_action="Keep it (EC2 LockSnapshot)"),
            record("dead", "the table is gone", tries=5, next_action="restore the table; then run finding_redrive"),
        )
        days = (IntakeCounts(day="2026-11-24", numbers={"opened": 12, "joined": 3, "quarantined": 1}),)
        return IntakeState(counts=days, records=records[:limit], waiting=4, dead_letters=2)


@pytest.fixture
def reader() -> Reader:
    """The reader of one test."""
    return Reader()


@pytest.fixture
def client(reader: Reader) -> TestClient:
    """The app with the intake's pages."""
    app = create_app(Shelf(), authorize=authorize, airflow_path="/airflow", intake=reader)
    return TestClient(app, headers=GOOD, raise_server_exceptions=False)


def test_the_page_shows_counts_queues_and_reasons_as_text(client: TestClient) -> None:
    page = client.get("/intake").text
    assert "4 messages wait in the queue, 2 are in the dead-letter queue" in page
    assert page.count("<script") == 1 and "&lt;script&gt;" in page
    for words in ("2026-11-24", "<td>12</td>", "delivered 5 times", "restore the table", "finding_redrive"):
        assert words in page, words


def test_the_verdict_filters_page_and_json(client: TestClient) -> None:
    assert "no EC2 instance" not in client.get("/intake", params={"verdict": "dead"}).text
    found = client.get("/api/intake", params={"verdict": "ignored"}).json()
    assert [r["verdict"] for r in found["records"]] == ["ignored"]
    told = client.get("/intake", params={"verdict": "announced"}).text
    assert "it is about a snapshot" in told and "What to do next: Keep it" in told and "no EC2 instance" not in told
    assert found["days"][0]["numbers"]["opened"] == 12 and found["dead_letters"] == 2
    assert client.get("/api/intake", params={"verdict": "nonsense"}).status_code == 422


def test_the_board_leads_there(client: TestClient) -> None:
    assert 'href="/intake"' in client.get("/").text


def test_aws_that_cannot_answer_is_a_clear_503(client: TestClient, reader: Reader) -> None:
    reader.broken = AwsError("read the queue: denied", next_action="ask for the right")
    answer = client.get("/intake")
    assert answer.status_code == 503 and "ask for the right" in answer.text


def test_nobody_gets_in_without_a_session(reader: Reader) -> None:
    app = create_app(Shelf(), authorize=authorize, intake=reader)
    assert TestClient(app).get("/intake").status_code == 401
