"""A local web share: it keeps what is put there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Share:
    """What was put, by path."""

    url: str = ""
    put: dict[str, bytes] = field(default_factory=dict)


@contextmanager
def share() -> Iterator[Share]:
    """Serve on loopback for the block."""
    kept = Share()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            kept.put[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(201 if self.headers.get("Authorization") == "Bearer k" else 401)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
