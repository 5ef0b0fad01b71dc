"""The whole stack on this machine: lab server, its resources, and Airflow's four processes.

``python -m lab.stack up|down|status`` (commands.py), or from Python::

    with Stack(state) as stack:
        requests.get(f"{stack.api_url}/api/v2/dags", headers={"Authorization": f"Bearer {stack.token()}"})
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from lab.hosts.agent.machine import NICENESS
from lab.paths import ROOT
from lab.progress import StandstillError, wait_until
from lab.stack import airflow, celery
from lab.stack import state as stack_state
from lab.stack.health import AirflowApi, missing_airflow, missing_api, missing_dags, missing_lab, wait
from lab.stack.process import MARK, Member, StackError, born, cpu_seconds, end, kill, launch, tail
from lab.stack.state import free_port, is_free

REQUIRED_DAGS = ("forensic_case", "finding_intake")
LAB_PORT, UI_PORT = 9123, 8080
HOST_NICENESS = "19"
# members of a stack that stay when Airflow is replaced
NOT_AIRFLOW = ("lab", "broker")


class Stack:
    """A running stack; a context manager that leaves no process behind.

    :param state: directory of everything the stack writes; emptied at start, since the lab's AWS lives in
        memory
    :param lab_port: port of the lab server; 0 means any free one
    :param api_port: port of Airflow's UI and API; 0 means any free one
    :param dags: DAG folder; the release's own when not given
    :param installed: the Airflow and the release; :meth:`lab.stack.airflow.Installed.here` when not given
    :param required_dags: ids that must be parsed before the stack counts as started
    :param database: SQLAlchemy URL of Airflow's database; SQLite in ``state`` when not given
    :param executor: ``local``, or ``celery``: workers without a common disk and MWAA's settings (celery.py); LAB_EXECUTOR when not given
    :param workers: how many Celery workers; only with ``celery``
    :param latencies: seconds the lab's slow operations take, passed to :func:`lab.seed.seed.seed`
    :param report: receives progress lines
    """

    def __init__(
        self,
        state: Path,
        *,
        lab_port: int = 0,
        api_port: int = 0,
        dags: Path | None = None,
        installed: airflow.Installed | None = None,
        required_dags: Collection[str] = REQUIRED_DAGS,
        database: str | None = None,
        latencies: dict[str, float] | None = None,
        executor: str | None = None,
        workers: int = celery.WORKERS,
        report: Callable[[str], None] = print,
    ) -> None:
        self.state = state.resolve()
        self.required_dags = tuple(required_dags)
        self.lab: dict[str, Any] = {}
        self._lab_port, self._api_port = lab_port, api_port
        self._database, self._latencies = database, latencies
        here = installed or airflow.Installed.here()
        self._installed = replace(here, dags=dags) if dags else here
        self._report = report
        self._celery = celery.Cluster(self.state, database, workers=workers) if celery.chosen(executor) else None
        self._id = secrets.token_hex(8)
        self._members: list[Member] = []
        self._children: list[subprocess.Popen[bytes]] = []
        self._owner: int | None = None
        self._began = time.monotonic()

    # ---- what users of a running stack ask for

    @property
    def api_url(self) -> str:
        """Address of Airflow's UI and API, without a trailing slash."""
        return f"http://127.0.0.1:{self._api_port}"

    @property
    def lab_endpoint(self) -> str:
        """Address of the emulated AWS."""
        return f"http://127.0.0.1:{self._lab_port}"

    @property
    def user(self) -> str:
        """Name of the UI's user."""
        return airflow.USER

    @property
    def password(self) -> str:
        """Password of the UI's user."""
        return airflow.load_secrets(self.state)["password"]

    @property
    def _logs(self) -> Path:
        return self.state / "logs"

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of Airflow's processes, settings of the seeded lab included."""
        return {
            **airflow.clean(dict(os.environ)),
            **airflow.environment(
                self.state,
                lab_endpoint=self.lab_endpoint,
                api_port=self._api_port,
                database=self._database,
                installed=self._installed,
            ),
            **(self._celery.settings() if self._celery else {}),
            **read_variables(self.state / "airflow.env"),
            MARK: self._id,
        }

    def token(self) -> str:
        """Return a fresh bearer token for the API."""
        return self.api.token()

    @property
    def api(self) -> AirflowApi:
        """A client of Airflow's API."""
        return AirflowApi(url=self.api_url, user=self.user, password=self.password)

    # ---- life

    def __enter__(self) -> Self:
        self.start(owner=os.getpid())
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, *, owner: int | None = None) -> None:
        """Start everything and return when it works; on any failure stop what was started and raise.

        ``owner`` is the pid that the stack belongs to; a later start clears the stack away when that is
        gone.
        """
        self._began = time.monotonic()
        self._owner = owner
        with stack_state.locked(self.state):
            stack_state.prepare(self.state, report=self._report)
            self._lab_port = _port(self._lab_port)
            self._api_port = _port(self._api_port)
            self._write()
            try:
                with ThreadPoolExecutor(2, thread_name_prefix="stack") as pool:
                    self._both(pool.submit(self._start_lab), pool.submit(self._migrate))
                self._start_airflow()
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """End every process of this stack; the state directory stays for reading."""
        self._write()
        stack_state.stop(self.state)

    def kill_and_restart(self, name: str) -> None:
        """``kill -9`` one of Airflow's processes with its children, as a lost container, and start it again."""
        old = next(member for member in self._members if member.name == name)
        self._members.remove(old)
        kill(old)
        self._start_part(name)

    def end_worker(self, name: str, *, grace: float = 60.0) -> None:
        """End one of the Celery workers for good; it may finish what it is at for ``grace`` seconds."""
        member = next(member for member in self.workers if member.name == name)
        self._members.remove(member)
        end([member], stack_id="", grace=grace)
        self._write()

    def change_airflow(self, installed: airflow.Installed) -> None:
        """A newer Airflow takes over the database while cases are open; the lab's AWS goes on meanwhile.

        Every process of Airflow is killed, as MWAA replaces its containers, and the database migrated.
        """
        for member in [m for m in self._members if m.name not in NOT_AIRFLOW]:
            self._members.remove(member)
            kill(member)
        self._installed = installed
        self._run("migrate", installed.command("db", "migrate"), environment=self.environment)
        self._start_airflow()

    @property
    def airflow_processes(self) -> list[int]:
        """Pids of Airflow's processes; the lab's server is none of them."""
        return [member.pid for member in self._members if member.name != "lab"]

    @property
    def workers(self) -> list[Member]:
        """The Celery workers that run; none without Celery."""
        return [member for member in self._members if self._celery and member.name in self._celery.workers]

    def children(self, name: str) -> list[int]:
        """Pids of the children of one of Airflow's processes."""
        parent = next(member.pid for member in self._members if member.name == name)
        found = [Path(f"/proc/{parent}/task/{task.name}/children") for task in Path(f"/proc/{parent}/task").iterdir()]
        return [int(pid) for file in found for pid in file.read_text().split()]

    def check(self) -> None:
        """Raise :class:`StackError` with the end of its log when a process has died."""
        for member in self._members:
            if not member.alive():
                msg = (
                    f"{member.name} has ended (pid {member.pid}). "
                    f"The end of {member.log}:\n{tail(member.log)}\nFix the cause and start again."
                )
                raise StackError(msg)

    # ---- steps

    def _both(self, *steps: Future[None]) -> None:
        """Wait for both; when one fails, stop what the other is at before raising."""
        try:
            wait_for(steps, return_when=FIRST_EXCEPTION)
            for step in steps:
                if step.done():
                    step.result()
        except BaseException:
            # before the pool waits for its threads: they end when their processes do
            self.stop()
            raise

    def _start_lab(self) -> None:
        began = time.monotonic()
        base = {**airflow.clean(dict(os.environ)), MARK: self._id, "PYTHONUNBUFFERED": "1", NICENESS: HOST_NICENESS}
        base["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "plugins")])
        command = [
            sys.executable,
            "-m",
            "lab.emulator.server",
            "--state",
            str(self.state),
            "--port",
            str(self._lab_port),
        ]
        self._launch("lab", command, environment=base)
        hint = f"Read {self._logs / 'lab.log'}."
        wait(
            "the lab server",
            missing=lambda: missing_lab(self.lab_endpoint),
            check=self.check,
            logs=self._logs,
            hint=hint,
        )
        self._step("lab server (emulated AWS)", since=began)
        began = time.monotonic()
        command = [
            sys.executable, "-m", "lab.seed", "--endpoint", self.lab_endpoint, "--state", str(self.state),
            "--latencies", json.dumps(self._latencies or {}),
        ]  # fmt: skip
        self._run("seed", command, environment=base)
        self.lab = json.loads((self.state / "lab.json").read_text())
        self._step("lab resources (3 accounts, instances with their evidence)", since=began)

    def _migrate(self) -> None:
        began = time.monotonic()
        self._run("migrate", self._installed.command("db", "migrate"), environment=self.environment)
        if self._celery:
            people = {celery.PEOPLE: json.dumps(dict.fromkeys((airflow.USER, airflow.APPROVER), self.password))}
            self._run(
                "users",
                [self._installed.python, "-P", str(celery.FAB_USERS)],
                environment={**self.environment, **people},
            )
            self._launch(
                "broker", self._celery.broker(), environment=airflow.clean(dict(os.environ)) | {MARK: self._id}
            )
        self._step("Airflow's database", since=began)

    def _start_airflow(self) -> None:
        began = time.monotonic()
        for name in (*airflow.PROCESSES, *(self._celery.workers if self._celery else ())):
            self._start_part(name)
        hint = f"Read the logs in {self._logs}."
        api = self.api
        wait(
            "Airflow's API", missing=lambda: missing_api(api), check=self.check,
            logs=self._logs, hint=hint,
        )  # fmt: skip
        self._step("Airflow's API and UI", since=began)
        wait(
            "Airflow",
            missing=lambda: missing_airflow(api),
            check=self.check,
            logs=self._logs,
            hint=hint,
        )
        self._step("scheduler, triggerer, DAG processor", since=began)
        wait(
            "the DAG folder",
            missing=lambda: missing_dags(api, required=self.required_dags), check=self.check,
            logs=self._logs, hint=f"Read {self._logs / 'dag-processor.log'}.",
        )  # fmt: skip
        self._step(f"DAGs ({', '.join(self.required_dags) or 'none required'})", since=began)

    # ---- tools of the steps

    def _start_part(self, name: str) -> None:
        """Start one of Airflow's processes; a worker gets a new, empty disk, as a new container does."""
        if self._celery and name in self._celery.workers:
            self._launch(
                name,
                self._installed.command(*self._celery.worker()),
                environment=self._celery.alone(name, self.environment),
            )
        else:
            self._launch(name, self._installed.command(*airflow.PROCESSES[name]), environment=self.environment)

    def _launch(self, name: str, command: list[str], *, environment: dict[str, str]) -> None:
        log = self._logs / f"{name}.log"
        member, child = launch(name, command, log=log, environment=environment, directory=ROOT)
        self._members.append(member)
        self._children.append(child)
        self._write()

    def _run(self, name: str, command: list[str], *, environment: dict[str, str]) -> None:
        """Run a step that ends by itself; raise with the end of its log when it fails."""
        log = self._logs / f"{name}.log"
        member, process = launch(name, command, log=log, environment=environment, directory=ROOT)
        try:
            wait_until(
                lambda: process.poll() is not None,
                what=f"the step '{name}' to end",
                progress=lambda: {"log": log.stat().st_size, "processor": cpu_seconds(process.pid)},
            )
            outcome = f"exit status {process.returncode}" if process.returncode else ""
        except StandstillError as error:
            end([member], stack_id="", grace=2)
            outcome = str(error)
        if outcome:
            msg = (
                f"the step '{name}' failed ({outcome}). The end of {log}:\n{tail(log)}\nFix the cause and start again."
            )
            raise StackError(msg)

    def _step(self, what: str, *, since: float) -> None:
        now = time.monotonic()
        self._report(f"  {now - self._began:6.1f} s  {what} ready ({now - since:.1f} s)")

    def _write(self) -> None:
        stack_state.write_record(
            self.state,
            record={
                "id": self._id,
                "owner": {"pid": self._owner, "born": born(self._owner)} if self._owner else None,
                "started": datetime.now(UTC).isoformat(timespec="seconds"),
                "api_url": self.api_url,
                "lab_endpoint": self.lab_endpoint,
                "user": self.user,
                "processes": [member.as_dict() for member in self._members],
            },
        )


def _port(wanted: int) -> int:
    if wanted and not is_free(wanted):
        msg = f"port {wanted} of 127.0.0.1 is taken by another program; stop that, or use another port"
        raise StackError(msg)
    return wanted or free_port()


def read_variables(file: Path) -> dict[str, str]:
    """Read ``NAME=value`` lines; a file that is not there yet holds none."""
    if not file.exists():
        return {}
    lines = (line.partition("=") for line in file.read_text().splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in lines}
