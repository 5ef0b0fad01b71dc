"""Answers that every route shares: security headers, and errors as what, why and what to do next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from forensics.errors import ForensicsError
from forensics.printable import visible
from forensics.report.page import Link
from forensics.web.frame import policy
from forensics.web.pages import Site, message_page
from forensics.web.problem import Problem

SECURITY_HEADERS = {
    "Content-Security-Policy": f"{policy()}; base-uri 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    # "no-referrer" would take the Origin from our own forms (Fetch standard, "append a request Origin header")
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

log = structlog.get_logger(__name__)


def site_of(request: Request, *, airflow: str) -> Site:
    """Addresses as this request sees them (the app is mounted below Airflow's root)."""
    return Site(root=str(request.scope.get("root_path", "")).rstrip("/"), airflow=airflow)


def secured(response: Response) -> Response:
    """Add the security headers."""
    for name, value in SECURITY_HEADERS.items():
        response.headers[name] = value
    return response


def install(app: FastAPI, *, airflow: str) -> None:
    """Give the app its headers and its error answers."""

    async def add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        return secured(await call_next(request))

    async def on_problem(request: Request, error: Exception) -> Response:
        return _answer(request, _problem(error), site=site_of(request, airflow=airflow))

    app.middleware("http")(add_headers)
    for kind in (Problem, ForensicsError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, on_problem)


def _problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, ForensicsError):
        log.warning("case store cannot answer", error=error.message, kind=type(error).__name__)
        title = "The case store cannot answer"
        return Problem(503, title, f"{type(error).__name__} while reading cases", error.message, error.next_action)
    if isinstance(error, RequestValidationError):
        why = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        return Problem(
            422,
            "The address has a wrong value",
            "The request was not carried out",
            why,
            "Correct the address.",
        )
    if isinstance(error, HTTPException):
        return _http_problem(error)
    # Airflow's server logs the traceback; the answer does not show it.
    why = f"An error of type {type(error).__name__} that this page does not know"
    return Problem(
        500,
        "This page failed",
        "The page could not be made",
        why,
        "Read the api-server's log; the case itself is untouched.",
    )


def _http_problem(error: HTTPException) -> Problem:
    detail = str(error.detail)
    if error.status_code == 401:
        return Problem(
            401,
            "Sign in first",
            "Nothing is shown without an Airflow session",
            detail,
            "Sign in to Airflow, then load this page again.",
        )
    if error.status_code == 403:
        return Problem(
            403,
            "Not allowed",
            "Your session may not read cases",
            detail,
            "Sign in again; if that does not help, ask for the right to read runs of the DAG forensic_case.",
        )
    return Problem(
        error.status_code, "Not available", "The request was not carried out", detail, "Go back to the board."
    )


def _answer(request: Request, problem: Problem, *, site: Site) -> Response:
    path = str(request.scope["path"]).removeprefix(site.root)
    if path.startswith("/api/"):
        body = {"what": problem.what, "why": visible(problem.why), "next": problem.next_action}
        answer: Response = JSONResponse({"error": {"title": problem.title, **body}}, status_code=problem.status)
    else:
        links = [Link("All cases", site.board()), Link("Airflow", f"{site.airflow}/", top=True)]
        page = message_page(
            problem.title, what=problem.what, why=problem.why, next_action=problem.next_action, links=links
        )
        answer = HTMLResponse(page, status_code=problem.status)
    if problem.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    # The answer to an unknown error is sent outside the middleware that adds the headers.
    return secured(answer)
