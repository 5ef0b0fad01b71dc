"""Requests that change something come from our own pages, or from a program that has a token of its own.

A browser sends Airflow's session cookie with whatever a foreign page makes it ask for. It cannot be made to say that such a
request is of the same origin (Fetch metadata, W3C; OWASP, "Cross-Site Request Forgery Prevention"), nor to send a header
``Authorization`` without the server's consent.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import Request

from forensics.web.problem import Problem

_OWN = {"same-origin"}
_OPENED = {"same-origin", "none"}  # "none": typed, or a bookmark


def only_from_own_pages(request: Request) -> None:
    """Dependency of routes that change something; raises :class:`Problem` (403)."""
    _check(request, _OWN, unknown=False)


def not_from_foreign_pages(request: Request) -> None:
    """Dependency of links that leave a trace: they may be typed as well, and old browsers say nothing; raises :class:`Problem` (403)."""
    _check(request, _OPENED, unknown=True)


def _check(request: Request, allowed: set[str], *, unknown: bool) -> None:
    headers = request.headers
    if headers.get("authorization", "").lower().startswith("bearer "):
        return
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        fits, said = site in allowed, f"the browser says: Sec-Fetch-Site {site[:40]}"
    elif origin is not None:
        fits, said = urlsplit(origin).netloc == headers.get("host"), f"the browser says: Origin {origin[:200]}"
    else:
        fits, said = unknown, "it has neither Sec-Fetch-Site nor Origin nor a bearer token"
    if not fits:
        raise Problem(
            403,
            "Not from this page",
            "The request was not carried out",
            f"It did not come from a page of this Airflow: {said}",
            "Use the form on the case's page; a program sends its token in the header Authorization.",
        )
