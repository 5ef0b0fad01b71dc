"""The pages over HTTP: who gets in, what is shown, what happens when the store cannot answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from fastapi import Header, HTTPException
from fastapi.testclient import TestClient

from forensics.errors import AwsError, ForensicsError
from forensics.models.board import BoardLine, Entry
from forensics.models.case import Case, CaseStatus, CaseView
from forensics.printable import visible
from forensics.report import render_json
from forensics.web.access import refuse_everyone
from forensics.web.app import create_app
from forensics.web.board_index import Snapshot
from tests.unit.builders import NOW
from tests.unit.report import sample
from tests.unit.report.test_hostile import check

OTHER = "fc-20261123-ffffffffff"
MANUAL_RUN = "manual__2026-11-24T03:12:00+00:00_ab/c"
GOOD = {"Authorization": "Bearer good"}
ROUTES = [
    "/",
    f"/case/{sample.CASE_ID}",
    f"/run?run_id={sample.CASE_ID}",
    "/api/cases",
    f"/api/cases/{sample.CASE_ID}",
    f"/api/cases/{sample.CASE_ID}/timeline",
]


def authorize(authorization: str = Header("")) -> None:
    """Stands in for Airflow's sign-in."""
    if authorization != "Bearer good":
        raise HTTPException(401, "Not authenticated")


@dataclass
class Shelf:
    """Cases in memory; ``broken`` is raised by every read, ``unreadable`` cases by theirs."""

    views: dict[str, CaseView] = field(default_factory=dict)
    broken: Exception | None = None
    unreadable: set[str] = field(default_factory=set)
    lines: dict[str, BoardLine] = field(default_factory=dict)

    def cases(self) -> Snapshot:
        self._check()
        return Snapshot(tuple(Entry(v.case, self.lines.get(v.case.case_id)) for v in self.views.values()), NOW)

    def case_view(self, case_id: str) -> CaseView | None:
        self._check()
        return self.views.get(case_id)

    def board_view(self, case: Case) -> CaseView:
        if case.case_id in self.unreadable:
            raise AwsError(f"read case {case.case_id}: <b>denied</b>", next_action="ask")
        return self.views[case.case_id]

    def case_of_run(self, run_id: str) -> str | None:
        self._check()
        return next((v.case.case_id for v in self.views.values() if v.case.run_id == run_id), None)

    def _check(self) -> None:
        if self.broken:
            raise self.broken


@pytest.fixture
def shelf() -> Shelf:
    hostile = sample.case(
        case_id=OTHER,
        title=sample.ALL_HOSTILE,
        severity=sample.HOSTILE[0],
        run_id=MANUAL_RUN,
        status=CaseStatus.OPEN,
    )
    return Shelf({sample.CASE_ID: sample.rich_view(), OTHER: sample.empty_view().model_copy(update={"case": hostile})})


@pytest.fixture
def client(shelf: Shelf) -> Iterator[TestClient]:
    app = create_app(shelf, authorize=authorize, airflow_path="/airflow")
    with TestClient(app, root_path="/airflow/forensics", headers=GOOD, raise_server_exceptions=False) as made:
        yield made


@pytest.mark.parametrize("route", ROUTES)
def test_nobody_gets_in_without_a_session(client: TestClient, route: str) -> None:
    answer = client.get(route, headers={"Authorization": ""})
    assert answer.status_code == 401
    assert sample.INSTANCE not in answer.text
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("route", ROUTES)
def test_everyone_is_refused_when_airflows_sign_in_is_not_there(shelf: Shelf, route: str) -> None:
    answer = TestClient(create_app(shelf, authorize=refuse_everyone)).get(route, headers=GOOD)
    assert answer.status_code == 503
    assert sample.INSTANCE not in answer.text


