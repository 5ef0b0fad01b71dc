"""The whole timeline of a case, searched: the page ``/case/{id}/timeline`` and ``/api/cases/{id}/timeline``."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol
from urllib.parse import urlencode

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import JsonValue

from forensics.models.base import format_utc
from forensics.models.case import CaseView
from forensics.models.timeline import TimelineSource, TimelineStore
from forensics.report.chronology import merged
from forensics.report.page import Link
from forensics.timeline.case_rows import source_of_tool
from forensics.timeline.columnar import Entry
from forensics.timeline.search import Found, TimelineSearch, TimelineSearcher, entry_of, fits, page_of
from forensics.web.answers import site_of
from forensics.web.api_models import Timeline
from forensics.web.moments import moment_of
from forensics.web.openapi import described
from forensics.web.pages import render

if TYPE_CHECKING:
    from forensics.case.recorder import CaseGateways

MIB = 1024 * 1024
PER_PAGE = 200
TimelineLimit = Annotated[int, Query(ge=1, le=1000)]
TimelineCursor = Annotated[str | None, Query(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z~[0-9a-f]{16}$")]


@dataclass(frozen=True)
class StoredState:
    """What is known of the stored timeline; ``stale``: tools have ended since whose results it does not have."""

    store: TimelineStore | None
    stale: bool = False


class TimelineReader(Protocol):
    """Search side; raises :class:`ForensicsError` when the stored timeline cannot be read."""

    def state(self, view: CaseView) -> StoredState:
        """The newest stored timeline of a case; none where the case has none."""
        ...

    def search(self, view: CaseView, store: TimelineStore, asked: TimelineSearch, *, limit: int) -> Found:
        """A page of what is stored, and of what the case itself has."""
        ...


class StoreTimelineReader:
    """Reads the case store and the evidence store; gateways are opened per request, copies are kept on this machine's disk."""

    def __init__(
        self, open_gateways: Callable[[], CaseGateways] | None = None, searcher: TimelineSearcher | None = None
    ) -> None:
        self._open = open_gateways or _open_gateways
        self._searcher = searcher

    def state(self, view: CaseView) -> StoredState:
        """The newest stored timeline of a case; none where the case has none."""
        from forensics import case_keys
        from forensics.timeline.writer import results_of

        store = self._open().store.get(view.case.case_id, case_keys.TIMELINE_STORE, TimelineStore)
        return StoredState(store, stale=store is not None and store.lacks(results_of(view)))

    def search(self, view: CaseView, store: TimelineStore, asked: TimelineSearch, *, limit: int) -> Found:
        """A page of what is stored, and of what the case itself has."""
        gateway = self._open().evidence

        def read(uri: str) -> Iterator[bytes]:
            return gateway.stream(uri.removeprefix(f"s3://{gateway.bucket}/"))

        return (self._searcher or _searcher()).search(view, store, read, asked, limit=limit)


def _open_gateways() -> CaseGateways:
    # Imported on the first request: the plugin must load where AWS or its settings are missing.
    from forensics.web.gateways import page_gateways

    return page_gateways()


@lru_cache(maxsize=1)
def _searcher() -> TimelineSearcher:
    from forensics.settings import get_settings
    from forensics.timeline.cache import TimelineCache

    settings = get_settings()
    folder = Path(tempfile.gettempdir()) / f"forensics-timelines-{os.getuid()}"
    return TimelineSearcher(TimelineCache(folder, most_bytes=settings.timeline_cache_mib * MIB))


class WithoutStore:
    """For an app that has no store of timelines: every case is searched in what its table holds."""

    def state(self, view: CaseView) -> StoredState:
        """None is stored."""
        return StoredState(None)

    def search(self, view: CaseView, store: TimelineStore, asked: TimelineSearch, *, limit: int) -> Found:
        """Never called: :meth:`state` names no store."""
        msg = "this app has no store of timelines"
        raise LookupError(msg)


@dataclass(frozen=True)
class WholeTimelineQuery:
    """Which entries are wanted; times are taken as UTC when they name no offset."""

    kind: Annotated[str, Query(pattern=r"^([a-z]{2,20})?$")] = ""
    source: Annotated[str, Query(pattern=r"^([a-z_]{2,20})?$")] = ""
    evidence_id: Annotated[str, Query(max_length=100)] = ""
    technique: Annotated[str, Query(pattern=r"^(T\d{4}(\.\d{3})?)?$")] = ""
    host: Annotated[str, Query(max_length=200)] = ""
    user: Annotated[str, Query(max_length=200)] = ""
    address: Annotated[str, Query(max_length=64)] = ""
    since: Annotated[str, Query(max_length=40)] = ""
    until: Annotated[str, Query(max_length=40)] = ""
    text: Annotated[str, Query(max_length=200)] = ""

    def search(self, cursor: str | None) -> TimelineSearch:
        """What the searcher understands. Raises :class:`Problem` for a time that is none."""
        return TimelineSearch(
            text=self.text, kind=self.kind, source=self.source, evidence_id=self.evidence_id, technique=self.technique, host=self.host,
            user=self.user, address=self.address, since=moment_of(self.since), until=moment_of(self.until), after=cursor or "",
        )  # fmt: skip

    def address_of(self, page: str, cursor: str) -> str:
        """The page of what follows."""
        given = {name: value for name in self.__dataclass_fields__ if (value := getattr(self, name))}
        return f"{page}?{urlencode({**given, 'cursor': cursor})}"


