"""Cases of one attack: the page ``/case/{id}/incident`` and the JSON behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from forensics.incident.grouping import Incident, incident_of
from forensics.incident.sweep_order import open_command
from forensics.models.board import Entry
from forensics.models.case import CaseView
from forensics.models.indicators import LinkedCase
from forensics.models.sweeps import SweepReport
from forensics.report.page import Link
from forensics.web.answers import site_of
from forensics.web.api_models import IncidentAnswer
from forensics.web.openapi import described
from forensics.web.pages import render
from forensics.web.reader import CaseReader

if TYPE_CHECKING:
    from forensics.case.recorder import CaseGateways


class LinkReader(Protocol):
    """Read side; raises :class:`ForensicsError` when the store cannot answer."""

    def links(self, case_id: str) -> Sequence[LinkedCase]:
        """Other cases that share indicators with a case."""
        ...

    def sweeps(self, case_id: str) -> Sequence[SweepReport]:
        """Where its indicators were looked for, newest first."""
        ...


class StoreLinkReader:
    """Reads the case store; gateways are opened per request."""

    def __init__(self, open_gateways: Callable[[], CaseGateways] | None = None) -> None:
        self._open = open_gateways or _open_gateways

    def links(self, case_id: str) -> Sequence[LinkedCase]:
        """Other cases that share indicators with a case."""
        from forensics import case_keys

        items = self._open().store.items(case_id, case_keys.LINKED)
        return [LinkedCase.stored(data) for _, data in items]

    def sweeps(self, case_id: str) -> Sequence[SweepReport]:
        """Where its indicators were looked for, newest first."""
        from forensics.incident.sweep_record import sweeps_of

        return sweeps_of(self._open().store, case_id)


def _open_gateways() -> CaseGateways:
    # Imported on the first request: the plugin must load where AWS or its settings are missing.
    from forensics.web.gateways import page_gateways

    return page_gateways()


def add_incident(
    app: FastAPI, reader: LinkReader, cases: CaseReader, *, view_of: Callable[[str], CaseView], airflow: str
) -> None:
    """Add the page and the route to the pages."""

    def found(case_id: str) -> tuple[CaseView, Incident, dict[str, Entry]]:
        view = view_of(case_id)
        known = {entry.case.case_id: entry for entry in cases.cases().entries}
        return view, incident_of(view.case.case_id, reader.links), known

    def page(request: Request, case_id: str) -> Response:
        view, incident, known = found(case_id)
        site = site_of(request, airflow=airflow)
        links = [Link("All cases", site.board()), Link("Case", site.case(view.case.case_id))]
        return HTMLResponse(
            render(
                "incident.html.j2", case=view.case, incident=incident, links=links, address=site.case,
                sweeps=reader.sweeps(view.case.case_id), open_command=open_command,
                entries=[(name, known[name].case if name in known else None) for name in incident.cases],
            )
        )  # fmt: skip

    def as_json(case_id: str) -> Response:
        """Cases that share indicators, directly or by another one, what each two share, and where the case's indicators were looked for."""
        view, incident, _ = found(case_id)
        links = [
            {
                "cases": [link.one, link.other],
                "confidence": link.link.confidence.value,
                "shared": [i.model_dump(mode="json") for i in link.link.shared],
            }
            for link in incident.links
        ]
        return JSONResponse(
            {
                "case_id": view.case.case_id,
                "cases": list(incident.cases),
                "links": links,
                "cut": incident.cut,
                "sweeps": [report.model_dump(mode="json") for report in reader.sweeps(view.case.case_id)],
            }
        )

    app.add_api_route("/case/{case_id}/incident", page, methods=["GET"], response_model=None)
    app.add_api_route(
        "/api/cases/{case_id}/incident",
        as_json,
        methods=["GET"],
        response_model=None,
        responses=described(IncidentAnswer),
    )
