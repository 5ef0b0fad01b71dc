"""Processes that die by ``kill -9`` during a load test, and Airflow's API, patient with one that has just died."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

import requests

from lab.progress import wait_until
from lab.scenarios.driver import Lab
from lab.stack.health import log_sizes

VICTIMS = ("task", "triggerer", "scheduler", "api-server", "dag-processor")
# a worker that dies takes its tasks, its logs and its disk with it; the messages that it had taken stay with the broker
CELERY_VICTIMS = ("task", "worker", "triggerer", "worker", "scheduler", "worker", "api-server", "dag-processor")


class Plan(Protocol):
    """How many are killed, over how many seconds, and the seed of it."""

    @property
    def kills(self) -> int: ...

    @property
    def span_seconds(self) -> float: ...

    @property
    def seed(self) -> int: ...


class Killer(threading.Thread):
    """Kills processes at seeded moments and restarts them, as systemd or ECS would."""

    def __init__(self, lab: Lab, load: Plan, report: Callable[[str], None]) -> None:
        super().__init__(name="killer", daemon=True)
        self._lab, self._report = lab, report
        dice = random.Random(load.seed + 1)
        self._moments = sorted(dice.uniform(0.05, 1.0) * load.span_seconds for _ in range(load.kills))
        victims = CELERY_VICTIMS if lab.stack.workers else VICTIMS
        names = [victims[n % len(victims)] for n in range(load.kills)]
        dice.shuffle(names)
        self._names = names
        self.killed: Counter[str] = Counter()
        self.error: Exception | None = None

    def run(self) -> None:
        """Kill at every moment; what went wrong is kept for the main thread."""
        began = time.monotonic()
        try:
            for moment, name in zip(self._moments, self._names, strict=True):
                time.sleep(max(0.0, began + moment - time.monotonic()))
                victim = self._kill(name)
                self.killed[victim] += 1
                self._report(f"  {time.monotonic() - began:6.1f} s  kill -9 {victim}")
        except Exception as error:  # handed to the thread that waits
            self.error = error

    def _kill(self, name: str) -> str:
        workers = [member.name for member in self._lab.stack.workers]
        if name == "task":
            if kill_task(self._lab, "finding_intake"):
                return "task"
            name = "worker" if workers else "scheduler"  # no task was running: whoever runs the next one
        kind = name
        if name == "worker":
            name = workers[self.killed[kind] % len(workers)]
        self._lab.stack.kill_and_restart(name)
        return kind


def kill_task(lab: Lab, dag_id: str, *, seconds: float = 15) -> bool:
    """Kill -9 the process of the DAG's running task, which may be starting; False when none runs within ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        tasks = api(lab, f"dags/{dag_id}/dagRuns/~/taskInstances", limit=100, state="running")["task_instances"]
        for task in tasks:
            # a task that has not reported its pid yet, or is gone already
            with contextlib.suppress(ProcessLookupError, TypeError):
                os.kill(int(task["pid"]), signal.SIGKILL)
                return True
        time.sleep(0.3)
    return False


def api(lab: Lab, path: str, **parameters: Any) -> dict[str, Any]:
    """GET from Airflow, patient with an API server that has just been killed. Raises StandstillError."""
    refused = ""

    def answer() -> dict[str, Any] | None:
        nonlocal refused
        try:
            return lab.stack.api.get(path, **parameters)
        except requests.RequestException as error:
            refused = type(error).__name__
            return None

    got = wait_until(
        answer,
        what=f"Airflow's API to answer {path}",
        progress=lambda: {"refused": refused, **log_sizes(lab.stack.state / "logs")},
        pause=0.5,
    )
    assert got is not None  # what a wait returns is true
    return got
