"""Downloads over HTTP, with moto's S3 and DynamoDB: the permission, the event, the link, the bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from fastapi.testclient import TestClient

from forensics.aws.case_store import CaseStore
from forensics.aws.s3 import EvidenceStore
from forensics.case.downloads import Downloads
from forensics.custody.ledger import CustodyLedger
from forensics.models.custody import CustodyAction
from forensics.web.app import create_app
from forensics.web.downloads import StoreLinkMaker
from tests.unit.moto_store import make_client
from tests.unit.report import sample
from tests.unit.report.test_hostile import check
from tests.unit.signing import signing_key
from tests.unit.web.test_app import Shelf, authorize
from tests.unit.web.test_remarks import visitor

BUCKET = "evidence-of-downloads"
STORED = {
    "report/20261124T041500.000000Z/report.html": b"<!DOCTYPE html>report",
    "artifacts/memory/memory-image/raw.tar.gz": b"raw",
    "evidence/memory/memory-image/memory.lime": b"EMiL",
    "bundle/20261124T041500.000000Z/case.tar": b"tar",
}
REPORT, ARTIFACT, MEMORY, BUNDLE = STORED
ROUTE = f"/case/{sample.CASE_ID}/download"


@pytest.fixture
def ledger(store: CaseStore, dynamodb: Any) -> CustodyLedger:
    store.open_case(sample.case(closed_at=None), finding=sample.finding())
    return CustodyLedger(dynamodb, key=signing_key(), store=store, actor="reader as web-ui")


@pytest.fixture
def client(ledger: CustodyLedger) -> Iterator[TestClient]:
    s3 = make_client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    for path, body in STORED.items():
        s3.put_object(Bucket=BUCKET, Key=f"cases/{sample.CASE_ID}/{path}", Body=body)
    evidence = EvidenceStore(s3, bucket=BUCKET, owner="123456789012", kms_key="", mode="COMPLIANCE", retention_days=1)
    view = sample.rich_view(objects=tuple(f"s3://{BUCKET}/cases/{sample.CASE_ID}/{path}" for path in STORED))
    app = create_app(
        Shelf({sample.CASE_ID: view}), authorize=authorize, visitor=visitor,
        downloads=StoreLinkMaker(lambda: Downloads(evidence, ledger)),
    )  # fmt: skip
    good = {"Authorization": "Bearer good", "X-Rights": "read,respond"}
    with TestClient(app, headers=good, raise_server_exceptions=False, follow_redirects=False) as made:
        yield made
    for path in STORED:
        s3.delete_object(Bucket=BUCKET, Key=f"cases/{sample.CASE_ID}/{path}")
    s3.delete_bucket(Bucket=BUCKET)


@pytest.mark.parametrize("path", [REPORT, ARTIFACT])
def test_a_link_gives_the_bytes_for_two_minutes_and_the_ledger_has_who_and_what(
    client: TestClient, ledger: CustodyLedger, path: str
) -> None:
    answer = client.get(ROUTE, params={"path": path})
    assert answer.status_code == 303 and answer.content == b""
    link = answer.headers["location"]
    asked = parse_qs(urlsplit(link).query)
    assert (asked.get("X-Amz-Expires") or asked["Expires"]) and "no-store" in answer.headers["cache-control"]
    (event,) = ledger.events(sample.CASE_ID)
    assert event.action is CustodyAction.OBJECT_DOWNLOADED
    assert event.detail == {
        "uri": f"s3://{BUCKET}/cases/{sample.CASE_ID}/{path}", "bytes": len(STORED[path]), "link_seconds": 120,
    }  # fmt: skip
    assert event.facts is not None and event.facts.identity == {"person": "mara", "person_id": "7"}
    fetched = requests.get(link, timeout=10)
    assert fetched.content == STORED[path]
    name = asked["response-content-disposition"][0]
    assert name == f'attachment; filename="{sample.CASE_ID}-{path.replace("/", "_")}"'


@pytest.mark.parametrize(
    ("path", "rights", "status"),
    [
        (REPORT, "read", 303),
        (ARTIFACT, "read", 403),
        (ARTIFACT, "read,export", 403),
        (MEMORY, "read,respond,export,approve", 404),
        (BUNDLE, "read,respond,export,approve", 404),
        ("report/20261124T041500.000000Z/none.html", "read", 404),
        ("report/../evidence/memory/memory-image/memory.lime", "read,respond", 404),
        (f"../fc-20261124-00000000ff/{REPORT}", "read", 404),
    ],
)
def test_what_is_not_given_leaves_no_event_and_says_why(
    client: TestClient, ledger: CustodyLedger, path: str, rights: str, status: int
) -> None:
    answer = client.get(ROUTE, params={"path": path}, headers={"X-Rights": rights})
    assert answer.status_code == status
    assert len(ledger.events(sample.CASE_ID)) == (status == 303)
    if status == 404:
        assert "Nothing to download" in check(answer.text).text
    if status == 403:
        assert "role responder" in answer.text


def test_nobody_downloads_without_a_session_or_from_a_foreign_page(client: TestClient, ledger: CustodyLedger) -> None:
    assert client.get(ROUTE, params={"path": REPORT}, headers={"Authorization": ""}).status_code == 401
    app = client.app
    app.dependency_overrides[authorize] = lambda: None  # type: ignore[attr-defined]
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 303), ("none", 303)):
        headers = {"Authorization": "", "Sec-Fetch-Site": site}
        assert client.get(ROUTE, params={"path": REPORT}, headers=headers).status_code == status
    assert len(ledger.events(sample.CASE_ID)) == 2


def test_no_link_without_an_event(client: TestClient, ledger: CustodyLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger._store, "table", "nowhere")
    answer = client.get(ROUTE, params={"path": REPORT})
    assert answer.status_code == 503 and "location" not in answer.headers


def test_page_and_api_list_what_this_person_gets(client: TestClient) -> None:
    page = check(client.get(f"/case/{sample.CASE_ID}").text)
    hrefs = [v for t, n, v in page.attributes if t == "a" and n == "href" and v and "/download?path=" in v]
    listed = client.get(f"/api/cases/{sample.CASE_ID}/downloads").json()["downloads"]
    assert hrefs == [entry["href"].replace("%2F", "/") for entry in listed] and len(hrefs) == 2
    assert all(entry["allowed"] for entry in listed)
    for href in hrefs:
        assert client.get(href).status_code == 303
    headers = {"X-Rights": "read"}
    page = check(client.get(f"/case/{sample.CASE_ID}", headers=headers).text)
    assert len([v for t, n, v in page.attributes if t == "a" and n == "href" and v and "/download?" in v]) == 1
    listed = client.get(f"/api/cases/{sample.CASE_ID}/downloads", headers=headers).json()["downloads"]
    assert [entry["allowed"] for entry in listed] == [True, False]
