"""A server in place of S3: it serves the objects of a manifest and keeps uploads."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

CASE = ["--case", "fc-20260101-0123456789", "--evidence", "mem-i-0123456789abcdef0"]
VOLUME = "vol-0123456789abcdef0"


@dataclass
class Store:
    """The objects that the server offers, and what was uploaded."""

    objects: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    url: str = ""

    def offer(self, *, gets: dict[str, tuple[bytes, str | None]]) -> str:
        """A manifest of objects with their digests; returns its URL."""
        lines = ["forensics-manifest 1"]
        for name, (content, digest) in gets.items():
            self.objects[f"/{name}"] = content
            lines.append(f"get {name} {digest or hashlib.sha256(content).hexdigest()} {self.url}/{name}?a=1&b=2")
        lines += [f"put {name} {self.url}/{name}?a=1&b=2" for name in ("results", "timeline", "raw")]
        self.objects["/manifest"] = ("\n".join(lines) + "\n").encode()
        return f"{self.url}/manifest?a=1&b=2"

    def results(self) -> dict[str, object]:
        """results.json as uploaded."""
        document: dict[str, object] = json.loads(self.uploads["/results"])
        return document


@contextmanager
def serving() -> Iterator[Store]:
    """A store behind a server on the loopback interface."""
    state = Store()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_args: object) -> None:
            """Silent."""

        def _answer(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            if status == 302:
                self.send_header("Location", f"{state.url}/manifest")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            body = state.objects.get(path)
            self._answer(302 if path == "/moved" else 403 if body is None else 200, body or b"")

        def do_PUT(self) -> None:
            state.uploads[self.path.split("?")[0]] = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(200)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield state
    server.shutdown()
    server.server_close()


def status_of(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """The last line of stdout."""
    line: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return line
