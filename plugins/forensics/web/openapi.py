"""The API's OpenAPI document: the routes below ``/api/``, typed, behind the same sign-in as they are."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute

from forensics import __version__
from forensics.web.answers import site_of
from forensics.web.api_models import Answer, Refusal

ABOUT = (
    "What the case pages show, for programs. Send the token of Airflow's `POST /auth/token` in the header `Authorization: Bearer …`; "
    'what it may do is decided by Airflow\'s permissions (docs/report.md, "Who may do what").'
)
_REFUSALS: dict[int, str] = {
    401: "no session or token",
    403: "not permitted, or a request from a foreign page",
    404: "no such case, finding or object",
    422: "a parameter or a body of another form",
    503: "the case store cannot answer",
}


def described(answer: type[Answer], *, status: int = 200, text: str = "") -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route: its answer, and what it says instead."""
    told = {"model": answer, "description": text or (answer.__doc__ or "").strip()}
    return {status: told, **{code: {"model": Refusal, "description": why} for code, why in _REFUSALS.items()}}


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of the app's API."""
    routes = [route for route in app.routes if isinstance(route, APIRoute) and route.path.startswith("/api/")]
    made: dict[str, Any] = get_openapi(title="Forensic cases", version=__version__, description=ABOUT, routes=routes)
    made.setdefault("components", {})["securitySchemes"] = {
        "airflow": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    made["security"] = [{"airflow": []}]
    for operations in made["paths"].values():
        for operation in operations.values():
            operation["summary"] = operation["description"].partition("\n")[0]
            operation.pop("security", None)  # the sign-in's own name for the same
            # FastAPI adds an answer that our routes do not give: ours has the form of every refusal
            if "422" in operation["responses"]:
                operation["responses"]["422"]["content"] = operation["responses"]["403"]["content"]
    return made


def add_openapi(app: FastAPI, *, airflow: str) -> None:
    """Add ``/api/openapi.json``; the last route that is added, since it describes those before it."""
    made = document(app)

    def openapi(request: Request) -> Response:
        """This document."""
        return JSONResponse({**made, "servers": [{"url": site_of(request, airflow=airflow).root or "/"}]})

    app.add_api_route("/api/openapi.json", openapi, methods=["GET"], response_model=None, include_in_schema=False)
