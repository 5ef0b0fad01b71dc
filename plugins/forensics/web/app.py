"""The case pages as a FastAPI app: board, case, DAG-run tab, JSON."""

from __future__ import annotations

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
from forensics.models.board import Entry
from forensics.models.case import CaseView
from forensics.report import render_html, render_json
from forensics.report.document import to_json
from forensics.report.page import Live
from forensics.report.timeline_filter import EVERYTHING, TimelineFilter
from forensics.web.access import Access, Visitor, reader_only, visitor_of
from forensics.web.answers import install, site_of
from forensics.web.api_models import Answer, Board, CaseReport
from forensics.web.audit import AuditReader, add_audit
from forensics.web.board import BoardQuery, refuse_unknown, select
from forensics.web.desk import desk_of
from forensics.web.downloads import LinkMaker, add_downloads
from forensics.web.frame import policy, script
from forensics.web.incident import LinkReader, add_incident
from forensics.web.intake import IntakeReader, add_intake
from forensics.web.moments import moment_of
from forensics.web.openapi import add_openapi, described
from forensics.web.pages import Beside, BoardRow, Site, board_page, board_row
from forensics.web.preflight import PreflightReader, add_preflight, headline
from forensics.web.problem import Problem
from forensics.web.reader import CaseReader
from forensics.web.remarks import RemarkWriter, add_remarks
from forensics.web.timeline import TimelineReader, WithoutStore, add_timeline
from forensics.web.times import add_times

REFRESH_SECONDS = 30
_READERS = 8

RunId = Annotated[str, Query(min_length=1, max_length=250)]


def create_app(
    reader: CaseReader,
    *,
    authorize: Access,
    airflow_path: str = "",
    intake: IntakeReader | None = None,
    audit: AuditReader | None = None,
    preflight: PreflightReader | None = None,
    visitor: Access = reader_only,
    remarks: RemarkWriter | None = None,
    downloads: LinkMaker | None = None,
    timeline: TimelineReader | None = None,
    links: LinkReader | None = None,
) -> FastAPI:
    """Make the app.

    ``authorize`` is a FastAPI dependency that raises 401 or 403; every route depends on it.
    ``visitor`` is one that answers with the :class:`Visitor`; without it nobody may do more than read.
    ``airflow_path`` is the path of Airflow's own UI, without a closing slash. With ``intake`` there are also the pages on
    messages that opened no case, with ``remarks`` what people say is taken, with ``downloads`` stored
    objects are handed out, with ``audit`` the one on the audit of the evidence, with ``preflight`` those on whether a
    case would succeed. Without ``timeline`` searches find what the case table holds.
    With ``links`` there is the page of cases that share indicators.
    """
    app = FastAPI(
        title="Forensic cases",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(authorize), Depends(_introduced(visitor))],
    )
    install(app, airflow=airflow_path)
    pages = _Pages(
        reader,
        airflow=airflow_path,
        with_intake=intake is not None,
        with_audit=audit is not None,
        preflight=preflight,
        with_remarks=remarks is not None,
        with_downloads=downloads is not None,
        with_links=links is not None,
    )
    routes: list[tuple[str, Callable[..., Response], type[Answer] | None]] = [
        ("/", pages.board, None),
        ("/case/{case_id}", pages.case, None),
        ("/run", pages.run, None),
        ("/api/cases", pages.api_cases, Board),
        ("/api/cases/{case_id}", pages.api_case, CaseReport),
    ]
    for path, endpoint, answer in routes:
        strict = [Depends(refuse_unknown)] if path in {"/", "/api/cases"} else []
        told = described(answer) if answer else {}
        app.add_api_route(path, endpoint, methods=["GET"], response_model=None, dependencies=strict, responses=told)
    add_times(app, reader, airflow=airflow_path)
    add_timeline(app, timeline or WithoutStore(), view_of=pages.view, airflow=airflow_path)
    if links is not None:
        add_incident(app, links, reader, view_of=pages.view, airflow=airflow_path)
    if remarks is not None:
        add_remarks(app, remarks, view_of=pages.view, airflow=airflow_path)
    if downloads is not None:
        add_downloads(app, downloads, view_of=pages.view, airflow=airflow_path)
    if intake is not None:
        add_intake(app, intake, airflow=airflow_path)
    if audit is not None:
        add_audit(app, audit, airflow=airflow_path)
    if preflight is not None:
        add_preflight(app, preflight, airflow=airflow_path)
    add_openapi(app, airflow=airflow_path)
    return app


def _introduced(visitor: Access) -> Callable[[Request, Visitor], None]:
    """Dependency after which every route knows who asks."""

    def remember(request: Request, found: Visitor = Depends(visitor)) -> None:  # noqa: B008 - the way of FastAPI
        request.state.forensics_visitor = found

    return remember


