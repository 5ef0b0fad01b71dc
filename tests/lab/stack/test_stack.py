"""Starting and stopping processes: other processes are not touched, none of ours is left, failures say
why."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from lab.paths import ROOT
from lab.progress import wait_until
from lab.stack import airflow
from lab.stack import state as stack_state
from lab.stack.health import AirflowApi, missing_airflow, missing_dags, wait
from lab.stack.process import MARK, Member, StackError, born, end, launch, tail
from lab.stack.stack import Stack, read_variables

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal as s, time; s.signal(s.SIGTERM, s.SIG_IGN)\nprint('up', flush=True); time.sleep(60)",
]
# leaves a child in a session of its own, as some programs do
FORKER = [
    sys.executable,
    "-c",
    "import subprocess, sys, time\n"
    "command = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
    "child = subprocess.Popen(command, start_new_session=True)\n"
    "print(child.pid, flush=True); time.sleep(60)",
]


def _run(command: list[str], folder: Path, *, stack_id: str = "test") -> tuple[Member, subprocess.Popen[bytes]]:
    environment = {**os.environ, MARK: stack_id}
    return launch("probe", command, log=folder / "probe.log", environment=environment, directory=folder)


def _wait_for(file: Path) -> str:
    return wait_until(
        lambda: file.read_text().strip() if file.exists() else "", what=f"something to be written to {file}", pause=0.02
    )


def test_process_is_its_own_leader_and_ends_on_term(tmp_path: Path) -> None:
    member, process = _run(SLEEPER, tmp_path)
    assert member.alive()
    assert os.getpgid(member.pid) == member.pid != os.getpgid(0)
    assert end([member], stack_id="test", grace=5) == []
    assert not member.alive()
    process.wait(5)


def test_one_that_ignores_term_is_killed(tmp_path: Path) -> None:
    member, process = _run(STUBBORN, tmp_path)
    _wait_for(tmp_path / "probe.log")
    assert end([member], stack_id="test", grace=0.3) == ["probe"]
    assert not member.alive()
    process.wait(5)


@pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="children outside the group are found through /proc"
)
def test_children_that_left_the_group_are_found(tmp_path: Path) -> None:
    member, process = _run(FORKER, tmp_path, stack_id="forker")
    child = int(_wait_for(tmp_path / "probe.log"))
    assert born(child)
    end([member], stack_id="forker", grace=5)
    process.wait(5)
    wait_until(lambda: born(child) is None, what="the child that left the group to end", pause=0.02)


def test_recycled_pid_is_left_alone(tmp_path: Path) -> None:
    member, process = _run(SLEEPER, tmp_path)
    stranger = Member(name="stranger", pid=member.pid, born="another time", log="")
    assert not stranger.alive()
    assert end([stranger], stack_id="", grace=0.1) == []
    assert process.poll() is None
    end([member], stack_id="", grace=5)


def test_tail_shows_the_end(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert tail(log) == "  (no log was written)"
    log.write_text("\n".join(f"line {i}" for i in range(50)))
    assert tail(log).splitlines()[0] == "  line 30"
    assert tail(log).splitlines()[-1] == "  line 49"


def _record(state: Path, *members: Member, owner: dict[str, Any] | None = None, stack_id: str = "test") -> None:
    stack_state.write_record(
        state,
        record={
            "id": stack_id,
            "owner": owner,
            "started": "2026-11-24T00:00:00+00:00",
            "api_url": "http://127.0.0.1:1",
            "lab_endpoint": "http://127.0.0.1:2",
            "user": "admin",
            "processes": [member.as_dict() for member in members],
        },
    )


def test_stop_ends_the_recorded_processes_and_is_idempotent(tmp_path: Path) -> None:
    assert stack_state.stop(tmp_path) == []
    member, process = _run(SLEEPER, tmp_path)
    _record(tmp_path, member)
    assert stat.S_IMODE((tmp_path / "stack.json").stat().st_mode) == 0o600
    assert stack_state.running(tmp_path)
    assert stack_state.stop(tmp_path) == ["probe"]
    assert stack_state.stop(tmp_path) == []
    assert stack_state.running(tmp_path) is None
    process.wait(5)


def test_running_stack_keeps_its_directory(tmp_path: Path) -> None:
    with stack_state.locked(tmp_path):
        member, process = _run(SLEEPER, tmp_path)
        _record(tmp_path, member)
        with pytest.raises(StackError, match=r"a lab is running in .*stop it first"):
            stack_state.prepare(tmp_path, report=print)
        assert process.poll() is None
        stack_state.stop(tmp_path)


def test_leftovers_of_a_dead_owner_are_cleared(tmp_path: Path) -> None:
    messages: list[str] = []
    with stack_state.locked(tmp_path):
        member, process = _run(SLEEPER, tmp_path)
        _record(tmp_path, member, owner={"pid": 2**22 + 1, "born": "long ago"})
        (tmp_path / "airflow").mkdir()
        (tmp_path / "cache").mkdir()
        nested = tmp_path / "demo"
        nested.mkdir()
        (nested / stack_state.STATE_MARK).touch()
        stack_state.prepare(tmp_path, report=messages.append)
    process.wait(5)
    assert messages == ["  clearing away what an earlier run left: probe"]
    assert {e.name for e in tmp_path.iterdir()} == {"cache", "demo", "stack.lock", stack_state.STATE_MARK}


def test_foreign_directory_is_never_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    refusal = pytest.raises(StackError, match=r"is not a state directory of the lab \(it holds thesis\.tex\)")
    with refusal, stack_state.locked(tmp_path):
        pytest.fail("the directory was taken")
    assert (tmp_path / "thesis.tex").exists()


def test_two_starts_at_once_are_refused(tmp_path: Path) -> None:
    refusal = pytest.raises(StackError, match="another start is under way")
    with stack_state.locked(tmp_path), refusal, stack_state.locked(tmp_path):
        pytest.fail("two starts at once")


def test_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{")
    with pytest.raises(StackError, match=r"stack\.json is damaged"):
        stack_state.running(tmp_path)


def test_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=f"port {port} of 127.0.0.1 is taken"):
            Stack(tmp_path / "state", lab_port=port).start()


def test_failed_start_says_why_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.stack.stack.is_free", lambda _: True)  # as when the port is taken after the check
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        stack = Stack(tmp_path / "state", lab_port=taken.getsockname()[1], report=lambda _: None)
        with pytest.raises(StackError, match=r"lab has ended .*lab\.log"):
            stack.start()
    record = stack_state.read_record(tmp_path / "state")
    assert record
    assert stack_state.running(tmp_path / "state") is None
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            assert f"{MARK}={record['id']}".encode() not in (entry / "environ").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue


# ---- settings


def test_every_airflow_option_exists(tmp_path: Path) -> None:
    """A misspelt option is silently ignored by Airflow."""
    from airflow.configuration import conf

    known = conf.configuration_description
    unknown = []
    for name in airflow.environment(tmp_path, lab_endpoint="http://127.0.0.1:1", api_port=1):
        if name.startswith("AIRFLOW__") and not name.startswith("AIRFLOW__FORENSICS__"):
            _, section, option = name.lower().split("__", 2)
            if option not in known.get(section, {}).get("options", {}):
                unknown.append(name)
    assert unknown == []


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    first = airflow.environment(tmp_path, lab_endpoint="http://127.0.0.1:1", api_port=1)
    again = airflow.environment(tmp_path, lab_endpoint="http://127.0.0.1:1", api_port=1)
    assert first == again
    other = airflow.environment(tmp_path / "other", lab_endpoint="http://127.0.0.1:1", api_port=1)
    assert first["AIRFLOW__API_AUTH__JWT_SECRET"] != other["AIRFLOW__API_AUTH__JWT_SECRET"]
    passwords = Path(first["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    assert list(json.loads(passwords.read_text())) == [airflow.USER, airflow.APPROVER]
    for file in (passwords, tmp_path / "secrets.json"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_lab_is_not_on_airflows_path(tmp_path: Path) -> None:
    found = airflow.environment(tmp_path, lab_endpoint="http://127.0.0.1:1", api_port=1)
    assert found["PYTHONPATH"] == str(ROOT / "plugins")


def test_own_aws_and_airflow_setup_does_not_leak() -> None:
    dirty = {
        "PATH": "/bin", "AWS_PROFILE": "production", "AWS_SESSION_TOKEN": "x", "AIRFLOW_HOME": "/x",
        "AIRFLOW__CORE__DAGS_FOLDER": "/x", "PYTHONPATH": "/x", "MOTO_ACCOUNT_ID": "1",
        "HTTPS_PROXY": "http://proxy", "NO_PROXY": "a",
    }  # fmt: skip
    kept = airflow.clean(dirty)
    assert kept == {
        "PATH": "/bin", "HTTPS_PROXY": "http://proxy", "NO_PROXY": "a,127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }  # fmt: skip


def test_variables_files_are_read(tmp_path: Path) -> None:
    file = tmp_path / "x.env"
    assert read_variables(file) == {}
    file.write_text("# comment\nA=1\nB=x=y\n")
    assert read_variables(file) == {"A": "1", "B": "x=y"}


# ---- waiting


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


def test_up_ends_on_interrupt_without_leftovers(tmp_path: Path) -> None:
    """`kill` on a starting `make up` clears up as Ctrl-C does."""
    state = tmp_path / "state"
    started = subprocess.Popen(
        [sys.executable, "-m", "lab.stack", "up", "--state", str(state)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    _wait_for(state / "stack.json")
    while not (record := stack_state.read_record(state)) or not record["processes"]:
        time.sleep(0.05)
    started.send_signal(signal.SIGTERM)
    assert started.wait(30) == 143
    assert started.stdout
    started.stdout.close()
    assert stack_state.running(state) is None
