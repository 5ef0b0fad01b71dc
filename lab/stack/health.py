"""Waiting for the parts of the stack: each wait ends as soon as the part works, has died, or nothing moves any more."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests

from lab.progress import QUIET, StandstillError, wait_until
from lab.stack.process import StackError

PAUSE = 0.25
TRIES = 5


@dataclass
class AirflowApi:
    """Airflow's public REST API, as the lab's user."""

    url: str
    user: str
    password: str
    _session: requests.Session = field(default_factory=requests.Session, repr=False)

    def __post_init__(self) -> None:
        # The API is on this machine: no proxy, no .netrc.
        self._session.trust_env = False

    def token(self) -> str:
        """Log in and return a fresh bearer token."""
        answer = self._session.post(
            f"{self.url}/auth/token", json={"username": self.user, "password": self.password}, timeout=30
        )
        answer.raise_for_status()
        return answer.json()["access_token"]

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """GET ``/api/v2/<path>``, logging in when needed."""
        for attempt in range(TRIES):
            try:
                if "Authorization" not in self._session.headers:
                    self._session.headers["Authorization"] = f"Bearer {self.token()}"
                answer = self._session.get(f"{self.url}/api/v2/{path}", params=parameters, timeout=30)
            except requests.Timeout:
                # A machine full of running cases answers late: that is not yet a failure.
                if attempt == TRIES - 1:
                    raise
                continue
            if answer.status_code >= 500 and attempt < TRIES - 1:
                time.sleep(1.0)  # SQLite was busy with somebody else's writing
                continue
            if answer.status_code != 401 or attempt == TRIES - 1:
                break
            self._session.headers.pop("Authorization", None)
        answer.raise_for_status()
        return answer.json()

    def patch(self, path: str, body: dict[str, Any]) -> None:
        """PATCH ``/api/v2/<path>``. Raises requests.HTTPError when it is refused."""
        headers = {"Authorization": f"Bearer {self.token()}"}
        self._session.patch(f"{self.url}/api/v2/{path}", json=body, headers=headers, timeout=60).raise_for_status()

    def post(self, path: str, body: dict[str, Any]) -> None:
        """POST ``/api/v2/<path>``. Raises requests.HTTPError when it is refused."""
        headers = {"Authorization": f"Bearer {self.token()}"}
        self._session.post(f"{self.url}/api/v2/{path}", json=body, headers=headers, timeout=60).raise_for_status()

    def unhealthy(self) -> list[str]:
        """Return the parts that are not healthy (yet): metadatabase, scheduler, triggerer, dag_processor."""
        answer = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=30)
        answer.raise_for_status()
        states = answer.json()
        wanted = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return [f"{name} {_status(states, name)}" for name in wanted if _status(states, name) != "healthy"]


def _status(states: dict[str, Any], name: str) -> str:
    return (states.get(name) or {}).get("status") or "not reported"


def wait(
    what: str,
    *,
    missing: Callable[[], str],
    check: Callable[[], None],
    logs: Path,
    quiet: timedelta = QUIET,
    hint: str,
) -> float:
    """Call ``missing`` until it answers "" and return the seconds it took.

    ``missing`` says what is not there yet; a refused connection counts as such. ``check`` raises when a process died.
    The wait continues while what is missing changes or a log in the folder ``logs`` grows. Raises StackError.
    """
    started = time.monotonic()
    lacking = ""

    def ready() -> bool:
        nonlocal lacking
        check()
        try:
            lacking = missing()
        except requests.RequestException as error:
            # without the address of the objects, which differs each time
            lacking = f"{type(error).__name__}: {re.sub(r' at 0x[0-9a-f]+', '', str(error))}"
        return not lacking

    try:
        wait_until(
            ready,
            what=f"{what} to be ready",
            progress=lambda: {"missing": lacking, **log_sizes(logs)},
            finished=lambda value: isinstance(value, int),
            quiet=quiet,
            pause=PAUSE,
            look=PAUSE,
        )
    except StandstillError as error:
        raise StackError(f"{error} {hint}") from error
    return time.monotonic() - started


def log_sizes(folder: Path) -> dict[str, int]:
    """Bytes of every log of a folder."""
    return {file.name: file.stat().st_size for file in folder.glob("*.log")}


def missing_lab(endpoint: str) -> str:
    """Say what keeps the lab server from working, or ""."""
    answer = requests.get(f"{endpoint}/_lab/health", timeout=3)
    return "" if answer.ok else f"GET /_lab/health answered {answer.status_code}: {answer.text[:200]}"


def missing_api(api: AirflowApi) -> str:
    """Say what keeps the API from answering, or ""."""
    api.unhealthy()
    return ""


def missing_airflow(api: AirflowApi) -> str:
    """Say which parts of Airflow have no healthy heartbeat yet, or ""."""
    return ", ".join(api.unhealthy())


def missing_dags(api: AirflowApi, *, required: Collection[str]) -> str:
    """Say which DAGs are not there yet, or ""; raise at once when a DAG file cannot be imported."""
    errors = api.get("importErrors")["import_errors"]
    if errors:
        causes = "\n".join(f"  {e['filename']}: {e['stack_trace'].strip().splitlines()[-1]}" for e in errors)
        msg = f"Airflow cannot import {len(errors)} DAG file(s):\n{causes}\nFix the file(s) and start again."
        raise StackError(msg)
    if not required:
        return ""
    present = {dag["dag_id"] for dag in api.get("dags", limit=200)["dags"]}
    absent = sorted(set(required) - present)
    return f"DAGs not parsed yet: {', '.join(absent)}" if absent else ""
