"""Downloads of a case: a permission of Airflow, an event of the ledger, and a link to S3 that works for two minutes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Protocol
from urllib.parse import quote

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from forensics.case.remarks import Author
from forensics.models.case import CaseView
from forensics.report.downloads import LONGEST_PATH, OfferKind, offer_kind, offers
from forensics.web.access import PERMISSIONS, Right, needs, visitor_of
from forensics.web.answers import site_of
from forensics.web.api_models import DownloadList
from forensics.web.openapi import described
from forensics.web.origin import not_from_foreign_pages
from forensics.web.problem import Problem

if TYPE_CHECKING:
    from forensics.case.downloads import Downloads

RIGHTS = {OfferKind.REPORT: Right.READ, OfferKind.ARTIFACT: Right.RESPOND}
StoredPath = Annotated[str, Query(min_length=1, max_length=LONGEST_PATH)]


class LinkMaker(Protocol):
    """Makes links; raises :class:`ForensicsError` when none can be made."""

    def link(self, case_id: str, path: str, *, author: Author) -> str | None:
        """A short-lived link to a stored object, recorded in the ledger; None when there is no such object."""
        ...


class StoreLinkMaker:
    """Makes links under the pages' own role; gateways are opened per request."""

    def __init__(self, open_downloads: Callable[[], Downloads] | None = None) -> None:
        self._open = open_downloads or _open_downloads

    def link(self, case_id: str, path: str, *, author: Author) -> str | None:
        """A short-lived link to a stored object, recorded in the ledger; None when there is no such object."""
        return self._open().link(case_id, path, author=author)


def _open_downloads() -> Downloads:
    # Imported on the first request: the plugin must load where AWS or its settings are missing.
    from forensics.case.downloads import Downloads
    from forensics.web.gateways import page_gateways

    gateways = page_gateways()
    return Downloads(gateways.evidence, gateways.ledger)


def add_downloads(app: FastAPI, maker: LinkMaker, *, view_of: Callable[[str], CaseView], airflow: str) -> None:
    """Add ``/case/{id}/download?path=…`` (leads to S3) and ``/api/cases/{id}/downloads`` (what there is) to the pages."""

    def download(request: Request, case_id: str, path: StoredPath) -> Response:
        kind = offer_kind(path)
        if kind is None:
            raise _unknown(path)
        right = RIGHTS[kind]
        needs(right)(request)
        case = view_of(case_id).case
        link = maker.link(case.case_id, path, author=Author(visitor_of(request).person, PERMISSIONS[right].words))
        if link is None:
            raise _unknown(path)
        return RedirectResponse(link, status_code=303)

    def listed(request: Request, case_id: str) -> Response:
        """What of a case is handed out; each address answers with a link of two minutes."""
        view, visitor = view_of(case_id), visitor_of(request)
        page = site_of(request, airflow=airflow).case(view.case.case_id)
        found = [
            {
                "path": offer.path,
                "kind": offer.kind.value,
                "about": offer.about,
                "newest": offer.newest,
                "allowed": visitor.may(RIGHTS[offer.kind]),
                "href": f"{page}/download?path={quote(offer.path, safe='')}",
            }
            for offer in offers(view)
        ]
        return JSONResponse({"case_id": view.case.case_id, "downloads": found})

    foreign = [Depends(not_from_foreign_pages)]
    app.add_api_route("/case/{case_id}/download", download, methods=["GET"], response_model=None, dependencies=foreign)
    app.add_api_route(
        "/api/cases/{case_id}/downloads",
        listed,
        methods=["GET"],
        response_model=None,
        responses=described(DownloadList),
    )


def _unknown(path: str) -> Problem:
    return Problem(
        404,
        "Nothing to download",
        f"The case has no {path[:200]} that is handed out here",
        "Reports with their exports and what the tools made are; evidence and bundles are not (docs/custody.md)",
        "Choose from the list on the case's page.",
    )
