"""The case pages as a FastAPI app: board, case, DAG-run tab, JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import JsonValue

from forensics.errors import ForensicsError
from forensics.models.base import CASE_ID_FORM, format_utc
from forensics.models.case import Case, CaseView
from forensics.report import render_html, render_json
from forensics.report.chronology import Moment, merged
from forensics.report.document import to_json
from forensics.web.access import Access
from forensics.web.answers import Problem, install, site_of
from forensics.web.audit import AuditReader, add_audit
from forensics.web.intake import IntakeReader, add_intake
from forensics.web.pages import BoardRow, Site, board_page, board_row
from forensics.web.preflight import PreflightReader, add_preflight, headline
from forensics.web.reader import CaseReader

REFRESH_SECONDS = 30
_READERS = 8

Limit = Annotated[int, Query(ge=1, le=100)]
TimelineLimit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str | None, Query(max_length=200, pattern=r"^[\x21-\x7e]+$")]
TimelineCursor = Annotated[str | None, Query(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z~[0-9a-f]{16}$")]
RunId = Annotated[str, Query(min_length=1, max_length=250)]


def create_app(
    reader: CaseReader,
    *,
    authorize: Access,
    airflow_path: str = "",
    intake: IntakeReader | None = None,
    audit: AuditReader | None = None,
    preflight: PreflightReader | None = None,
) -> FastAPI:
    """Make the app.

    ``authorize`` is a FastAPI dependency that raises 401 or 403; every route depends on it.
    ``airflow_path`` is the path of Airflow's own UI, without a closing slash. With ``intake`` there are also the pages on
    messages that opened no case, with ``audit`` the one on the audit of the evidence, with ``preflight`` those on whether a
    case would succeed.
    """
    app = FastAPI(
        title="Forensic cases",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(authorize)],
    )
    install(app, airflow=airflow_path)
    pages = _Pages(
        reader,
        airflow=airflow_path,
        with_intake=intake is not None,
        with_audit=audit is not None,
        preflight=preflight,
    )
    routes: list[tuple[str, Callable[..., Response]]] = [
        ("/", pages.board),
        ("/case/{case_id}", pages.case),
        ("/run", pages.run),
        ("/api/cases", pages.api_cases),
        ("/api/cases/{case_id}", pages.api_case),
        ("/api/cases/{case_id}/timeline", pages.api_timeline),
    ]
    for path, endpoint in routes:
        app.add_api_route(path, endpoint, methods=["GET"], response_model=None)
    if intake is not None:
        add_intake(app, intake, airflow=airflow_path)
    if audit is not None:
        add_audit(app, audit, airflow=airflow_path)
    if preflight is not None:
        add_preflight(app, preflight, airflow=airflow_path)
    return app


@dataclass(frozen=True)
class TimelineQuery:
    """Which entries of a timeline are wanted; times are taken as UTC when they name no offset."""

    kind: Annotated[str | None, Query(pattern=r"^[a-z]{2,20}$")] = None
    evidence_id: Annotated[str | None, Query(max_length=100)] = None
    since: datetime | None = None
    until: datetime | None = None
    text: Annotated[str | None, Query(min_length=1, max_length=200)] = None

    def fits(self, moment: Moment) -> bool:
        """Whether the entry is wanted."""
        return (
            (self.kind is None or moment.kind == self.kind)
            and (self.evidence_id is None or moment.evidence_id == self.evidence_id)
            and (self.since is None or moment.time >= _utc(self.since))
            and (self.until is None or moment.time < _utc(self.until))
            and (self.text is None or self.text.lower() in f"{moment.what} {moment.source}".lower())
        )


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class _Pages:
    """The routes; plain functions, so that FastAPI runs them in threads while they wait for AWS."""

    def __init__(
        self,
        reader: CaseReader,
        *,
        airflow: str,
        with_intake: bool,
        with_audit: bool = False,
        preflight: PreflightReader | None = None,
    ) -> None:
        self._reader = reader
        self._preflight = preflight
        self._with_intake = with_intake
        self._with_audit = with_audit
        self._airflow = airflow

    def board(self, request: Request, limit: Limit = 20, cursor: Cursor = None) -> Response:
        """All cases, newest first."""
        site = self._site(request)
        cases, following = self._reader.list_cases(limit=limit, cursor=cursor)
        older = site.board(following, limit) if following else None
        page = board_page(
            self._rows(cases, site),
            older=older,
            newest=site.board() if cursor else None,
            refresh=REFRESH_SECONDS,
            intake=site.intake() if self._with_intake else "",
            audit=site.audit() if self._with_audit else "",
            preflight=(site.preflight(), *headline(self._preflight)) if self._preflight else None,
        )
        return HTMLResponse(page)

    def case(self, request: Request, case_id: str) -> Response:
        """The report of one case, from the records as they are now."""
        return self._report(self._view(case_id), request)

    def run(self, request: Request, run_id: RunId, dag_id: str = "") -> Response:
        """The tab on a DAG run: the report of the case that the run processes."""
        case_id = self._reader.case_of_run(run_id)
        if case_id is None:
            raise Problem(
                404,
                "No case belongs to this DAG run",
                f"Run {run_id} of DAG {dag_id or 'unknown'} has no case among the newest ones",
                "Only runs of forensic_case process a case, and only once their first task has opened it.",
                "If the run has just started, reload. Otherwise look for the case on the board.",
            )
        return self._report(self._view(case_id), request, with_run=False)

    def api_cases(self, request: Request, limit: Limit = 20, cursor: Cursor = None) -> Response:
        """All cases as JSON, newest first."""
        cases, following = self._reader.list_cases(limit=limit, cursor=cursor)
        rows = [_row_json(row) for row in self._rows(cases, self._site(request))]
        return JSONResponse({"cases": rows, "next": following})

    def api_case(self, case_id: str) -> Response:
        """The report of one case as JSON."""
        return Response(render_json(self._view(case_id)), media_type="application/json")

    def api_timeline(
        self,
        case_id: str,
        asked: Annotated[TimelineQuery, Depends()],
        limit: TimelineLimit = 200,
        cursor: TimelineCursor = None,
    ) -> Response:
        """The merged timeline, oldest first; ``next`` continues after the last entry of this page."""
        moments = [m for m in merged(self._view(case_id)) if (cursor is None or m.key > cursor) and asked.fits(m)]
        page = moments[:limit]
        following = page[-1].key if len(moments) > limit else None
        body = {"case_id": case_id, "entries": [_moment_json(m) for m in page], "next": following}
        # ASCII, so that no character of the target's reaches a terminal as it is.
        return Response(json.dumps(body, ensure_ascii=True), media_type="application/json")

    def _site(self, request: Request) -> Site:
        return site_of(request, airflow=self._airflow)

    def _view(self, case_id: str) -> CaseView:
        view = self._reader.case_view(case_id) if CASE_ID_FORM.fullmatch(case_id) else None
        if view is None:
            raise Problem(
                404,
                "This case does not exist",
                f"No case has the id {case_id[:80]}",
                "A case id looks like fc-20261124-0a1b2c3d4e; this one is not in the case store.",
                "Look for the case on the board.",
            )
        return view

    def _report(self, view: CaseView, request: Request, *, with_run: bool = True) -> Response:
        links = self._site(request).case_links(view.case, with_run=with_run)
        return HTMLResponse(render_html(view, links=links))

    def _rows(self, cases: Sequence[Case], site: Site) -> list[BoardRow]:
        if not cases:
            return []
        with ThreadPoolExecutor(max_workers=min(_READERS, len(cases))) as pool:
            return list(pool.map(lambda case: self._row(case, site), cases))

    def _row(self, case: Case, site: Site) -> BoardRow:
        try:
            view = self._reader.board_view(case)
        except ForensicsError as error:
            # One case that cannot be read must not hide the others.
            return board_row(case, view=None, problem=f"{error.message} {error.next_action}", site=site)
        return board_row(case, view=view, problem=None, site=site)


def _row_json(row: BoardRow) -> dict[str, JsonValue]:
    return {
        "case": to_json(row.case.model_dump(mode="python")),
        "contained": row.contained.short if row.contained else None,
        "contained_in_words": row.contained.sentence if row.contained else None,
        "evidence": [words for _, words in row.outcomes],
        "gap_count": row.gap_count,
        "problem": row.problem,
        "href": row.href,
        "run_href": row.run_href,
    }


def _moment_json(moment: Moment) -> dict[str, JsonValue]:
    return {
        "time": format_utc(moment.time),
        "kind": moment.kind,
        "what": moment.what,
        "source": moment.source,
        "evidence_id": moment.evidence_id,
    }
