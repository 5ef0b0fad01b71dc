"""A local server with the part of Timesketch's HTTP API that its own client uses to log in, make a sketch and upload a file.

What it checks and answers is what the server's code does (github.com/google/timesketch, commit 45b339b: timesketch/views/auth.py,
timesketch/api/v1/resources/sketch.py and upload.py, timesketch/lib/utils.py); that the published client gets on with it is a test.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask, abort, jsonify, redirect, request, session
from werkzeug.serving import make_server

USER, PASSWORD = "analyst", "pass-EXAMPLE"
MANDATORY = ("message", "datetime", "timestamp_desc")
LOGIN_PAGE = (
    '<!doctype html><html><head><meta name="csrf-token" content="{}"/></head><form method="post"></form></html>'
)


class Timesketch:
    """What the server knows. ``fails`` names requests (method and path) that it answers with a status, once each."""

    def __init__(self) -> None:
        self.url = ""
        self.sketches: list[dict[str, Any]] = []
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.chunks: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.fails: dict[str, int] = {}
        self.files: dict[str, bytearray] = {}
        self.status = "processing"

    def sketch(self, number: int) -> dict[str, Any]:
        return self.sketches[number - 1]


def _guard(kept: Timesketch) -> None:
    name = f"{request.method} {request.path}"
    kept.asked.append(name)
    if name in kept.fails:
        abort(kept.fails.pop(name))
    if request.path.startswith("/api/") and "user" not in session:
        abort(401)
    if request.method == "POST":
        given = request.headers.get("X-CSRFToken") or request.form.get("csrf_token")
        if not given or given != session.get("csrf"):
            abort(400, "The CSRF token is missing.")


def _login() -> Any:
    if request.method == "POST" and (request.form.get("username"), request.form.get("password")) == (USER, PASSWORD):
        session["user"] = USER
        return redirect(request.args.get("next", "/"))
    session.setdefault("csrf", secrets.token_hex(8))
    return LOGIN_PAGE.format(session["csrf"])


def _sketches(kept: Timesketch) -> Any:
    if request.method == "GET":
        assert request.args.get("scope") == "search"
        wanted = request.args.get("search_query", "").lower()
        found = [s for s in kept.sketches if wanted in s["name"].lower()]
        return jsonify({"objects": [{k: s[k] for k in ("id", "name", "description")} for s in found], "meta": {}})
    form = request.get_json()
    if not form.get("name") or len(form["name"]) > 255:
        abort(400, "Unable to validate form data")
    made = {"id": len(kept.sketches) + 1, "name": form["name"], "description": form.get("description"), "timelines": []}
    kept.sketches.append(made)
    return jsonify({"objects": [made], "meta": {}}), 201


def _upload(kept: Timesketch) -> Any:
    form, file = request.form, request.files.get("file")
    if file is None:
        abort(400, "Unable to upload data, no file uploaded nor any events.")
    if int(form.get("total_file_size", "0")) <= 0:
        abort(400, "Unable to upload file. File is empty")
    kept.chunks.append({**form, "filename": file.filename})
    total = form.get("chunk_total_chunks")
    number, body = int(form.get("chunk_index", "0")), file.read()
    name = form.get("chunk_index_name", secrets.token_hex(16))
    if not re.fullmatch(r"[0-9a-f]{32}", name):
        abort(400, "Unable to upload file. Index name is not valid")
    held, at = kept.files.setdefault(name, bytearray()), int(form.get("chunk_byte_offset", "0"))
    held[at : at + len(body)] = body
    if total is not None and number + 1 != int(total):
        return jsonify({"meta": {"file_upload": True, "upload_complete": False}, "objects": []}), 201
    if len(held) != int(form["total_file_size"]):
        abort(400, "Unable to save file correctly, inconsistent file size")
    lines = [json.loads(line) for line in bytes(held).splitlines()]
    for line in lines:
        assert all(field in line for field in MANDATORY), line
    sketch = kept.sketch(int(form["sketch_id"]))
    made = {
        "id": len(sketch["timelines"]) + 1,
        "name": form["name"],
        "status": [{"status": kept.status}],
        "searchindex": {"index_name": name},
    }
    sketch["timelines"].append(made)
    kept.events.setdefault(form["name"], []).extend(lines)
    return jsonify({"objects": [made], "meta": {"task_id": secrets.token_hex(4)}}), 201


def _app(kept: Timesketch) -> Flask:
    app = Flask("timesketch")
    app.secret_key = secrets.token_hex(16)
    app.before_request(lambda: _guard(kept))
    app.add_url_rule("/", "home", lambda: LOGIN_PAGE.format(session.setdefault("csrf", secrets.token_hex(8))))
    app.add_url_rule("/login/", "login", _login, methods=["GET", "POST"])
    app.add_url_rule("/api/v1/sketches/", "sketches", lambda: _sketches(kept), methods=["GET", "POST"])
    app.add_url_rule(
        "/api/v1/sketches/<int:number>/",
        "sketch",
        lambda number: jsonify({"objects": [kept.sketch(number)], "meta": {}}),
    )
    app.add_url_rule("/api/v1/upload/", "upload", lambda: _upload(kept), methods=["POST"])
    return app


@contextmanager
def timesketch() -> Iterator[Timesketch]:
    """Serve on loopback for the block."""
    kept = Timesketch()
    server = make_server("127.0.0.1", 0, _app(kept), threaded=True)
    kept.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
