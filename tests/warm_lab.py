"""Lab servers for tests, forked from one process that has imported moto already: a start takes a tenth of the time.

What serves is the same as with `python -m lab.emulator.server`, which the tests in tests/lab start the long way. One line of JSON on
standard input (state, port, log) starts one server; its pid is the answer. The servers end with this process.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import traceback
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lab.stack import airflow

ROOT = Path(__file__).resolve().parents[1]
STOP_SECONDS = 120
_PR_SET_PDEATHSIG = 1
# What the seed asks for: moto imports a service's code when it is first asked.
SERVICES = (
    *(
        "autoscaling",
        "cloudformation",
        "config",
        "dynamodb",
        "ebs",
        "ec2",
        "elb",
        "elbv2",
        "events",
        "guardduty",
        "iam",
    ),
    *("kms", "logs", "s3", "secretsmanager", "securityhub", "sns", "sqs", "ssm", "sts"),
)


@dataclass(frozen=True)
class WarmServer:
    """A running lab server that is not a child of this process."""

    pid: int
    _fd: int

    def has_ended(self, seconds: float = 0.0) -> bool:
        """Whether it has ended, or does within some seconds."""
        return bool(select.select([self._fd], [], [], seconds)[0])

    def stop(self) -> None:
        """End it as `kill` would, and wait. Raises TimeoutError when it does not end."""
        if not self.has_ended():
            signal.pidfd_send_signal(self._fd, signal.SIGTERM)
        ended = self.has_ended(STOP_SECONDS)
        if not ended:
            signal.pidfd_send_signal(self._fd, signal.SIGKILL)
        os.close(self._fd)
        if not ended:
            msg = f"the lab server {self.pid} did not end within {STOP_SECONDS} s"
            raise TimeoutError(msg)


def start(state: Path, *, port: int, log: Path) -> WarmServer:
    """Start a lab server; it may take a moment until it answers."""
    mother = _mother()
    assert mother.stdin is not None
    assert mother.stdout is not None
    mother.stdin.write(json.dumps({"state": str(state), "port": port, "log": str(log)}) + "\n")
    mother.stdin.flush()
    pid = int(mother.stdout.readline())
    return WarmServer(pid, os.pidfd_open(pid))


@cache
def _mother() -> subprocess.Popen[str]:
    env = {**airflow.clean(dict(os.environ)), "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.warm_lab"],
        env=env, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip

    def end() -> None:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(STOP_SECONDS)

    atexit.register(end)
    return process


def _import() -> None:
    import granian  # noqa: F401
    from moto.moto_server import werkzeug_app  # noqa: F401

    from lab.emulator import patches

    for name in (
        *(f"lab.emulator.patches.{n}" for n in patches.PATCHES),
        "lab.emulator.control",
        "lab.emulator.faults",
        "lab.hosts.agent.fleet",
    ):
        importlib.import_module(name)
    for name in SERVICES:
        importlib.import_module(f"moto.{name}.urls")


def _serve(state: str, port: int, log: str) -> None:
    """In the child: become a lab server, and end when the process does that forked it."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with Path(log).open("wb") as out:
        for stream in (1, 2):
            os.dup2(out.fileno(), stream)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    from lab.emulator import server

    server.main(["--state", state, "--port", str(port)])


def main() -> None:
    """Fork a server for each line until standard input ends."""
    _import()
    gc.freeze()  # or every server would copy what its first collection touches
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody here waits for them
    while line := sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                _serve(**json.loads(line))
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
