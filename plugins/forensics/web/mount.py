"""How the app gets into Airflow's API server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from forensics.case.addresses import PAGES_PATH
from forensics.case.ui_address import airflow_path

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

URL_PREFIX = PAGES_PATH


def build() -> ASGIApp:
    """Make the app with Airflow's sign-in and the case store of the settings."""
    from forensics.web.access import airflow_access, airflow_visitor
    from forensics.web.app import create_app
    from forensics.web.audit import StoreAuditReader
    from forensics.web.downloads import StoreLinkMaker
    from forensics.web.incident import StoreLinkReader
    from forensics.web.intake import StoreIntakeReader
    from forensics.web.preflight import StorePreflightReader
    from forensics.web.reader import StoreReader
    from forensics.web.remarks import StoreRemarkWriter
    from forensics.web.timeline import StoreTimelineReader

    return create_app(
        StoreReader(),
        authorize=airflow_access(),
        airflow_path=airflow_path(),
        intake=StoreIntakeReader(),
        audit=StoreAuditReader(),
        preflight=StorePreflightReader(),
        visitor=airflow_visitor(),
        remarks=StoreRemarkWriter(),
        downloads=StoreLinkMaker(),
        timeline=StoreTimelineReader(),
        links=StoreLinkReader(),
    )


class LazyApp:
    """An ASGI app that is built by its first request.

    Airflow loads plugins in every process, workers included; only the API server needs FastAPI and the pages.
    """

    def __init__(self, make: Callable[[], ASGIApp] = build) -> None:
        self._make = make
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Build on first use, then pass on."""
        if self._app is None:
            self._app = self._make()
        await self._app(scope, receive, send)
