"""Airflow's tasks on Celery workers, as on Amazon MWAA: a broker between, MWAA's settings, FAB's users, and no common disk.

Each worker has a home, DAGs, plugins, logs and a temporary directory of its own, copied when it starts; one that was killed starts with
an empty disk. What they share is what MWAA's share: the database, the broker, Airflow's API and AWS. The broker here is Redis (MWAA's is
SQS with the same meaning: a message that a worker took and did not finish comes back after the visibility time-out).
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from infra.deployment import mwaa_image
from lab.paths import write_private
from lab.stack.process import StackError
from lab.stack.state import free_port

WORKERS = 3
EXECUTORS = ("local", "celery")
FAB_USERS = Path(__file__).with_name("fab_users.py")
# JSON of the users' names and passwords, for that program
PEOPLE = "LAB_PEOPLE"
QUEUE = "default"


def chosen(executor: str | None) -> bool:
    """Say whether Celery runs the tasks. Raises :class:`StackError` for a name that is neither executor."""
    name = executor or os.environ.get("LAB_EXECUTOR") or "local"
    if name not in EXECUTORS:
        msg = f"LAB_EXECUTOR={name} is no executor of the lab; choose {' or '.join(EXECUTORS)}"
        raise StackError(msg)
    return name == "celery"


class Cluster:
    """The workers and the broker of one stack.

    :param state: the stack's directory; the workers' disks lie in it, one folder each
    :param database: SQLAlchemy URL of Airflow's database, which holds the results as well; SQLite cannot serve several workers
    :param workers: how many there are
    """

    def __init__(self, state: Path, database: str | None, *, workers: int = WORKERS) -> None:
        if not (database or "").startswith("postgresql"):
            msg = "Celery workers need PostgreSQL for Airflow's database: install it (Debian and Ubuntu: 'apt-get install postgresql')"
            raise StackError(msg)
        self.workers = tuple(f"worker-{number}" for number in range(1, workers + 1))
        self._state, self._database = state, database
        self._port, self._password = free_port(), secrets.token_hex(16)
        self._program = shutil.which("redis-server")
        if self._program is None:
            msg = "redis-server, the broker of Celery's workers, is not on this machine: install it (Debian and Ubuntu: 'apt-get install redis-server')"
            raise StackError(msg)

    def broker(self) -> list[str]:
        """The broker's command. It keeps messages in memory and listens on 127.0.0.1 only."""
        file = self._state / "redis.conf"
        lines = (f"port {self._port}", "bind 127.0.0.1", 'save ""', "appendonly no", f"requirepass {self._password}")
        write_private(file, text="\n".join(lines) + "\n")
        assert self._program is not None
        return [self._program, str(file)]

    def settings(self) -> dict[str, str]:
        """Airflow's variables on top of the lab's: MWAA's own settings, the broker and the results."""
        home = self._state / "home"
        home.mkdir(parents=True, exist_ok=True)
        return {
            **mwaa_image.settings(mwaa_image.airflow_options()),
            # gunicorn keeps its control socket there
            "HOME": str(home),
            "AIRFLOW__CORE__PARALLELISM": str(len(self.workers) * mwaa_image.TASKS_PER_WORKER),
            "AIRFLOW__CELERY__BROKER_URL": f"redis://:{self._password}@127.0.0.1:{self._port}/0",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{self._database}",
            "AIRFLOW__CELERY__WORKER_AUTOSCALE": f"{mwaa_image.TASKS_PER_WORKER},{mwaa_image.TASKS_PER_WORKER}",
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": str(mwaa_image.BROKER_VISIBILITY),
            "AIRFLOW__OPERATORS__DEFAULT_QUEUE": QUEUE,
        }

    def worker(self) -> list[str]:
        """Airflow's arguments for a worker. Logs are not served: the workers share this machine's ports."""
        # without --celery-hostname: Airflow would ask the broker who has the name, and a connection that still waits for answers
        # is inherited by the worker's children, which then hang in it (kombu's _after_fork_cleanup_resource)
        return ["celery", "worker", "--skip-serve-logs", "--queues", QUEUE]

    def disk(self, name: str) -> Path:
        """The only folder that this worker writes to."""
        return self._state / "disks" / name

    def alone(self, name: str, common: Mapping[str, str]) -> dict[str, str]:
        """The worker's variables, with copies of DAGs and plugins on a disk that is empty otherwise."""
        disk = self.disk(name)
        shutil.rmtree(disk, ignore_errors=True)
        for folder in ("airflow", "logs", "tmp"):
            (disk / folder).mkdir(parents=True)
        for folder, variable in (("dags", "AIRFLOW__CORE__DAGS_FOLDER"), ("plugins", "AIRFLOW__CORE__PLUGINS_FOLDER")):
            shutil.copytree(common[variable], disk / folder, ignore=shutil.ignore_patterns("__pycache__"))
        return {
            **common,
            "AIRFLOW_HOME": str(disk / "airflow"),
            "HOME": str(disk),
            "TMPDIR": str(disk / "tmp"),
            "PYTHONPATH": str(disk / "plugins"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(disk / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(disk / "plugins"),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(disk / "airflow" / "bundles"),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(disk / "logs"),
            "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(disk / "logs" / "dag_processor"),
        }
