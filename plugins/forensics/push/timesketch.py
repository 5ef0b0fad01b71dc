"""The plug for Timesketch: a sketch for the case, the stored timeline in it.

Its HTTP API as its own client and server have it (github.com/google/timesketch, commit 45b339b):

* log-in: ``GET /login/?local_auth=1`` for the CSRF token of the page's ``meta``, ``POST`` there with name and password, which redirects
  elsewhere on success and to the page itself otherwise (``api_client/python/timesketch_api_client/client.py``, ``timesketch/views/auth.py``)
* ``GET /api/v1/sketches/?scope=search``, ``POST /api/v1/sketches/``, ``GET /api/v1/sketches/<id>/`` (``timesketch/api/v1/resources/sketch.py``)
* ``POST /api/v1/upload/`` in chunks that are written by offset (``timesketch/api/v1/resources/upload.py``); the timeline is indexed afterwards
"""

from __future__ import annotations

import math
import uuid
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from forensics.errors import PushError
from forensics.push.plug import Arrived, PushedCase, PushPlug, pieces
from forensics.push.server import Server

# Its own client begins to cut files into chunks at 100 MiB; the server's limit for a form is 200 MiB.
CHUNK = 32 * 1024 * 1024
LOGIN = "/login/?local_auth=1"
_FAILED = frozenset({"fail", "timeout", "deleted"})


class TimesketchPlug(PushPlug):
    """Timesketch, by name and password; ``sketch_id`` of the secret chooses one sketch for all cases."""

    kind = "timesketch"

    def push(self, case: PushedCase) -> Arrived:
        """Find or make the sketch; upload the timeline unless this version of it is there."""
        with Server(self.access, self.deadline) as server:
            self._log_in(server)
            sketch = self.access.sketch_id or self._sketch(server, case)
            where = f"{server.base}/sketch/{sketch}/"
            timelines = _timelines(server, sketch)
            name = f"{case.case.case_id} {case.version}"
            known = [t for t in timelines if str(t.get("name", "")).startswith(name)]
            for there in known:
                if _status(there) not in _FAILED:
                    return Arrived(where, note=f"this version was there already, {_status(there)}")
            file, lines = case.timeline()
            if lines == 0:
                return Arrived(where, note="the timeline has no entry")
            made = self._upload(server, file, sketch=sketch, name=f"{name} try {len(known) + 1}" if known else name)
            return Arrived(where, entries=lines, note=f"uploaded, {_status(made)} there")

    def _log_in(self, server: Server) -> None:
        if not (self.access.username and self.access.password):
            raise PushError(
                "its secret has no username and password", next_action="give them in the secret (docs/push.md)"
            )
        if self.access.http_basic:
            server.session.auth = (self.access.username, self.access.password)
        page = server.call("GET", "/" if self.access.http_basic else LOGIN)
        token = csrf_token(page.body.decode("utf-8", "replace"))
        if token:
            server.session.headers.update({"x-csrftoken": token, "referer": server.base})
        if self.access.http_basic:
            return
        form = {"username": self.access.username, "password": self.access.password, "csrf_token": token}
        said = server.call("POST", LOGIN, data=form, good=(200, 302, 303))
        to = urlsplit(said.headers.get("Location", "")).path.rstrip("/")
        if said.status == 200 or to.endswith("/login"):
            raise PushError(
                f"{server.host} does not let {self.access.username} in",
                next_action="correct name and password in the secret; where Timesketch has single sign-on, it has to be in LOCAL_AUTH_ALLOWED_USERS",
            )

    def _sketch(self, server: Server, case: PushedCase) -> int:
        asked = {"scope": "search", "search_query": case.case.case_id, "per_page": "50", "page": "1"}
        for found in _objects(server.call("GET", "/api/v1/sketches/", params=asked).json()):
            if found.get("name") == case.title and isinstance(found.get("id"), int):
                return int(found["id"])
        about = f"EC2 forensics, case {case.case.case_id}: {case.case.subject} of account {case.case.account_id}, {case.case.region}"
        form = {"name": case.title, "description": about}
        made = _objects(server.call("POST", "/api/v1/sketches/", json=form).json())
        if not made or not isinstance(made[0].get("id"), int):
            raise PushError(
                f"{server.host} made no sketch", next_action="see that the user may make sketches, then try again"
            )
        return int(made[0]["id"])

    def _upload(self, server: Server, file: Path, *, sketch: int, name: str) -> dict[str, Any]:
        size = file.stat().st_size
        total = math.ceil(size / CHUNK)
        form: dict[str, Any] = {
            "name": name, "sketch_id": sketch, "total_file_size": size, "provider": "ec2-forensics", "data_label": "jsonl",
            "context": "stored timeline", "chunk_total_chunks": total, "chunk_index_name": uuid.uuid4().hex,
        }  # fmt: skip
        said: Any = {}
        for number, piece in enumerate(pieces(file, CHUNK)):
            chunk = {**form, "chunk_index": number, "chunk_byte_offset": number * CHUNK}
            files = {"file": ("timeline.jsonl", piece, "application/octet-stream")}
            said = server.call("POST", "/api/v1/upload/", data=chunk, files=files).json()
        made = _objects(said)
        if not made:
            raise PushError(
                f"{server.host} took {total} chunks and made no timeline of them",
                next_action="look at Timesketch's own log, then start the DAG case_push with the case's id",
            )
        return made[0]


class _Token(HTMLParser):
    """Finds the token of a page: ``<input id="csrf_token" value=…>`` or ``<meta name="csrf-token" content=…>``."""

    found = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id") == "csrf_token" or (tag == "meta" and given.get("name") == "csrf-token"):
            self.found = self.found or given.get("value") or given.get("content") or ""


def csrf_token(page: str) -> str:
    """The CSRF token of a page; empty where it has none."""
    parser = _Token()
    parser.feed(page)
    return parser.found


def _objects(said: Any) -> list[dict[str, Any]]:
    found = said.get("objects") if isinstance(said, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _timelines(server: Server, sketch: int) -> list[dict[str, Any]]:
    found = _objects(server.call("GET", f"/api/v1/sketches/{sketch}/").json())
    listed = found[0].get("timelines") if found else None
    return [t for t in listed if isinstance(t, dict)] if isinstance(listed, list) else []


def _status(timeline: dict[str, Any]) -> str:
    """The newest status of a timeline: ``processing``, ``ready``, ``fail``; its form is a list of objects."""
    given = timeline.get("status")
    last = given[0] if isinstance(given, list) and given else given
    return str(last.get("status", "processing")) if isinstance(last, dict) else "processing"
