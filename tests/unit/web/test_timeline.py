"""The page and the route of the whole timeline: filters, pages, rights, hostile text, and cases without a stored timeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from forensics.errors import AwsError
from forensics.models.case import CaseView
from forensics.models.timeline import TimelineSource, TimelineStore
from forensics.report.chronology import merged
from forensics.timeline.columns import row
from forensics.timeline.search import Found, TimelineSearch
from forensics.web.app import create_app
from forensics.web.timeline import StoredState, in_table
from tests.unit.report import sample
from tests.unit.report.test_hostile import check
from tests.unit.timeline.test_search import START
from tests.unit.timeline.test_search import Shelf as Parts
from tests.unit.web.test_app import GOOD, Shelf, authorize

HOSTILE = '<script>alert(1)</script> ‮ " onload=x'
PAGE, API = f"/case/{sample.CASE_ID}/timeline", f"/api/cases/{sample.CASE_ID}/timeline"


class Reader:
    """A stored timeline on disk."""

    def __init__(self, folder: Path) -> None:
        self.parts = Parts(folder)
        entries = [
            row(time=START, message=f"line {n}", origin="/var/log/x", user_name="root" if n % 2 else "web")
            for n in range(450)
        ]
        entries.append(row(time=START, message=HOSTILE, origin=HOSTILE, user_name=HOSTILE, host=HOSTILE))
        part = self.parts.part(TimelineSource.PLASO, entries)
        self.store: TimelineStore | None = TimelineStore(
            version="20261124T031200000000Z", written_at=START, parts=(part,), cut=("disk-x: cut",)
        )
        self.stale = False
        self.broken: Exception | None = None

    def state(self, view: CaseView) -> StoredState:
        return StoredState(self.store, self.stale)

    def search(self, view: CaseView, store: TimelineStore, asked: TimelineSearch, *, limit: int) -> Found:
        if self.broken:
            raise self.broken
        return self.parts.searcher.search(view, store, self.parts.read, asked, limit=limit, wait=60)


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


@pytest.fixture
def client(reader: Reader) -> Iterator[TestClient]:
    app = create_app(Shelf({sample.CASE_ID: sample.rich_view()}), authorize=authorize, timeline=reader)
    with TestClient(app, headers=GOOD, raise_server_exceptions=False) as made:
        yield made


def test_the_api_searches_what_is_stored(client: TestClient) -> None:
    body = client.get(API, params={"user": "ROOT", "source": "plaso", "limit": 1000}).json()
    assert len(body["entries"]) == 225 and body["next"] is None
    assert {entry["partition"] for entry in body["entries"]} == {"plaso"} and body["stored"] == "20261124T031200000000Z"
    whole = client.get(API, params={"limit": 1000}).json()["entries"]
    assert {"custody", "case", "plaso"} <= {entry["partition"] for entry in whole}


def test_the_page_leads_through_all_entries_with_its_filters(client: TestClient) -> None:
    seen, address = 0, f"{PAGE}?source=plaso&text=LINE"
    while address:
        page = check(client.get(address).text)
        seen += page.text.count("/var/log/x")
        hrefs = [value for _, name, value in page.attributes if name == "href" and value and "cursor=" in value]
        address = hrefs[0] if hrefs else ""
        assert not address or ("source=plaso" in address and "text=LINE" in address)
    assert seen == 450


def test_hostile_text_stays_text_on_the_page_and_in_the_form(client: TestClient) -> None:
    answer = client.get(PAGE, params={"text": HOSTILE[:20]})
    page = check(answer.text)
    assert "<script>alert(1)</script>" in page.text and "[U+202E]" in page.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert client.get(API, params={"text": "alert(1)"}).text.isascii()
    check(client.get(PAGE, params={"user": '"><script>x</script>', "host": "'><img src=x>"}).text)


def test_nobody_searches_without_a_session(client: TestClient) -> None:
    for route in (PAGE, API):
        assert client.get(route, headers={"Authorization": ""}).status_code == 401


@pytest.mark.parametrize(
    "query", ["technique=T1", "source=A%20B", "since=yesterday", "cursor=x", "limit=0", f"text={'x' * 201}"]
)
def test_wrong_values_are_named(client: TestClient, query: str) -> None:
    assert client.get(f"{API}?{query}").status_code == 422


def test_what_is_missing_or_old_is_said(client: TestClient, reader: Reader) -> None:
    assert "disk-x: cut" in client.get(PAGE).text
    reader.stale = True
    assert "Tools have ended since" in client.get(PAGE).text and client.get(API).json()["stale"] is True


def test_a_case_without_a_stored_timeline_shows_what_its_table_has(client: TestClient, reader: Reader) -> None:
    reader.store = None
    body = client.get(API, params={"limit": 1000}).json()
    assert len(body["entries"]) == len(merged(sample.rich_view())) and body["stored"] is None
    assert "not stored yet" in client.get(PAGE).text
    found = in_table(sample.rich_view(), TimelineSearch(kind="tool"), limit=1000).entries
    assert found and any(entry.severity for entry in found) and "custody" not in {e.source for e in found}


def test_a_store_that_cannot_be_read_is_a_clear_503(client: TestClient, reader: Reader) -> None:
    reader.broken = AwsError("read s3://evidence/x: denied", next_action="check the reader's role")
    for route in (PAGE, API):
        answer = client.get(route)
        assert answer.status_code == 503 and "check the reader" in answer.text
