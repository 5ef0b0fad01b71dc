"""A lab server of its own for the operators: real HTTP, real SSM agents, small images made here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from forensics.aws import session as aws_session
from forensics.settings import get_settings
from lab.evidence.disk import DiskFiles
from lab.evidence.images import Images
from lab.progress import wait_until
from lab.seed import seed
from lab.stack import airflow
from lab.stack.process import cpu_seconds
from lab.stack.stack import read_variables
from lab.stack.state import free_port
from tests import memory_image, warm_lab
from tests.warm_lab import WarmServer

ROOT = Path(__file__).resolve().parents[2]
MIB = 1024 * 1024


class SmallImages(Images):
    """Images that are made in milliseconds."""

    def disk(self, name: str) -> DiskFiles:
        """Two MiB that are not all zero; nothing is planted in them."""
        self.cache.mkdir(parents=True, exist_ok=True)
        out = self.cache / f"{name}.raw"
        out.write_bytes(os.urandom(MIB) + bytes(MIB))
        return DiskFiles(out, self.cache / "none.json")

    def memory(self) -> dict[str, str]:
        """A small LiME image; nothing is planted in it."""
        files = {name: str(path) for name, path in memory_image.write(self.cache / "memory").items()}
        return {**files, "facts": str(self.cache / "none.json")}


@dataclass
class SmallLab:
    """A seeded lab and how to talk to it."""

    endpoint: str
    facts: dict[str, Any]

    def control(self, route: str, body: Any = None) -> Any:
        """Post to, or read, one of the lab's own routes."""
        url = f"{self.endpoint}/_lab/{route}"
        answer = requests.post(url, json=body, timeout=120) if body is not None else requests.get(url, timeout=120)
        answer.raise_for_status()
        return answer.json()

    def client(self, service: str, account: str = "forensic") -> Any:
        """A boto3 client of an account."""
        from lab.seed.accounts import Account

        return Account(self.facts["accounts"][account], self.endpoint).client(service)

    def mail(self) -> list[dict[str, Any]]:
        """SNS messages so far."""
        got = self.control("mail")
        return list(got["mail"])


@pytest.fixture
def images(tmp_path: Path) -> Images:
    """The disks and the memory of the lab's instances; a test module may have its own."""
    return SmallImages(tmp_path / "cache")


@pytest.fixture
def lab(tmp_path: Path, images: Images, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallLab]:
    """One fresh lab for one test (about two seconds, most of it the seed), with the product's settings in the environment."""
    with running_lab(tmp_path, monkeypatch, images=images) as made:
        yield made


@contextmanager
def running_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, images: Images | None = None) -> Iterator[SmallLab]:
    """A seeded lab server; it ends with the block."""
    images = images or SmallImages(tmp_path / "cache")
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    log = tmp_path / "lab.log"
    server = warm_lab.start(tmp_path, port=port, log=log)
    try:
        _wait(endpoint, server, log)
        facts = seed.seed(endpoint, tmp_path, images=images, report=lambda _: None)
        for name in [n for n in os.environ if n.startswith(("AWS_", "AIRFLOW__FORENSICS__"))]:
            monkeypatch.delenv(name)
        for name, value in {**airflow.SETTINGS, **read_variables(tmp_path / "airflow.env")}.items():
            if name.startswith(("AWS_", "AIRFLOW__FORENSICS__")):
                monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        monkeypatch.setenv("AIRFLOW__FORENSICS__POLL_SECONDS", "0.1")
        get_settings.cache_clear()
        aws_session.forget()
        yield SmallLab(endpoint, facts)
    finally:
        server.stop()
        get_settings.cache_clear()
        aws_session.forget()


def _wait(endpoint: str, server: WarmServer, log: Path) -> None:
    def answers() -> bool:
        assert not server.has_ended(), f"the lab ended: {log.read_text()[-2000:]}"
        try:
            return requests.get(f"{endpoint}/_lab/health", timeout=60).ok
        except requests.RequestException:
            return False

    wait_until(answers, what=f"the lab to answer (log in {log})", progress=lambda: cpu_seconds(server.pid), pause=0.03)
