"""The preflight's page: the last result, this server's own way, the readiness list; also when the store cannot be read."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from forensics.errors import AwsError
from forensics.models.preflight import (
    CheckResult,
    CheckStatus,
    PagesReach,
    PreflightReport,
    ReadinessReport,
    UnreadyInstance,
)
from forensics.web.app import create_app
from forensics.web.preflight import PreflightState
from tests.unit.builders import NOW
from tests.unit.web.test_app import GOOD, Shelf, authorize

BROKEN = CheckResult(
    check="reach",
    subject="iam in us-east-1",
    status=CheckStatus.BROKEN,
    detail="<script>",
    next_action="open a way to IAM",
)


class Reader:
    """A preflight in memory."""

    def __init__(self) -> None:
        self.broken: AwsError | None = None
        self.reports: tuple[PreflightReport, ...] = (
            PreflightReport.of([BROKEN], run="r", part="quick", at=NOW, seconds=41),
        )

    def state(self) -> PreflightState:
        """One report and one instance."""
        if self.broken:
            raise self.broken
        item = UnreadyInstance(account_id="333344445555", region="eu-central-1", instance_id="i-1", memory=("no SSM",))
        return PreflightState(self.reports, ReadinessReport(at=NOW, instances=7, unready=(item,), unready_count=1))

    def pages(self) -> PagesReach:
        """This server reaches STS."""
        return PagesReach(at=NOW, results=(CheckResult(check="reach", subject="sts here", status=CheckStatus.OK),))


@pytest.fixture
def reader() -> Reader:
    """The reader of one test."""
    return Reader()


@pytest.fixture
def client(reader: Reader) -> TestClient:
    """The app with the preflight's page."""
    app = create_app(Shelf(), authorize=authorize, preflight=reader)
    return TestClient(app, headers=GOOD, raise_server_exceptions=False)


def test_the_page_shows_lines_actions_and_instances_as_text(client: TestClient) -> None:
    page = client.get("/preflight").text
    assert page.count("<script") == 1 and "&lt;script&gt;" in page
    for words in ("1 broken, 0 in order", "open a way to IAM", "sts here", "1 of 7 running instances", "no SSM"):
        assert words in page, words


def test_the_json_is_the_same(client: TestClient) -> None:
    found = client.get("/api/preflight").json()
    assert found["reports"][0]["results"][0]["next_action"] == "open a way to IAM"
    assert found["readiness"]["unready"][0]["memory"] == ["no SSM"]


def test_the_board_leads_there_with_the_last_result(client: TestClient, reader: Reader) -> None:
    board = client.get("/").text
    assert 'href="/preflight"' in board and "1 broken, 0 in order, 0 not tried" in board
    reader.reports = ()
    assert "has never run" in client.get("/").text


def test_a_store_that_cannot_be_read_hides_neither_the_cases_nor_this_servers_way(
    client: TestClient, reader: Reader
) -> None:
    reader.broken = AwsError("read the table: denied", next_action="ask for the right")
    assert client.get("/").status_code == 200
    page = client.get("/preflight")
    assert page.status_code == 200
    assert "sts here" in page.text and "ask for the right" in page.text
    assert client.get("/api/preflight").status_code == 503


def test_nobody_sees_it_without_signing_in(client: TestClient) -> None:
    assert client.get("/preflight", headers={"Authorization": ""}).status_code == 401
