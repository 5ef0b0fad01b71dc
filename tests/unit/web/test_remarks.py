"""Remarks over HTTP: who may send them, from where, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from fastapi import Header
from fastapi.testclient import TestClient

from forensics.aws.case_store import CaseStore
from forensics.case.remarks import Remarks
from forensics.custody.ledger import CustodyLedger
from forensics.models.approval import Person
from forensics.models.case import CaseView
from forensics.models.remarks import Assignment, Remark, RemarkKind, Verdict
from forensics.report import render_html
from forensics.report.remarks import known_findings
from forensics.web.access import PERMISSIONS, Right, Visitor
from forensics.web.app import create_app
from forensics.web.remarks import StoreRemarkWriter
from tests.unit.report import sample
from tests.unit.report.test_hostile import check
from tests.unit.signing import signing_key
from tests.unit.web.test_app import Shelf, authorize

OWN = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
FORM = f"/case/{sample.CASE_ID}/remarks"
API = f"/api/cases/{sample.CASE_ID}/remarks"
KEY = next(iter(known_findings(sample.rich_view())))


def visitor(x_rights: str = Header("read")) -> Visitor:
    """Stands in for Airflow's permissions; the header names the rights."""
    return Visitor(Person(id="7", login="mara"), frozenset(Right(name) for name in x_rights.split(",")))


@pytest.fixture
def ledger(store: CaseStore, dynamodb: Any) -> CustodyLedger:
    return CustodyLedger(dynamodb, key=signing_key(), store=store, actor="reader as web-ui")


@pytest.fixture
def shelf(store: CaseStore) -> Shelf:
    """The sample case, whose remarks are those of the store."""

    class Live(Shelf):
        def case_view(self, case_id: str) -> CaseView | None:
            view = super().case_view(case_id)
            if view is None:
                return None
            said = [Remark.model_validate(d) for _, d in store.items(case_id, "REMARK#")]
            return view.model_copy(
                update={"remarks": tuple(said), "assignment": store.get(case_id, "ASSIGNMENT", Assignment)}
            )

    store.open_case(sample.case(closed_at=None), finding=sample.finding())
    return Live({sample.CASE_ID: sample.rich_view()})


@pytest.fixture
def client(shelf: Shelf, store: CaseStore, ledger: CustodyLedger) -> Iterator[TestClient]:
    writer = StoreRemarkWriter(lambda: Remarks(store, ledger))
    app = create_app(shelf, authorize=authorize, visitor=visitor, remarks=writer)
    good = {"Authorization": "Bearer good", "X-Rights": "read,respond"}
    with TestClient(app, headers=good, raise_server_exceptions=False, follow_redirects=False) as made:
        yield made


def form(**fields: str) -> bytes:
    return urlencode(fields).encode()


VERDICT = form(kind="verdict", finding=KEY, verdict="false", note="our own <b>scanner</b>")


def test_a_verdict_from_the_page_is_shown_at_the_finding_and_changes_no_record_of_the_tool(
    client: TestClient, ledger: CustodyLedger, shelf: Shelf
) -> None:
    tool = shelf.views[sample.CASE_ID].results
    answer = client.post(FORM, content=VERDICT, headers=OWN)
    assert answer.status_code == 303
    place = answer.headers["location"].partition("#")[2]
    page = check(client.get(f"/case/{sample.CASE_ID}").text)
    assert ("div", "id", place) in page.attributes
    assert "false alarm" in page.text and "our own <b>scanner</b>" in page.text
    assert "mara (user id 7)" in page.text and "ledger no. 1" in page.text
    assert "People have judged 1 of" in page.text
    assert shelf.views[sample.CASE_ID].results == tool
    (event,) = ledger.events(sample.CASE_ID)
    assert event.detail["verdict"] == "false" and event.detail["title"]


def test_a_verdict_can_be_taken_back(client: TestClient) -> None:
    client.post(FORM, content=VERDICT, headers=OWN)
    client.post(FORM, content=form(kind="verdict", finding=KEY, verdict="open"), headers=OWN)
    page = check(client.get(f"/case/{sample.CASE_ID}").text)
    assert "People have judged" not in page.text and "open again" in page.text
    assert [r["verdict"] for r in client.get(API).json()["remarks"]] == ["false", "open"]


def test_owner_tags_and_comments_are_on_the_page_and_in_the_api(client: TestClient) -> None:
    for fields in (
        {"kind": "owner", "owner": "mara"},
        {"kind": "tags", "tags": "ransomware, customer-7"},
        {"kind": "comment", "note": "called the customer"},
    ):
        assert client.post(FORM, content=form(**fields), headers=OWN).status_code == 303
    told = client.get(API).json()
    assert (told["owner"], told["tags"]) == ("mara", ["ransomware", "customer-7"])
    page = check(client.get(f"/case/{sample.CASE_ID}").text)
    assert "Owner: mara" in page.text and "called the customer" in page.text


