"""The command against a whole Airflow API server with the plugin, and the lab behind it. Runs stay queued: no scheduler is there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lab.progress import wait_until
from lab.stack import airflow
from lab.stack.process import cpu_seconds
from lab.stack.stack import read_variables
from lab.stack.state import free_port
from tests.integration.conftest import ROOT, running_lab

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Environment in which the command finds the server: database, API server, DAGs as Airflow has parsed them."""
    state, monkeypatch = tmp_path_factory.mktemp("airflow"), pytest.MonkeyPatch()
    with running_lab(state, monkeypatch) as lab:
        port = free_port()
        made = airflow.environment(state, lab_endpoint=lab.endpoint, api_port=port)
        environment = {**airflow.clean(dict(os.environ)), **made, **read_variables(state / "airflow.env")}
        program = [sys.executable, "-m", "airflow"]
        for step in (["db", "migrate"], ["dags", "reserialize"]):
            subprocess.run([*program, *step], env=environment, check=True, capture_output=True, timeout=600)
        log = (state / "api.log").open("wb")
        server = subprocess.Popen([*program, *airflow.PROCESSES["api-server"]], env=environment, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: _answers(url), what="Airflow to answer", progress=lambda: cpu_seconds(server.pid))
            yield {
                **airflow.clean(dict(os.environ)),
                "PYTHONPATH": str(ROOT / "cli"),
                "FORENSICS_URL": url,
                "FORENSICS_USER": airflow.USER,
                "FORENSICS_PASSWORD": airflow.load_secrets(state)["password"],
            }
        finally:
            server.terminate()
            server.wait(60)
            monkeypatch.undo()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v2/version", timeout=10).is_success
    except httpx.HTTPError:
        return False


def _forensics(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "forensics_cli", *arguments]
    return subprocess.run(program, env=environment, capture_output=True, text=True, timeout=300, cwd=Path("/"))


def test_every_command_is_understood_by_airflow_itself(command: dict[str, str]) -> None:
    listed = _forensics(command, "list")
    assert (listed.returncode, listed.stdout) == (0, "no case\n"), listed.stderr
    started = _forensics(
        command, "start", "i-0123456789abcdef0", "--account", "333344445555", "--in-region", "eu-central-1"
    )
    assert started.returncode == 0 and started.stdout.startswith("manual__"), started.stderr
    case = "fc-20261124-0000000000"
    for asked in (
        ["release", case, "--dry-run"],
        ["export", case, "--for", "a court"],
        ["sweep", case, "--on", "i-0123456789abcdef0", "--account", "333344445555", "--seconds", "60"],
    ):
        assert _forensics(command, *asked).returncode == 0, asked
    wrong = _forensics(
        command,
        "start",
        "i-0123456789abcdef0",
        "--account",
        "333344445555",
        "--in-region",
        "x" * 300,
        "--reason",
        "r" * 501,
    )
    assert wrong.returncode == 1 and "reason" in wrong.stderr, wrong.stderr
    assert _forensics(command, "show", case).returncode == 5
    assert _forensics(command, "preflight", "--last").returncode == 5
    assert _forensics({**command, "FORENSICS_PASSWORD": "wrong"}, "list").returncode == 4
    assert _forensics({**command, "FORENSICS_TOKEN": "wrong"}, "list").returncode == 4


def test_watching_a_run_that_waits_can_be_ended_with_ctrl_c(command: dict[str, str]) -> None:
    started = _forensics(
        command, "start", "i-0123456789abcdef0", "--account", "333344445555", "--in-region", "eu-central-1"
    )
    program = [sys.executable, "-m", "forensics_cli", "watch", started.stdout.strip(), "--every", "1"]
    # a shell that runs the tests in the background lets its children ignore Ctrl-C
    with subprocess.Popen(
        program,
        env=command,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as watching:
        assert watching.stderr is not None
        assert "queued, no case yet" in watching.stderr.readline()
        watching.send_signal(2)
        assert "the case goes on" in watching.stderr.read()
    assert watching.returncode == 130
