"""A server on loopback that stands for S3: what hosts may fetch by URL, and what they send."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

QUERY = "?X-Amz-Credential=AK%2Fx&X-Amz-Signature=secret123"


@dataclass
class Bucket:
    """What hosts may fetch and what they sent.

    ``refused``: path → answers of 503 before an upload is accepted; ``tries``: how often each was tried; ``asked`` is set by
    the first download.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    types: set[str] = field(default_factory=set)
    refused: dict[str, int] = field(default_factory=dict)
    tries: Counter[str] = field(default_factory=Counter)
    url: str = ""
    asked: threading.Event = field(default_factory=threading.Event)

    def clear(self) -> None:
        """Forget what the last run sent and asked."""
        self.uploads.clear()
        self.types.clear()
        self.tries.clear()
        self.asked.clear()


def _handler(state: Bucket) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Silent."""

        def _answer(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            body = state.objects.get(self.path.split("?")[0])
            state.asked.set()
            self._answer(403 if body is None else 200, body or b"")

        def do_PUT(self) -> None:
            path = self.path.split("?")[0]
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.tries[path] += 1
            if state.tries[path] <= state.refused.get(path, 0):
                self._answer(503)
                return
            state.types.add(self.headers["Content-Type"])
            state.uploads[path] = body
            self._answer(200)

    return Handler


@contextlib.contextmanager
def bucket(address: str = "127.0.0.1") -> Iterator[Bucket]:
    """A server for the time of the block; ``address`` may be an IPv6 one."""
    state = Bucket()
    kind = _Server6 if ":" in address else http.server.ThreadingHTTPServer
    server = kind((address, 0), _handler(state))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    name = f"[{address}]" if ":" in address else address
    state.url = f"http://{name}:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


class _Server6(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
