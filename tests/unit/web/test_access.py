"""Who may see cases: whoever Airflow lets read the runs of the case DAG."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from forensics.web.access import Right, Visitor, airflow_access, airflow_visitor, refuse_everyone
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


@pytest.mark.parametrize(
    ("role", "rights"),
    [
        ("VIEWER", {Right.READ}),
        ("USER", set(Right)),
        ("OP", set(Right)),
        (None, set()),
    ],
)
def test_rights_are_the_answers_of_airflows_auth_manager(
    monkeypatch: pytest.MonkeyPatch, role: str | None, rights: set[Right]
) -> None:
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

    assert _shown(monkeypatch, SimpleAuthManager, role) == {"who": "mara", "rights": sorted(rights)}


def _shown(monkeypatch: pytest.MonkeyPatch, manager: Any, role: str | None) -> dict[str, Any]:
    """What the dependency answers where Airflow's own auth manager decides; its database of DAGs, which names teams, is not there."""
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.api_fastapi.core_api.security import get_user
    from airflow.models.dag import DagModel

    monkeypatch.setattr("airflow.api_fastapi.app.get_auth_manager", manager)
    monkeypatch.setattr(DagModel, "get_team_name", lambda _: None)
    app = FastAPI()

    @app.get("/")
    def show(found: Visitor = Depends(airflow_visitor())) -> dict[str, object]:  # noqa: B008
        return {"who": str(found.person), "rights": sorted(found.rights)}

    app.dependency_overrides[get_user] = lambda: SimpleAuthManagerUser(username="mara", role=role)
    answer: dict[str, Any] = TestClient(app).get("/").json()
    return answer


@pytest.mark.parametrize(
    ("dag", "rights"),
    [
        ("forensic_case", {Right.READ, Right.RESPOND}),
        ("forensic_release", {Right.RELEASE, Right.APPROVE}),
        ("case_export", {Right.EXPORT}),
        ("forensic_profile", {Right.PROFILE}),
        ("forensic_sweep", {Right.SWEEP}),
        ("symbol_library", set()),
    ],
)
def test_permissions_on_one_dag_give_the_rights_of_that_dag_alone(
    monkeypatch: pytest.MonkeyPatch, dag: str, rights: set[Right]
) -> None:
    """As FAB's roles have them: each DAG is a resource of its own."""
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

    class OneDag(SimpleAuthManager):
        def is_authorized_dag(self, *, details: Any = None, **asked: Any) -> bool:
            return details.id == dag and super().is_authorized_dag(details=details, **asked)

    assert set(_shown(monkeypatch, OneDag, "USER")["rights"]) == rights


def test_a_visitor_cannot_be_asked_for_where_airflows_sign_in_cannot_be_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "airflow.api_fastapi.core_api.security", None)
    assert airflow_visitor() is refuse_everyone