def test_a_program_with_a_token_writes_json(client: TestClient) -> None:
    answer = client.post(API, json={"kind": "verdict", "finding": KEY, "verdict": "true"})
    assert answer.status_code == 201
    (remark,) = answer.json()["remarks"]
    assert (remark["verdict"], remark["by"]) == ("true", "mara (user id 7)")


@pytest.mark.parametrize("route", [FORM, API])
@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"}, False),
        ({"Origin": "http://testserver"}, True),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({}, False),
    ],
)
def test_a_foreign_page_cannot_write_with_a_persons_cookie(
    shelf: Shelf, store: CaseStore, ledger: CustodyLedger, route: str, headers: dict[str, str], passes: bool
) -> None:
    """As a browser sends it: with the cookie of the session, without a header Authorization."""
    writer = StoreRemarkWriter(lambda: Remarks(store, ledger))
    app = create_app(shelf, authorize=lambda: None, visitor=visitor, remarks=writer)
    client = TestClient(app, headers={"X-Rights": "read,respond"}, follow_redirects=False)
    answer = client.post(
        route, content=VERDICT, headers={**headers, "Content-Type": "application/x-www-form-urlencoded"}
    )
    assert (answer.status_code < 400) is passes
    assert len(ledger.events(sample.CASE_ID)) == passes


@pytest.mark.parametrize("route", [FORM, API])
@pytest.mark.parametrize("rights", ["read", "read,approve", "read,export,release"])
def test_who_may_not_respond_writes_nothing_and_sees_no_form(
    client: TestClient, ledger: CustodyLedger, route: str, rights: str
) -> None:
    answer = client.post(route, content=VERDICT, headers={**OWN, "X-Rights": rights})
    assert answer.status_code == 403
    assert PERMISSIONS[Right.RESPOND].words in answer.text and "mara" in answer.text
    assert ledger.events(sample.CASE_ID) == []
    page = check(client.get(f"/case/{sample.CASE_ID}", headers={"X-Rights": rights}).text)
    assert not [v for t, n, v in page.attributes if t == "form" and n == "method" and v == "post"]


def test_without_a_session_nothing_is_written(client: TestClient, ledger: CustodyLedger) -> None:
    for route in (FORM, API):
        assert client.post(route, content=VERDICT, headers={**OWN, "Authorization": ""}).status_code == 401
    assert ledger.events(sample.CASE_ID) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (form(kind="verdict", finding="memory/memory-image/none", verdict="true"), 404),
        (form(kind="verdict", finding=KEY, verdict="guilty"), 422),
        (form(kind="comment"), 422),
        (form(kind="tags", tags="<b>"), 422),
        (form(kind="comment", note="x" * 2001), 422),
        (form(kind="comment", note="x" * 40_000), 413),
        (form(kind="comment", note="x", by="somebody else"), 422),
        (form(kind="comment", note="x", seq="1"), 422),
    ],
)
def test_what_is_no_remark_is_refused_with_what_to_do(
    client: TestClient, ledger: CustodyLedger, body: bytes, status: int
) -> None:
    answer = client.post(FORM, content=body, headers=OWN)
    assert answer.status_code == status
    assert "Nothing was written" in check(answer.text).text
    assert ledger.events(sample.CASE_ID) == []


def test_another_content_type_and_another_case_are_refused(client: TestClient) -> None:
    assert client.post(FORM, content=b"x", headers={**OWN, "Content-Type": "text/plain"}).status_code == 415
    assert client.post("/case/fc-20261124-00000000ff/remarks", content=VERDICT, headers=OWN).status_code == 404


def test_the_page_says_what_this_person_may_do_and_by_which_permission(client: TestClient) -> None:
    page = check(client.get(f"/case/{sample.CASE_ID}", headers={"X-Rights": "read,respond"}).text)
    assert "Signed in as mara (user id 7)" in page.text
    for needed in PERMISSIONS.values():
        assert needed.words in page.text
    mine = page.text.partition("What you may do here")[2].partition("Provenance")[0]
    assert (mine.count("yes"), mine.count("○")) == (2, 5)


def test_the_stored_report_has_the_notes_and_no_form() -> None:
    remark = Remark(
        kind=RemarkKind.VERDICT, finding=KEY, title="t", verdict=Verdict.BENIGN, note=sample.ALL_HOSTILE,
        by="mara", at=sample.at(3), seq=4,
    )  # fmt: skip
    page = check(render_html(sample.rich_view(remarks=(remark,))))
    assert "benign: true, and meant to be" in page.text and "form" not in page.tags


def test_a_form_sent_twice_counts_once(client: TestClient, ledger: CustodyLedger) -> None:
    page = check(client.get(f"/case/{sample.CASE_ID}").text)
    names = [v for t, n, v in page.attributes if t == "input" and n == "value" and v and len(v) in {17, 28}]
    assert len(names) == len(set(names)) > 3, "each form of the page names its own order"
    for _ in range(2):
        body = form(kind="comment", note="once", once=names[0])
        assert client.post(FORM, content=body, headers=OWN).status_code == 303
    assert len(ledger.events(sample.CASE_ID)) == 1