@dataclass(frozen=True)
class TimelineQuery:
    """Which entries of a timeline are wanted; times are taken as UTC when they name no offset."""

    kind: Annotated[str, Query(pattern=r"^([a-z]{2,20})?$")] = ""
    evidence_id: Annotated[str, Query(max_length=100)] = ""
    since: Annotated[str, Query(max_length=40)] = ""
    until: Annotated[str, Query(max_length=40)] = ""
    text: Annotated[str, Query(max_length=200)] = ""

    @property
    def filter(self) -> TimelineFilter:
        """What the report's timeline understands."""
        return TimelineFilter(
            self.kind or None, self.evidence_id or None, moment_of(self.since), moment_of(self.until), self.text or None
        )


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
        with_remarks: bool = False,
        with_downloads: bool = False,
        with_links: bool = False,
    ) -> None:
        self._with_links = with_links
        self._with_downloads = with_downloads
        self._with_remarks = with_remarks
        self._reader = reader
        self._preflight = preflight
        self._with_intake = with_intake
        self._with_audit = with_audit
        self._airflow = airflow

    def board(self, request: Request, asked: Annotated[BoardQuery, Depends()]) -> Response:
        """The cases that are asked for, those that need a person first."""
        site, now = self._site(request), datetime.now(UTC)
        known = self._reader.cases()
        found = select(known.entries, asked, now)
        beside = Beside(
            times=site.times(),
            intake=site.intake() if self._with_intake else "",
            audit=site.audit() if self._with_audit else "",
            preflight=(site.preflight(), *headline(self._preflight)) if self._preflight else None,
        )
        rows = self._rows(found.entries, site, now)
        return HTMLResponse(
            board_page(
                rows,
                found,
                asked=asked,
                site=site,
                as_of=known.at,
                unread=known.unread,
                refresh=REFRESH_SECONDS,
                beside=beside,
            )
        )

    def case(self, request: Request, case_id: str, asked: Annotated[TimelineQuery, Depends()]) -> Response:
        """The report of one case, from the records as they are now; of its timeline what is asked for."""
        return self._report(self.view(case_id), request, asked=asked.filter)

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
        return self._report(self.view(case_id), request, with_run=False)

    def api_cases(self, request: Request, asked: Annotated[BoardQuery, Depends()]) -> Response:
        """The same cases as JSON; ``next`` is the ``cursor`` of the next page."""
        now, known = datetime.now(UTC), self._reader.cases()
        found = select(known.entries, asked, now)
        rows = [_row_json(row, now) for row in self._rows(found.entries, self._site(request), now)]
        numbers = {
            "total": found.total,
            "matched": found.matched,
            "by_status": found.by_status,
            "by_need": found.by_need,
        }
        return JSONResponse(
            {
                "cases": rows,
                "next": found.following,
                "as_of": format_utc(known.at),
                "unread": list(known.unread),
                **numbers,
            }
        )

    def api_case(self, case_id: str) -> Response:
        """The report of one case as JSON."""
        return Response(render_json(self.view(case_id)), media_type="application/json")

    def _site(self, request: Request) -> Site:
        return site_of(request, airflow=self._airflow)

    def view(self, case_id: str) -> CaseView:
        """The whole case; raises :class:`Problem` (404) for an id that is none."""
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

    def _report(
        self, view: CaseView, request: Request, *, with_run: bool = True, asked: TimelineFilter = EVERYTHING
    ) -> Response:
        site = self._site(request)
        links = site.case_links(view.case, with_run=with_run, with_links=self._with_links)
        page = site.case(view.case.case_id)
        desk = desk_of(
            visitor_of(request),
            airflow=self._airflow,
            remarks=f"{page}/remarks" if self._with_remarks else "",
            download=f"{page}/download?path=" if self._with_downloads else "",
        )
        live = Live(
            links=links, airflow=self._airflow, page=page, asked=asked, desk=desk, script=script(), policy=policy()
        )
        return HTMLResponse(render_html(view, live=live))

    def _rows(self, entries: Sequence[Entry], site: Site, now: datetime) -> list[BoardRow]:
        if not entries:
            return []
        with ThreadPoolExecutor(max_workers=min(_READERS, len(entries))) as pool:
            return list(pool.map(lambda entry: self._row(entry, site, now), entries))

    def _row(self, entry: Entry, site: Site, now: datetime) -> BoardRow:
        try:
            view = self._reader.board_view(entry.case)
        except ForensicsError as error:
            # One case that cannot be read must not hide the others.
            return board_row(entry, view=None, problem=f"{error.message} {error.next_action}", site=site, now=now)
        return board_row(entry, view=view, problem=None, site=site, now=now)


def _row_json(row: BoardRow, now: datetime) -> dict[str, JsonValue]:
    case = row.case
    return {
        "needs": [words for _, words in row.needs],
        "owner": row.owner,
        "tags": list(row.tags),
        "age_seconds": int((now - case.opened_at).total_seconds()),
        "duration_seconds": int((case.closed_at - case.opened_at).total_seconds()) if case.closed_at else None,
        "case": to_json(row.case.model_dump(mode="python")),
        "contained": row.contained.short if row.contained else None,
        "contained_in_words": row.contained.sentence if row.contained else None,
        "evidence": [words for _, words in row.outcomes],
        "gap_count": row.gap_count,
        "problem": row.problem,
        "href": row.href,
        "run_href": row.run_href,
    }