@pytest.mark.parametrize("route", [*ROUTES, "/case/nonsense", "/nowhere"])
def test_every_answer_has_the_security_headers(client: TestClient, route: str) -> None:
    headers = client.get(route).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_board_shows_cases_with_links(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    page = check(answer.text)
    for fact in (
        sample.CASE_ID,
        sample.INSTANCE,
        "333344445555 · eu-central-1",
        "▲ new flows blocked",
        "2 ACQUIRED",
        "1 FAILED",
    ):
        assert fact in page.text
    hrefs = {value for tag, name, value in page.attributes if name == "href"}
    assert f"/airflow/forensics/case/{sample.CASE_ID}" in hrefs
    assert "/airflow/dags/forensic_case/runs/manual__2026-11-24T03%3A12%3A00%2B00%3A00_ab%2Fc" in hrefs
    assert visible(sample.HOSTILE[0]) in page.text


def test_board_pages(client: TestClient) -> None:
    first = client.get("/?limit=1")
    assert sample.CASE_ID not in first.text
    assert f"/airflow/forensics/?limit=1&amp;cursor={OTHER}" in first.text
    second = client.get(f"/?limit=1&cursor={OTHER}")
    assert sample.CASE_ID in second.text
    assert "First page" in second.text
    gone = client.get("/?cursor=fc-20200101-0123456789")
    assert gone.status_code == 422 and "Begin at the first page" in gone.text


@pytest.mark.parametrize("route", ["/", "/api/cases"])
@pytest.mark.parametrize(
    "query", ["states=FAILED", "status=FAILED&x=1", "severity=SEVERE", "age=2y", "sort=random", "account=12"]
)
def test_what_the_board_does_not_know_is_refused_and_not_ignored(client: TestClient, route: str, query: str) -> None:
    answer = client.get(f"{route}?{query}")
    assert answer.status_code == 422
    name = "states" if query.startswith("states") else "x" if "x=1" in query else query.split("=")[0]
    assert name in answer.text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=OPEN", [OTHER]),
        ("status=CLOSED_WITH_GAPS&q=", [sample.CASE_ID]),
        ("q=COMMAND-and web-7", [sample.CASE_ID]),
        (f"q={sample.CASE_ID}", [sample.CASE_ID]),
        ("severity=HIGH", [sample.CASE_ID]),
        ("needs=gaps", [sample.CASE_ID]),
        ("status=FAILED", []),
        ("sort=oldest&limit=1", [sample.CASE_ID]),
    ],
)
def test_page_and_api_answer_the_same_question(client: TestClient, query: str, found: list[str]) -> None:
    rows = client.get(f"/api/cases?{query}").json()
    assert [row["case"]["case_id"] for row in rows["cases"]] == found
    assert rows["total"] == 2 and rows["by_status"]["CLOSED_WITH_GAPS"] == 1
    page = check(client.get(f"/?{query}").text)
    links = [v for t, n, v in page.attributes if n == "href" and v and "/case/" in v]
    assert links == [f"/airflow/forensics/case/{name}" for name in found]


def test_one_unreadable_case_does_not_hide_the_others(client: TestClient, shelf: Shelf) -> None:
    shelf.unreadable.add(OTHER)
    page = check(client.get("/").text)
    assert "<b>denied</b> ask" in page.text
    assert "▲ new flows blocked" in page.text
    rows = client.get("/api/cases").json()["cases"]
    assert {r["case"]["case_id"]: bool(r["problem"]) for r in rows} == {sample.CASE_ID: False, OTHER: True}


def test_case_page_is_the_report_with_ways_out(client: TestClient) -> None:
    page = check(client.get(f"/case/{sample.CASE_ID}").text)
    assert "What to do next" in page.text
    hrefs = [value for tag, name, value in page.attributes if name == "href"]
    assert hrefs[:5] == [
        "#main",
        "/airflow/forensics/",
        f"/airflow/forensics/api/cases/{sample.CASE_ID}",
        f"/airflow/forensics/api/cases/{sample.CASE_ID}/timeline",
        f"/airflow/dags/forensic_case/runs/{sample.CASE_ID}",
    ]


@pytest.mark.parametrize(
    "bad",
    [
        "fc-20261124-0000000000",
        "nonsense",
        "..%2f..%2fetc",
        "%3Cscript%3E",
        sample.CASE_ID + "%0a",
        "x" * 400,
    ],
)
def test_unknown_and_malformed_ids_are_404(client: TestClient, bad: str) -> None:
    for route in (f"/case/{bad}", f"/api/cases/{bad}", f"/api/cases/{bad}/timeline"):
        answer = client.get(route)
        assert answer.status_code == 404
        if route.startswith("/case"):
            check(answer.text)


