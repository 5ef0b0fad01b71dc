"""The page of linked cases: what it says, hostile text, rights, cases that the board does not have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from fastapi.testclient import TestClient

from forensics.models.indicators import Indicator, IndicatorKind, LinkedCase
from forensics.models.results import Confidence
from forensics.models.sweeps import SweepHit, SweepOrder, SweepReport, SweepState, SweepTarget, SweptTarget
from forensics.web.app import create_app
from tests.unit.builders import NOW
from tests.unit.report import sample
from tests.unit.report.test_hostile import check
from tests.unit.web.test_app import GOOD, Shelf, authorize

OTHER = "fc-20261101-aaaaaaaaaa"
HOSTILE = "<script>alert(1)</script>"
PAGE, API = f"/case/{sample.CASE_ID}/incident", f"/api/cases/{sample.CASE_ID}/incident"


class Reader:
    """Links in memory."""

    def __init__(self) -> None:
        shared = (
            Indicator(kind=IndicatorKind.USER, value=HOSTILE, where=HOSTILE),
            Indicator(kind=IndicatorKind.HASH, value="ab" * 32),
        )
        self.link = LinkedCase(case_id=OTHER, confidence=Confidence.HIGH, shared=shared, found_at=NOW)
        self.found: Sequence[LinkedCase] = [self.link]

        self.swept: Sequence[SweepReport] = []

    def sweeps(self, case_id: str) -> Sequence[SweepReport]:
        return self.swept

    def links(self, case_id: str) -> Sequence[LinkedCase]:
        return self.found if case_id == sample.CASE_ID else [self.link.model_copy(update={"case_id": sample.CASE_ID})]


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def client(reader: Reader) -> Iterator[TestClient]:
    app = create_app(Shelf({sample.CASE_ID: sample.rich_view()}), authorize=authorize, links=reader)
    with TestClient(app, headers=GOOD, raise_server_exceptions=False) as made:
        yield made


def test_linked_cases_are_shown_with_what_they_share(client: TestClient) -> None:
    page = check(client.get(PAGE).text)
    assert OTHER in page.text and HOSTILE in page.text and "not on the board" in page.text
    body = client.get(API).json()
    assert body["cases"] == [sample.CASE_ID, OTHER] and body["links"][0]["confidence"] == "high"
    assert {i["kind"] for i in body["links"][0]["shared"]} == {"user", "hash"}


def test_a_case_without_links_says_so(client: TestClient, reader: Reader) -> None:
    reader.found = []
    assert "No other case shares" in client.get(PAGE).text and client.get(API).json()["links"] == []


def test_sweeps_are_shown_with_results_reasons_and_the_command_that_opens_a_case(
    client: TestClient, reader: Reader
) -> None:
    target = SweepTarget(account_id="333344445555", region="eu-central-1", subject="i-0123456789abcdef0")
    other = target.model_copy(update={"subject": "snap-0123456789abcdef0"})
    indicator = Indicator(kind=IndicatorKind.HASH, value="ab" * 32)
    order = SweepOrder(
        sweep_id="sw-20261121-0123456789", at=NOW, asked_by=HOSTILE, indicators=(indicator,), targets=(target, other)
    )
    hit = SweepHit(kind=IndicatorKind.HASH, value="ab" * 32, at=f"/opt/{HOSTILE}")
    found = SweptTarget(target=target, state=SweepState.FOUND, hits=(hit,), looked="3 files")
    unseen = SweptTarget(target=other, state=SweepState.NOT_EXAMINED, reason=f"refused {HOSTILE}")
    reader.swept = [SweepReport(order=order, ended_at=NOW, targets=(found, unseen))]
    page = check(client.get(PAGE).text)
    assert (
        "1 found, 1 not examined" in page.text and f"/opt/{HOSTILE}" in page.text and f"refused {HOSTILE}" in page.text
    )
    assert "forensics start i-0123456789abcdef0 --account 333344445555 --in-region eu-central-1" in page.text
    (sweep,) = client.get(API).json()["sweeps"]
    assert [t["state"] for t in sweep["targets"]] == ["found", "not examined"]


def test_nobody_sees_links_without_a_session(client: TestClient) -> None:
    for route in (PAGE, API):
        assert client.get(route, headers={"Authorization": ""}).status_code == 401
