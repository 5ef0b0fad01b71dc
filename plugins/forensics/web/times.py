"""How long cases took: the page and the JSON behind it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from forensics.models.base import format_utc
from forensics.report.page import Link
from forensics.report.text import duration
from forensics.web.answers import site_of
from forensics.web.api_models import Times
from forensics.web.openapi import described
from forensics.web.pages import render
from forensics.web.reader import CaseReader
from forensics.web.response_times import response_times


def add_times(app: FastAPI, reader: CaseReader, *, airflow: str) -> None:
    """Add the routes ``/times`` and ``/api/times`` to the pages."""

    def page(request: Request) -> Response:
        known, site = reader.cases(), site_of(request, airflow=airflow)
        found = response_times(known.entries, datetime.now(UTC))
        links = [Link("All cases", site.board()), Link("JSON", f"{site.root}/api/times", top=True)]
        return HTMLResponse(render("times.html.j2", windows=found, as_of=known.at, duration=duration, links=links))

    def as_json() -> Response:
        """Percentiles of the seconds from reception to case, containment, first results and report, over all cases."""
        known = reader.cases()
        found = [asdict(window) for window in response_times(known.entries, datetime.now(UTC))]
        return JSONResponse({"as_of": format_utc(known.at), "windows": found})

    app.add_api_route("/times", page, methods=["GET"], response_model=None)
    app.add_api_route("/api/times", as_json, methods=["GET"], response_model=None, responses=described(Times))
