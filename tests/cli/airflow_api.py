"""Airflow's API as far as the command asks it, with Airflow's own models for bodies and answers, and the product's real pages beside it.

Routes and models: airflow.api_fastapi.core_api (Airflow 3.3.1), routes/public/dag_run.py, task_instances.py, xcom.py. The whole API server
answers the same commands in test_against_airflow.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from airflow.api_fastapi.core_api.datamodels.dag_run import DAGRunResponse, TriggerDAGRunPostBody
from airflow.api_fastapi.core_api.datamodels.xcom import XComResponseNative
from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.testclient import TestClient

from forensics.models.preflight import CheckResult, CheckStatus, PagesReach, PreflightReport
from forensics.web.app import create_app
from forensics.web.preflight import PreflightState
from forensics_cli.api import Api
from tests.unit.web.test_app import Shelf

TOKEN = "good"
RUN_AT = datetime(2026, 11, 24, 3, 12, tzinfo=UTC)


@dataclass
class Site:
    """Runs that were started, and what their tasks and states are as time passes (the last one stays)."""

    shelf: Shelf
    started: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    states: list[str] = field(default_factory=lambda: ["success"])
    tasks: dict[str, str] = field(default_factory=dict)
    opens: list[Any] = field(default_factory=lambda: [None])
    reports: tuple[PreflightReport, ...] = ()
    refuse: str = ""

    def state(self) -> PreflightState:
        """For the preflight's page."""
        return PreflightState(self.reports)

    def pages(self) -> PagesReach:
        """Not asked by the command."""
        raise NotImplementedError

    def run(self, dag_id: str, state: str) -> dict[str, Any]:
        """A run as Airflow says it."""
        answer = DAGRunResponse(
            run_id="manual__2026-11-24T03:12:00+00:00", dag_id=dag_id, logical_date=None, queued_at=RUN_AT,
            start_date=RUN_AT, end_date=None, duration=None, data_interval_start=None, data_interval_end=None,
            run_after=RUN_AT, last_scheduling_decision=None, run_type="manual", state=state, triggered_by="rest_api",
            triggering_user_name="mara", conf={}, note=None, dag_versions=[], bundle_version=None,
            dag_model={"dag_display_name": dag_id}, partition_key=None, partition_date=None,
        )  # fmt: skip
        return answer.model_dump(mode="json")


def following(values: list[Any]) -> Any:
    """The next of some values; the last one stays."""
    return values.pop(0) if len(values) > 1 else values[0]


def authorize(authorization: str = Header("")) -> None:
    """Airflow's sign-in by token."""
    if authorization != f"Bearer {TOKEN}":
        raise HTTPException(401, "Invalid JWT token")


class _Current:
    """The site of the test that runs; the application is made once, which takes seconds."""

    site: Site

    def __getattr__(self, name: str) -> Any:
        # what the pages ask of their readers
        return getattr(self.site if hasattr(Site, name) else self.site.shelf, name)


CURRENT = _Current()


def application(site: Site) -> FastAPI:
    """Airflow with the product's pages, for this site from now on."""
    CURRENT.site = site
    return _application()


@cache
def _application() -> FastAPI:
    app, site = FastAPI(), CURRENT
    app.mount("/forensics", create_app(site, authorize=authorize, preflight=site))
    signed_in = [Depends(authorize)]

    @app.post("/auth/token", status_code=201)
    def token(body: dict[str, str]) -> dict[str, str]:
        if body != {"username": "mara", "password": "right"}:
            raise HTTPException(401, "Invalid credentials")
        return {"access_token": TOKEN}

    @app.post("/api/v2/dags/{dag_id}/dagRuns", dependencies=signed_in)
    def start(dag_id: str, body: TriggerDAGRunPostBody) -> dict[str, Any]:
        if CURRENT.site.refuse:
            raise HTTPException(400, CURRENT.site.refuse)
        CURRENT.site.started.append((dag_id, body.conf or {}))
        return CURRENT.site.run(dag_id, "queued")

    @app.get("/api/v2/dags/{dag_id}/dagRuns/{run_id}", dependencies=signed_in)
    def run(dag_id: str, run_id: str) -> dict[str, Any]:
        return CURRENT.site.run(dag_id, following(CURRENT.site.states))

    @app.get("/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances", dependencies=signed_in)
    def tasks(dag_id: str, run_id: str) -> dict[str, Any]:
        return {
            "task_instances": [{"task_id": k, "state": v} for k, v in CURRENT.site.tasks.items()],
            "total_entries": len(CURRENT.site.tasks),
        }

    @app.get("/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}", dependencies=signed_in)
    def xcom(dag_id: str, run_id: str, task_id: str, key: str) -> dict[str, Any]:
        case_id = following(CURRENT.site.opens)
        if case_id is None:
            raise HTTPException(404, f"XCom entry with key: `{key}` not found")
        answer = XComResponseNative(
            key=key, timestamp=RUN_AT, logical_date=None, map_index=-1, task_id=task_id, dag_id=dag_id, run_id=run_id,
            dag_display_name=dag_id, task_display_name=task_id, run_after=RUN_AT, value=case_id,
        )  # fmt: skip
        return answer.model_dump(mode="json")

    return app


def api_of(site: Site, *, token: str = TOKEN) -> Api:
    """The command's API on this application, without a socket (Starlette's client is one of httpx)."""
    client = TestClient(application(site), base_url="https://airflow.example.com", raise_server_exceptions=False)
    client.headers["Authorization"] = f"Bearer {token}"
    return Api(client)


def preflight_report(status: CheckStatus, *, at: datetime) -> PreflightReport:
    """A report with one line."""
    line = CheckResult(check="role", subject="contain", status=status, detail="denied \x1b[31m", next_action="deploy")
    return PreflightReport.of([line], run="manual", part="quick", at=at, seconds=1.0)
