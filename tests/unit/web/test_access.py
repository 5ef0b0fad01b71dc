"""Who may see cases: whoever Airflow lets read the runs of the case DAG."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from fastapi.testclient import TestClient

from forensics.web.access import airflow_access, refuse_everyone
from forensics.web.app import create_app
from forensics.web.reader import StoreReader


def test_airflows_own_sign_in_refuses_a_request_without_token() -> None:
    def never(*_: Any) -> Any:
        pytest.fail("the store was asked without a session")

    client = TestClient(create_app(StoreReader(never), authorize=airflow_access()))
    answer = client.get("/api/cases")
    assert answer.status_code == 401
    assert answer.json()["error"]["why"] == "Not authenticated"


def test_sign_in_that_cannot_be_imported_closes_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "airflow.api_fastapi.core_api.security", None)
    assert airflow_access() is refuse_everyone
