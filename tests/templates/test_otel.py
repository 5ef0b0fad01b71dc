"""OtelHost: the options that the environment then has make Airflow send its metrics to that collector, under the deployment's name.

Truth: Airflow itself, started with these options, and what arrives at a collector on loopback (OTLP over HTTP, path /v1/metrics).
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from infra.deployment import mwaa_image, rendering
from tests.templates.test_two_deployments import everything

# Importing the SDK's serializers is measured by Airflow, which is a metric without a scheduler.
PROGRAM = "from airflow.sdk.observability.stats import Stats; import airflow.sdk.serde; Stats.incr('ti_failures')"


def options(**parameters: Any) -> dict[str, str]:
    """The environment's options of Airflow's metrics as they would be deployed."""
    config = everything("blue")[0]
    given = type(config)(**{**vars(config), "parameters": {**config.parameters, **parameters}})
    (stack,) = [s for s in rendering.render(given) if s.step.template == "mwaa"]
    found = stack.resources["Environment"].properties["AirflowConfigurationOptions"]
    return {mwaa_image.variable(n): str(v) for n, v in found.items() if n.startswith("metrics.") and v is not None}


@contextmanager
def collector() -> Iterator[tuple[int, list[tuple[str, bytes]]]]:
    got: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: pytest's output is no access log."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_without_a_host_nothing_is_sent_anywhere() -> None:
    assert options() == {}


def test_airflow_sends_its_metrics_to_the_host_of_the_configuration() -> None:
    with collector() as (port, got):
        given = options(OtelHost="127.0.0.1", OtelPort=port)
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM], env={**os.environ, **given}, capture_output=True, text=True, timeout=120
        )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert {path for path, _ in got} == {"/v1/metrics"}
    assert all(b"service.name" in body and b"blue" in body for _, body in got)
