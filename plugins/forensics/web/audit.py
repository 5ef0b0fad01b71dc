"""What the audit of the evidence has read, what is due, and how far the evidence is covered: the page and the JSON behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from forensics import case_keys
from forensics.custody.audit_plan import AuditSummary
from forensics.report.page import Link
from forensics.web.answers import site_of
from forensics.web.api_models import Audit
from forensics.web.openapi import described
from forensics.web.pages import render

if TYPE_CHECKING:
    from forensics.aws.case_store import CaseStore


class AuditReader(Protocol):
    """Read side; raises :class:`ForensicsError` when AWS cannot answer."""

    def audit(self) -> AuditSummary | None:
        """The summary of the newest run; None before the first."""
        ...


class StoreAuditReader:
    """Reads the case store; it is opened per request."""

    def __init__(self, open_store: Callable[[], CaseStore] | None = None) -> None:
        self._open = open_store or _open_store

    def audit(self) -> AuditSummary | None:
        """The summary of the newest run; None before the first."""
        from forensics.case.audit_schedule import SUMMARY_OF

        return self._open().get(SUMMARY_OF, case_keys.AUDIT_SUMMARY, AuditSummary)


def _open_store() -> CaseStore:
    # Imported on the first request: the plugin must load where AWS or its settings are missing.
    from forensics.aws.case_store import CaseStore
    from forensics.aws.hook import ForensicsHook

    hook = ForensicsHook()
    return CaseStore.of(hook.own(), hook.settings)


def size(number: int) -> str:
    """Bytes for people: 1024-based, one decimal."""
    value = float(number)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def add_audit(app: FastAPI, reader: AuditReader, *, airflow: str) -> None:
    """Add the routes ``/audit`` and ``/api/audit`` to the pages."""

    def page(request: Request) -> Response:
        site = site_of(request, airflow=airflow)
        links = [Link("All cases", site.board()), Link("JSON", f"{site.root}/api/audit", top=True)]
        return HTMLResponse(render("audit.html.j2", summary=reader.audit(), size=size, links=links, site=site))

    def as_json() -> Response:
        """What the audit of the evidence has read, and what is due."""
        summary = reader.audit()
        found = None if summary is None else {**summary.model_dump(mode="json"), "share": round(summary.share, 4)}
        return JSONResponse({"summary": found})

    app.add_api_route("/audit", page, methods=["GET"], response_model=None)
    app.add_api_route("/api/audit", as_json, methods=["GET"], response_model=None, responses=described(Audit))
