"""What the real script takes of this host, read by the confined reader: what is planted is found, and nothing dies of what is forged."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from forensics.confined import Confined, Limits
from forensics.memory.live.reader import FUNCTION, LiveOrder, LiveReading
from forensics.models.results import ResultSeverity, ToolFinding
from lab.userland.bucket import Bucket, bucket
from lab.userland.host import How, run

DOCUMENT = "live_response_linux"
PEER = "127.0.57.11"  # of this host, and of nobody else's connections
LIMITS = Limits(memory=512 * 1024 * 1024, cpu_seconds=180)


@pytest.fixture(scope="module")
def store() -> Iterator[Bucket]:
    """One server for these tests."""
    with bucket() as state:
        yield state


def reading(body: bytes, **order: object) -> LiveReading:
    """An archive, read as the pipeline reads it."""
    with Confined(FUNCTION, LiveOrder.model_validate(order), limits=LIMITS) as child:
        assert list(child.passing(iter([body[at : at + 65536] for at in range(0, len(body), 65536)]))) == []
        return child.result(LiveReading)


@contextmanager
def process(argv: list[str], **more: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is there until the end, and then goes with everything that it started."""
    with subprocess.Popen(
        argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, **more
    ) as started:  # type: ignore[call-overload]
        try:
            yield started
        finally:
            os.killpg(started.pid, signal.SIGKILL)


def of(found: LiveReading, pid: int) -> dict[str, ToolFinding]:
    """The findings about a process by rule."""
    return {f.id.rsplit("-", 1)[0]: f for f in found.findings if f.data.get("pid") == pid}


def runs(pid: int, program: str) -> bool:
    """Whether a process has become its program: before its exec it is still its parent's."""
    return str(Path(f"/proc/{pid}/exe").readlink()).startswith(program)


def wait(until: Callable[[], bool]) -> None:
    """Wait for something that comes at once."""
    for _ in range(6000):
        if until():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come about")


def test_what_is_planted_is_found_with_technique_and_start(store: Bucket) -> None:
    before = time.time()
    with ExitStack() as open_ones, tempfile.TemporaryDirectory(dir="/tmp") as folder:
        copy = Path(folder) / "sleep"
        shutil.copy("/bin/sleep", copy)
        gone = open_ones.enter_context(process([str(copy), "5711"]))
        kernel = open_ones.enter_context(process(["bash", "-c", "exec -a '[kworker/0:1]' sleep 5712"]))
        miner = open_ones.enter_context(process(["sh", "-c", "sleep 5713; : stratum+tcp://pool.example:3333"]))
        preloaded = open_ones.enter_context(
            process(["/bin/sleep", "5714"], env={"LD_PRELOAD": "/tmp/libx.so", "PATH": "/bin"})
        )
        server = open_ones.enter_context(socket.create_server((PEER, 0)))
        client = open_ones.enter_context(socket.create_connection(server.getsockname()))
        shell = open_ones.enter_context(process(["/bin/sh", "-c", "sleep 5715; :"], stdin=client))
        wait(lambda: runs(gone.pid, str(copy)) and runs(kernel.pid, "/") and not runs(kernel.pid, "/usr/bin/bash"))
        copy.unlink()
        done = run(DOCUMENT, How(), store)
    found = reading(done.body, peers=(PEER,))
    deleted = of(found, gone.pid)["live-deleted"]
    assert (deleted.severity, deleted.technique) == (ResultSeverity.CRITICAL, "T1070.004")
    assert deleted.time is not None and abs(deleted.time.timestamp() - before) < 120
    assert "live-kernel-name" in of(found, kernel.pid)
    assert of(found, miner.pid)["live-command"].title.startswith("Mining software")
    assert of(found, preloaded.pid)["live-preloaded"].technique == "T1574.006"
    connection = of(found, shell.pid)["live-connection"]
    assert connection.severity is ResultSeverity.CRITICAL and "which the finding names" in connection.title
    assert of(reading(done.body), shell.pid)["live-connection"].title.startswith("Shell on the network")
    assert {p.pid for p in found.processes} >= {gone.pid, kernel.pid, shell.pid}
    assert any(f"Process {miner.pid} started" in entry.what for entry in found.timeline)
    assert found.counts["processes"] > 5 and found.counts["sockets"] > 0


def test_a_text_that_imitates_a_list_is_told_and_changes_no_process(store: Bucket) -> None:
    with process(["/bin/sleep", "5716"]) as honest:
        forged = f"==> /proc/{honest.pid}/cmdline <==\n/usr/sbin/harmless"
        with process(["bash", "-c", f"exec -a $'\\n{forged}\\n' sleep 5717"]) as forger:
            wait(lambda: not runs(forger.pid, "/usr/bin/bash"))
            found = reading(run(DOCUMENT, How(depth="first"), store).body, first=True)
    assert [f.data["pid"] for f in found.findings if f.id.startswith("live-forged")] == [honest.pid]


def test_an_archive_that_is_cut_or_empty_has_gaps_and_no_findings() -> None:
    for body in (b"", bytes(1024), os.urandom(4096)):
        found = reading(body)
        assert found.findings == () and {gap.what for gap in found.gaps} >= {"processes", "connections (IPv4)"}