def add_timeline(app: FastAPI, reader: TimelineReader, *, view_of: Callable[[str], CaseView], airflow: str) -> None:
    """Add the page and the route to the pages."""

    def asked_for(view: CaseView, asked: TimelineSearch, limit: int) -> tuple[StoredState, Found]:
        state = reader.state(view)
        if state.store is None:
            return state, in_table(view, asked, limit=limit)
        return state, reader.search(view, state.store, asked, limit=limit)

    def page(
        request: Request, case_id: str, asked: Annotated[WholeTimelineQuery, Depends()], cursor: TimelineCursor = None
    ) -> Response:
        view, site = view_of(case_id), site_of(request, airflow=airflow)
        state, found = asked_for(view, asked.search(cursor), PER_PAGE)
        case_page = site.case(view.case.case_id)
        here = f"{case_page}/timeline"
        links = [Link("All cases", site.board()), Link("Case", case_page)]
        following = asked.address_of(here, found.following) if found.following else ""
        words = [source.value for source in TimelineSource]
        return HTMLResponse(
            render(
                "timeline.html.j2", case=view.case, state=state, found=found, asked=asked, here=here, following=following,
                sources=words, links=links, evidence=sorted({e.evidence_id for e in view.evidence}), cursor=cursor,
            )
        )  # fmt: skip

    def as_json(
        case_id: str,
        asked: Annotated[WholeTimelineQuery, Depends()],
        limit: TimelineLimit = 200,
        cursor: TimelineCursor = None,
    ) -> Response:
        """The timeline, oldest first; ``next`` continues after the last entry of this page. ``preparing``: the entries of tools
        are being fetched, ask again in some seconds. ``stored`` says whether every entry of every tool is searched, or the notable ones."""
        view = view_of(case_id)
        state, found = asked_for(view, asked.search(cursor), limit)
        body = {
            "case_id": view.case.case_id, "entries": [entry_json(e) for e in found.entries], "next": found.following,
            "stored": state.store.version if state.store else None, "stale": state.stale, "preparing": found.preparing,
        }  # fmt: skip
        # ASCII, so that no character of the target's reaches a terminal as it is.
        return Response(json.dumps(body, ensure_ascii=True), media_type="application/json")

    app.add_api_route("/case/{case_id}/timeline", page, methods=["GET"], response_model=None)
    app.add_api_route(
        "/api/cases/{case_id}/timeline", as_json, methods=["GET"], response_model=None, responses=described(Timeline)
    )


def in_table(view: CaseView, asked: TimelineSearch, *, limit: int) -> Found:
    """The search in what the case's table and its tools' results have: the notable entries."""
    make = entry_of(view)
    tools = {result.evidence_id: source_of_tool(result.tool, result.evidence_id).value for result in view.results}
    known = {
        (f.time, f"{f.severity.value}: {f.title}"): f for result in view.results for f in result.findings if f.time
    }
    found = []
    for moment in merged(view):
        entry = make(moment)
        if moment.kind == "tool":
            about = known.get((moment.time, moment.what))
            values = {name: getattr(entry, name) for name in Entry.__dataclass_fields__}
            more = (
                {"severity": about.severity.value, "technique": about.technique or "", "finding_id": about.id}
                if about
                else {}
            )
            entry = Entry(
                **{**values, "source": tools.get(moment.evidence_id or "", TimelineSource.DISK.value), **more}
            )
        if fits(entry, asked):
            found.append(entry)
    return page_of(found, (), limit=limit)


def entry_json(entry: Entry) -> dict[str, JsonValue]:
    """An entry as the API answers it."""
    return {
        "time": format_utc(entry.time), "kind": entry.kind, "what": entry.message, "source": entry.origin,
        "evidence_id": entry.evidence_id or None, "partition": entry.source, "severity": entry.severity or None,
        "technique": entry.technique or None, "host": entry.host or None, "user": entry.user_name or None,
        "addresses": list(entry.addresses), "finding_id": entry.finding_id or None, "data_type": entry.data_type,
        "timestamp_desc": entry.timestamp_desc,
    }  # fmt: skip
