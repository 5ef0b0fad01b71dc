"""An S3 that keeps nothing: large images pass through the product's real code, over real HTTP, without a disk for them.

It checks each part's size and SHA-256 as S3 does (Amazon S3 API reference, *UploadPart*, ``x-amz-checksum-sha256``) and forgets it.
What is read from the landing bucket is a list of pieces, each a number of times.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PIECE = 1024 * 1024
LOCKED = {
    "x-amz-object-lock-mode": "GOVERNANCE",
    "x-amz-object-lock-retain-until-date": "2127-01-01T00:00:00Z",
    "x-amz-version-id": "v1",
}


@dataclass
class Sparse:
    """What the server has seen and what it serves: ``objects`` are pieces with how often each is repeated."""

    objects: dict[str, Sequence[tuple[bytes, int]]] = field(default_factory=dict)
    parts: list[int] = field(default_factory=list)
    uploaded: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    break_every: int = 0
    breaks: int = 0
    endpoint: str = ""

    def size(self, key: str) -> int:
        """Bytes of an object that is served."""
        return sum(len(piece) * times for piece, times in self.objects[key])

    def pieces(self, key: str, *, first: int) -> Iterator[bytes]:
        """The bytes of an object from one on."""
        for piece, times in self.objects[key]:
            skipped = min(times, first // len(piece))
            first -= skipped * len(piece)
            for _ in range(times - skipped):
                yield piece[first:]
                first = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    sparse: Sparse

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    @property
    def _key(self) -> str:
        return urlsplit(self.path).path.split("/", 2)[2]

    def do_POST(self) -> None:
        """CreateMultipartUpload and CompleteMultipartUpload."""
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "uploads" in query:
            self._answer(200, b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
            return
        self.sparse.uploaded[self._key] = sum(self.sparse.parts)
        self._answer(200, b"<CompleteMultipartUploadResult/>", **{"x-amz-version-id": "v1"})

    def do_PUT(self) -> None:
        """UploadPart and PutObject."""
        left, digest = int(self.headers["Content-Length"]), hashlib.sha256()
        number = parse_qs(urlsplit(self.path).query).get("partNumber")
        size = left
        while left:
            piece = self.rfile.read(min(PIECE, left))
            digest.update(piece)
            left -= len(piece)
        if base64.b64encode(digest.digest()).decode() != self.headers["x-amz-checksum-sha256"]:
            self.sparse.wrong.append(self.path)
        if number:
            self.sparse.parts.append(size)
        else:
            self.sparse.uploaded[self._key] = size
        self._answer(200, **{"ETag": '"e"', "x-amz-version-id": "v1"})

    def do_HEAD(self) -> None:
        """HeadObject: what was stored, locked; what is served, its size; nothing else."""
        key = self._key
        if key in self.sparse.uploaded:
            self._answer(200, **{"Content-Length": str(self.sparse.uploaded[key]), **LOCKED})
        elif key in self.sparse.objects:
            self._answer(200, **{"Content-Length": str(self.sparse.size(key))})
        else:
            self._answer(404)

    def do_GET(self) -> None:
        """GetObject, whole or from a byte on; the connection breaks after ``break_every`` bytes."""
        sparse, key = self.sparse, self._key
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "bytes=0-")
        assert asked is not None
        first, total = int(asked[1]), sparse.size(key)
        end = min(total, int(asked[2]) + 1) if asked[2] else total
        headers = {"Content-Length": str(end - first), "ETag": '"landed"'}
        status = 206 if "Range" in self.headers else 200
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        left, sent = end - first, 0
        for piece in sparse.pieces(key, first=first):
            self.wfile.write(piece[:left])
            left -= len(piece[:left])
            sent += len(piece)
            if not left:
                return
            if sparse.break_every and sent >= sparse.break_every:
                sparse.breaks += 1
                self.close_connection = True
                return


@contextmanager
def serving(sparse: Sparse) -> Iterator[Sparse]:
    """Serve on a free port of this machine."""
    handler = type("Handler", (_Handler,), {"sparse": sparse})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    sparse.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield sparse
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
