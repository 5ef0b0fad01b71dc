"""Waiting for the parts of the stack: what is missing is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from lab.stack.health import AirflowApi, missing_airflow, missing_dags, wait
from lab.stack.process import StackError


class _Airflow(BaseHTTPRequestHandler):
    answers: dict[str, Any]

    def do_GET(self) -> None:
        self._answer(self.answers[self.path.partition("?")[0]])

    def do_POST(self) -> None:
        self._answer({"access_token": "t"})

    def _answer(self, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@pytest.fixture
def api() -> Iterator[tuple[AirflowApi, dict[str, Any]]]:
    """A client and the answers of the server it talks to."""
    answers: dict[str, Any] = {
        "/api/v2/monitor/health": {
            "metadatabase": {"status": "healthy"},
            "scheduler": {"status": "healthy"},
            "triggerer": {"status": None},
        },
        "/api/v2/importErrors": {"import_errors": []},
        "/api/v2/dags": {"dags": [{"dag_id": "forensic_case"}]},
    }
    handler = type("Handler", (_Airflow,), {"answers": answers})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield AirflowApi(url=f"http://127.0.0.1:{server.server_port}", user="admin", password="x"), answers
    server.shutdown()
    thread.join()
    server.server_close()


def test_parts_without_a_heartbeat_are_named(api: tuple[AirflowApi, dict[str, Any]]) -> None:
    assert missing_airflow(api[0]) == "triggerer not reported, dag_processor not reported"


def test_missing_dags_are_named_and_import_errors_end_the_wait(
    api: tuple[AirflowApi, dict[str, Any]],
) -> None:
    client, answers = api
    assert missing_dags(client, required=["forensic_case", "finding_intake"]) == "DAGs not parsed yet: finding_intake"
    answers["/api/v2/importErrors"]["import_errors"] = [
        {"filename": "finding_intake.py", "stack_trace": "Traceback\nNameError: name 'x' is not defined"}
    ]
    with pytest.raises(StackError, match=r"finding_intake\.py: NameError: name 'x' is not defined"):
        missing_dags(client, required=[])


def test_wait_ends_with_what_is_missing(tmp_path: Path) -> None:
    quiet = timedelta(seconds=0.1)
    with pytest.raises(
        StackError, match=r"for the thing to be ready: .* Standing still: missing: a part\. Look here\."
    ):
        wait("the thing", missing=lambda: "a part", check=lambda: None, logs=tmp_path, quiet=quiet, hint="Look here.")


def test_wait_continues_while_a_log_grows(tmp_path: Path) -> None:
    log, looks = tmp_path / "scheduler.log", iter(range(8))

    def missing() -> str:
        with log.open("a") as stream:
            stream.write("still loading\n")
        return "a part" if next(looks) < 7 else ""

    # a quarter of a second between looks: without the log it would have stood still for longer than it may
    quiet = timedelta(seconds=0.5)
    assert wait("the thing", missing=missing, check=lambda: None, logs=tmp_path, quiet=quiet, hint="") > 1.5
