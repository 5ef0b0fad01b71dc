"""The API's OpenAPI document: valid, behind the sign-in, and true of every answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from forensics.case.remarks import Author
from forensics.custody.audit_plan import AuditSummary, Budget
from forensics.models.intake import IntakeCounts
from forensics.models.preflight import PagesReach
from forensics.models.remarks import Remark, RemarkRequest
from forensics.report.remarks import known_findings
from forensics.web.app import create_app
from forensics.web.intake import IntakeState
from forensics.web.preflight import PreflightState
from tests.unit.builders import NOW
from tests.unit.report import sample
from tests.unit.web.test_app import Shelf, authorize
from tests.unit.web.test_remarks import visitor

GOOD = {"Authorization": "Bearer good", "X-Rights": "read,respond"}
OPEN = "fc-20261123-ffffffffff"


class Everything:
    """The readers of the other pages, each with something to say."""

    def audit(self) -> AuditSummary:
        return AuditSummary(at=NOW, run_id="r", budget=Budget(size_bytes=1, requests=1), every_days=30)

    def intake(self, *, limit: int) -> IntakeState:
        return IntakeState((IntakeCounts(day="2026-11-24", numbers={"opened": 1}),), (), 1, 0)

    def state(self) -> PreflightState:
        return PreflightState()

    def pages(self) -> PagesReach:
        return PagesReach(at=NOW, results=())

    def link(self, case_id: str, path: str, *, author: Author) -> str | None:
        return None

    def add(self, case_id: str, asked: RemarkRequest, *, author: Author, title: str, evidence_id: str) -> None:
        """Nothing is kept here."""


@pytest.fixture
def client() -> Iterator[TestClient]:
    every = Everything()
    remark = Remark(kind="comment", note="x", by="mara", at=NOW, seq=3)
    stored = (f"s3://evidence/cases/{sample.CASE_ID}/report/20261124T031500.000000Z/report.html",)
    running = sample.running_view()
    shelf = Shelf(
        {
            sample.CASE_ID: sample.rich_view(remarks=(remark,), objects=stored),
            OPEN: running.model_copy(update={"case": running.case.model_copy(update={"case_id": OPEN})}),
        }
    )
    app = create_app(
        shelf, authorize=authorize, visitor=visitor, intake=every, audit=every, preflight=every, remarks=every, downloads=every
    )  # fmt: skip
    with TestClient(app, headers=GOOD, raise_server_exceptions=False) as made:
        yield made


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/api/openapi.json").json()
    return found


def test_the_document_is_valid_and_every_route_of_the_api_is_in_it(
    client: TestClient, document: dict[str, Any]
) -> None:
    validate(document)
    served = {
        (r.path, m.lower()) for r in client.app.routes for m in getattr(r, "methods", ()) if r.path.startswith("/api/")
    }  # type: ignore[attr-defined]
    told = {(path, method) for path, operations in document["paths"].items() for method in operations}
    assert served - told == {("/api/openapi.json", "get")} and told <= served
    assert all(path.startswith("/api/") for path in document["paths"])


def test_the_document_is_for_those_who_may_read_cases(client: TestClient) -> None:
    assert client.get("/api/openapi.json", headers={"Authorization": ""}).status_code == 401


def test_every_operation_says_what_it_does_and_every_parameter_of_the_board_is_there(document: dict[str, Any]) -> None:
    for operations in document["paths"].values():
        for operation in operations.values():
            assert len(operation["summary"]) > 10 and operation["description"]
    names = {p["name"] for p in document["paths"]["/api/cases"]["get"]["parameters"]}
    assert {"q", "status", "needs", "owner", "sort", "limit", "cursor"} <= names


@pytest.mark.parametrize("case_id", [sample.CASE_ID, OPEN])
def test_every_answer_is_what_the_document_says(client: TestClient, document: dict[str, Any], case_id: str) -> None:
    for path, operations in document["paths"].items():
        answer = client.get(path.replace("{case_id}", case_id))
        assert answer.status_code == 200, (path, answer.text)
        _hold(answer.json(), operations["get"]["responses"]["200"], document)


def test_a_remark_and_its_refusals_are_what_the_document_says(client: TestClient, document: dict[str, Any]) -> None:
    operation = document["paths"]["/api/cases/{case_id}/remarks"]["post"]
    route = f"/api/cases/{sample.CASE_ID}/remarks"
    key = next(iter(known_findings(sample.rich_view())))
    good = {"kind": "verdict", "finding": key, "verdict": "true"}
    Draft202012Validator(operation["requestBody"]["content"]["application/json"]["schema"]).validate(good)
    for status, body, headers in (
        (201, good, {}),
        (422, {"kind": "verdict"}, {}),
        (403, good, {"X-Rights": "read"}),
        (401, good, {"Authorization": ""}),
        (404, {**good, "finding": "a/b/c"}, {}),
    ):
        answer = client.post(route, json=body, headers=headers)
        assert answer.status_code == status
        _hold(answer.json(), operation["responses"][str(status)], document)


@pytest.mark.parametrize(
    "route", ["/api/cases?limit=0", "/api/cases?x=1", f"/api/cases/{sample.CASE_ID}/timeline?since=x"]
)
def test_a_refused_parameter_has_the_form_of_every_refusal(
    client: TestClient, document: dict[str, Any], route: str
) -> None:
    answer = client.get(route)
    assert answer.status_code == 422
    _hold(answer.json(), document["paths"]["/api/cases"]["get"]["responses"]["422"], document)


def _hold(answer: Any, told: dict[str, Any], document: dict[str, Any]) -> None:
    schema = told["content"]["application/json"]["schema"]
    Draft202012Validator({**schema, "components": document["components"]}).validate(answer)
