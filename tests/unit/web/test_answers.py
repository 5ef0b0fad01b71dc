"""Errors as answers: each says what, why and what to do next, and shows nothing of the program."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient

from forensics.errors import AccessDeniedError
from forensics.web.answers import SECURITY_HEADERS, install
from forensics.web.problem import Problem

RAISED: dict[str, Exception] = {
    "problem": Problem(409, "Title", "what", "why", "next"),
    "store": AccessDeniedError("the table is closed", next_action="open it"),
    "signin": HTTPException(401, "no session"),
    "right": HTTPException(403, "no right"),
    "unknown": KeyError("secret"),
}


@pytest.fixture(scope="module")
def client() -> TestClient:
    """An app whose routes fail as their names say."""
    app = FastAPI()
    install(app, airflow="/airflow")

    def fail(name: str) -> Any:
        raise RAISED[name]

    app.add_api_route("/api/{name}", fail)
    app.add_api_route("/{name}", fail)
    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("name", "status", "title", "next_action"),
    [
        ("problem", 409, "Title", "next"),
        ("store", 503, "The case store cannot answer", "open it"),
        ("signin", 401, "Sign in first", "Sign in to Airflow, then load this page again."),
        ("right", 403, "Not allowed", "ask for the right to read runs"),
        ("unknown", 500, "This page failed", "Read the api-server's log"),
    ],
)
def test_an_error_is_a_page_and_json(client: TestClient, name: str, status: int, title: str, next_action: str) -> None:
    page, data = client.get(f"/{name}"), client.get(f"/api/{name}")
    assert (page.status_code, data.status_code) == (status, status)
    error = data.json()["error"]
    assert error["title"] == title and next_action in error["next"] and title in page.text
    for answer in (page, data):
        assert "secret" not in answer.text
        assert {k: answer.headers[k] for k in SECURITY_HEADERS} == SECURITY_HEADERS
        assert ("www-authenticate" in answer.headers) is (status == 401)