def test_run_tab_finds_the_case_of_a_manual_run(client: TestClient) -> None:
    answer = client.get("/run", params={"dag_id": "forensic_case", "run_id": MANUAL_RUN})
    assert answer.status_code == 200
    assert OTHER in answer.text


def test_run_tab_of_another_run_says_so(client: TestClient) -> None:
    answer = client.get("/run", params={"dag_id": sample.HOSTILE[0], "run_id": sample.HOSTILE[1]})
    assert answer.status_code == 404
    assert "No case belongs to this DAG run" in check(answer.text).text


def test_api_case_is_the_json_report(client: TestClient) -> None:
    answer = client.get(f"/api/cases/{sample.CASE_ID}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.text == render_json(sample.rich_view())


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("kind=custody", lambda e: e["kind"] == "custody"),
        ("evidence_id=memory-image", lambda e: e["evidence_id"] == "memory-image"),
        ("since=2026-11-24T03:12:00", lambda e: e["time"] >= "2026-11-24T03:12:00.000000Z"),
        ("until=2026-11-24T04:12:00%2B01:00", lambda e: e["time"] < "2026-11-24T03:12:00.000000Z"),
        ("text=SNAP-3", lambda e: "snap-3" in e["what"].lower()),
    ],
)
def test_api_timeline_is_searched(client: TestClient, query: str, wanted: Callable[[dict[str, str]], bool]) -> None:
    route = f"/api/cases/{sample.CASE_ID}/timeline?limit=1000"
    everything = client.get(route).json()["entries"]
    found = client.get(f"{route}&{query}").json()["entries"]
    assert found == [entry for entry in everything if wanted(entry)]
    assert 0 < len(found) < len(everything)


def test_api_timeline_pages_without_loss_or_repeat(client: TestClient) -> None:
    route = f"/api/cases/{sample.CASE_ID}/timeline"
    whole = client.get(route, params={"limit": 1000}).json()
    assert whole["next"] is None
    seen, cursor = [], None
    while True:
        page = client.get(route, params={"limit": 17} | ({"cursor": cursor} if cursor else {})).json()
        seen += page["entries"]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == whole["entries"]
    assert len(seen) > 70
    assert client.get(route).text.isascii()


@pytest.mark.parametrize(
    "route",
    ["/?limit=0", "/?limit=many", "/?cursor=fc-x", f"/api/cases/{sample.CASE_ID}/timeline?cursor=x", "/run"],
)
def test_wrong_values_are_told(client: TestClient, route: str) -> None:
    answer = client.get(route)
    assert answer.status_code == 422
    assert "wrong value" in answer.text


@pytest.mark.parametrize("route", ROUTES)
def test_a_store_that_cannot_answer_is_a_clear_503(client: TestClient, shelf: Shelf, route: str) -> None:
    shelf.broken = ForensicsError(
        "list cases in table t: AWS could not be reached: <i>x</i>\x1b", next_action="check the network path"
    )
    answer = client.get(route)
    assert answer.status_code == 503
    assert "check the network path" in answer.text
    assert "AWS could not be reached" in answer.text
    assert "Traceback" not in answer.text
    assert "\x1b" not in answer.text
    if not route.startswith("/api/"):
        check(answer.text)


@pytest.mark.parametrize("route", ["/", "/api/cases"])
def test_an_unknown_error_shows_neither_message_nor_trace(client: TestClient, shelf: Shelf, route: str) -> None:
    shelf.broken = RuntimeError("secret detail")
    answer = client.get(route)
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert "RuntimeError" in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_pages_only_read(client: TestClient, method: str) -> None:
    assert client.request(method, "/").status_code == 405


@pytest.mark.parametrize("route", ["/docs", "/redoc", "/openapi.json"])
def test_no_other_pages_exist(client: TestClient, route: str) -> None:
    assert client.get(route).status_code == 404


def test_empty_board(client: TestClient, shelf: Shelf) -> None:
    shelf.views.clear()
    assert "No case has been opened yet." in check(client.get("/").text).text
