"""One strict lab server for the containment tests; each test makes targets of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.accounts import ROOT_SECRET, root_access_key
from lab.progress import wait_until
from lab.stack.state import free_port
from tests.containment.world import ACCOUNT, World

ROOT = Path(__file__).resolve().parents[2]


_FAULTS: list[int] = []


@pytest.fixture(scope="module", autouse=True)
def _no_agent_to_wait_for() -> Iterator[None]:
    """The targets here are new and have no agent: triage would look for each one's for half a minute, for nothing."""
    with pytest.MonkeyPatch.context() as change:
        change.setattr("forensics.triage.target_description.PING_SETTLES_WITHIN", 1.0)
        yield


@pytest.fixture(scope="session")
def faults_made() -> list[int]:
    """How many calls each test made to fail."""
    return _FAULTS


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how much was tried."""
    if _FAULTS:
        terminalreporter.line(f"containment: {sum(_FAULTS)} API calls were made to fail, one at a time")


class Server:
    """A running lab and its control routes."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def control(self, route: str, body: Any = None) -> Any:
        """GET or POST one of the lab's own routes."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.endpoint}/_lab/{route}", data=data)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    @contextmanager
    def faults(self, *rules: dict[str, Any]) -> Iterator[None]:
        """Fault rules for the length of a with block."""
        self.control("faults", list(rules))
        try:
            yield
        finally:
            self.control("faults", [])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The lab's server without instances: states change at once."""
    directory = tmp_path_factory.mktemp("containment-lab")
    endpoint = f"http://127.0.0.1:{(port := free_port())}"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MOTO_"))}
    with (directory / "lab.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lab.emulator.server", "--state", str(directory), "--port", str(port)],
            cwd=ROOT, env=environment, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            _wait(endpoint, process, directory / "lab.log")
            made = Server(endpoint)
            made.control("config", {"instance_seconds": 0, "terminate_seconds": 0})
            yield made
        finally:
            process.terminate()
            process.wait(10)


def _wait(endpoint: str, process: subprocess.Popen[bytes], log: Path) -> None:
    def answers() -> bool:
        if process.poll() is not None:
            pytest.fail(f"the lab did not start:\n{log.read_text()[-3000:]}")
        try:
            urllib.request.urlopen(f"{endpoint}/_lab/health", timeout=2).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return True

    wait_until(answers, what="the lab to answer", pause=0.05)


@pytest.fixture(scope="session")
def world(server: Server) -> World:
    """The member account."""
    return World(server.endpoint, access_key=root_access_key(ACCOUNT), secret_key=ROOT_SECRET)
