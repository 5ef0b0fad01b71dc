"""Listens at the lab's door: the requests of a host whose command is being recorded go onto its tape."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable
from typing import Any

from lab.hosts.tapes.shelf import Exchange, Recording, Shelf

Environ = dict[str, Any]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
MANIFEST = b"forensics-manifest "
# What a host says of a body; an upload that is sent again has to say it again.
_KEPT = ("HTTP_X_AMZ_", "HTTP_CONTENT_MD5", "HTTP_IF_")


class Recorder:
    """WSGI middleware. Without a recording it only looks at the caller's address."""

    def __init__(self, app: Wsgi, shelf: Shelf) -> None:
        self._app, self._shelf = app, shelf

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer, and keep the exchange where it belongs to a tape."""
        query = str(environ.get("QUERY_STRING", ""))
        address = str(environ.get("REMOTE_ADDR", "")).rpartition(":")[0] or str(environ.get("REMOTE_ADDR", ""))
        tapes = [t for t in self._shelf.recordings(address) if query in t.known]
        if not tapes:
            return self._app(environ, start_response)
        return self._kept(tapes, environ, start_response, query=query)

    def _kept(
        self, tapes: list[Recording], environ: Environ, start_response: Callable[..., Any], *, query: str
    ) -> Iterable[bytes]:
        began = time.monotonic()
        body = _read(environ)
        environ["wsgi.input"] = io.BytesIO(body)
        answer = b"".join(self._app(environ, start_response))
        method = str(environ["REQUEST_METHOD"])
        exchange = Exchange(0.0, method, query, headers=_headers(environ), answer=_manifest(answer))
        for tape in tapes:
            tape.add(exchange, body=body, began=began)
        return [answer]


def _read(environ: Environ) -> bytes:
    """The whole body; a server that does not mark its end would wait for more of a request that has none."""
    if environ.get("CONTENT_LENGTH"):
        return bytes(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    return bytes(environ["wsgi.input"].read()) if environ.get("wsgi.input_terminated") else b""


def _headers(environ: Environ) -> dict[str, str]:
    found = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith(_KEPT)
    }
    kind = environ.get("CONTENT_TYPE")
    return {**found, "content-type": str(kind)} if kind else found


def _manifest(answer: bytes) -> str:
    """The answer where it is a manifest; evidence that a host fetches is not kept."""
    return answer.decode() if answer.startswith(MANIFEST) else ""
