"""The preflight's page: the last result, what this web server reaches, and which instances could not be captured today."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from forensics.errors import CaseError, ForensicsError, StoredItemError
from forensics.models.drill import DrillReport
from forensics.models.preflight import CheckStatus, PagesReach, PreflightReport, ReadinessReport
from forensics.report.page import Link
from forensics.web.answers import site_of
from forensics.web.api_models import Preflight
from forensics.web.openapi import described
from forensics.web.pages import render

if TYPE_CHECKING:
    from forensics.aws.hook import ForensicsHook

LEVELS = {CheckStatus.OK: "good", CheckStatus.BROKEN: "bad", CheckStatus.NOT_TRIED: "idle"}

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class PreflightState:
    """What is known: the last report of each part (newest first) and the last readiness list."""

    reports: tuple[PreflightReport, ...] = ()
    readiness: ReadinessReport | None = None
    drill: DrillReport | None = None


class PreflightReader(Protocol):
    """Read side; raises :class:`ForensicsError` when AWS cannot answer."""

    def state(self) -> PreflightState:
        """The last results."""
        ...

    def pages(self) -> PagesReach:
        """What this process reaches now; recorded for the preflight."""
        ...


class StorePreflightReader:
    """Reads the case store; the gateways are opened per request."""

    def __init__(self, open_hook: Callable[[], ForensicsHook] | None = None) -> None:
        self._open = open_hook or _open_hook

    def state(self) -> PreflightState:
        """The last results."""
        from forensics.aws.case_store import CaseStore
        from forensics.drill.record import last_report
        from forensics.preflight.readiness import last_readiness
        from forensics.preflight.record import last_reports

        hook = self._open()
        store = CaseStore.of(hook.own(), hook.settings)
        try:
            return PreflightState(last_reports(store), last_readiness(store), last_report(store))
        except StoredItemError as error:
            msg = "the preflight's result was written by another version"
            raise CaseError(msg, next_action="start the DAG forensic_preflight") from error

    def pages(self) -> PagesReach:
        """What this process reaches now; recorded when the case store can be reached."""
        from forensics.aws.case_store import CaseStore
        from forensics.preflight.pages_reach import reach_of_pages, record_pages

        hook = self._open()
        found = reach_of_pages(hook)
        try:
            record_pages(CaseStore.of(hook.own().impatient(), hook.settings), found)
        except ForensicsError as error:
            log.warning("what this web server reaches could not be recorded", error=error.message)
        return found


def _open_hook() -> ForensicsHook:
    # Imported on the first request: the plugin must load where AWS or its settings are missing.
    from forensics.aws.hook import ForensicsHook

    return ForensicsHook()


def headline(reader: PreflightReader) -> tuple[str, str]:
    """Level and words for the board; a preflight that cannot be read must not hide the cases."""
    try:
        reports = reader.state().reports
    except ForensicsError as error:
        return "warn", f"not readable: {error.message[:200]}"
    if not reports:
        return "warn", "has never run"
    newest = reports[0]
    return ("bad" if newest.broken else "good"), f"{newest.headline} ({newest.at:%Y-%m-%d %H:%M}Z)"


def add_preflight(app: FastAPI, reader: PreflightReader, *, airflow: str) -> None:
    """Add the routes ``/preflight`` and ``/api/preflight`` to the pages."""

    def page(request: Request) -> Response:
        pages, site = reader.pages(), site_of(request, airflow=airflow)
        links = [Link("All cases", site.board()), Link("JSON", f"{site.root}/api/preflight", top=True)]
        try:
            state, problem = reader.state(), ""
        except ForensicsError as error:
            # the page is also there for the day on which the case store cannot be reached
            state, problem = PreflightState(), f"{error.message} {error.next_action}"
        text = render("preflight.html.j2", state=state, problem=problem, pages=pages, levels=LEVELS, links=links)
        return HTMLResponse(text)

    def as_json() -> Response:
        """Whether a case would succeed today."""
        state = reader.state()
        return JSONResponse(
            {
                "reports": [r.model_dump(mode="json") for r in state.reports],
                "readiness": state.readiness.model_dump(mode="json") if state.readiness else None,
                "drill": state.drill.model_dump(mode="json") if state.drill else None,
            }
        )

    app.add_api_route("/preflight", page, methods=["GET"], response_model=None)
    app.add_api_route("/api/preflight", as_json, methods=["GET"], response_model=None, responses=described(Preflight))
