"""The capture script on hosts that are not as they should be: a status line always, and another method where one cannot run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.userland.bucket import Bucket, bucket
from lab.userland.host import How, offered_tool, run

DOCUMENT = "acquire_memory_linux"
NAMESPACES = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
pytestmark = pytest.mark.skipif(
    not NAMESPACES or os.geteuid() != 0 or shutil.which("curl") is None, reason="needs root, mount namespaces, curl"
)
TOOL = "#!/bin/sh\nhead -c 3000000 /dev/zero\n"
SLOW = "#!/bin/sh\nwhile head -c 20000000 /dev/zero; do sleep 1; done\n"


@pytest.fixture(scope="module")
def store() -> Iterator[Bucket]:
    """One server for these tests."""
    with bucket() as state:
        yield state


def mounts(shm: str, run_: str) -> str:
    """Other file systems in memory."""
    return f"mount -t tmpfs -o mode=1777,{shm} tmpfs /dev/shm; mount -t tmpfs -o mode=755,{run_} tmpfs /run"


def test_a_dev_shm_that_anybody_filled_costs_nothing(store: Bucket) -> None:
    setup = mounts("size=8m", "size=256m") + "; head -c 9M /dev/zero >/dev/shm/x"
    done = run(DOCUMENT, How(setup=setup, manifest=offered_tool(store, TOOL)), store)
    assert (done.code, done.status["bytes"], done.status["stage"]) == (0, 3_000_000, "stream"), done.stderr


def test_where_no_tmpfs_has_room_the_line_says_which_and_how_much(store: Bucket) -> None:
    done = run(DOCUMENT, How(setup=mounts("size=8m", "size=6m"), manifest=offered_tool(store, TOOL)), store)
    assert (done.code, done.status["status"], done.status["stage"]) == (1, "failed", "precondition")
    assert "the capture needs 65536 KiB of tmpfs and memory; in /dev/shm" in done.status["reason"]


def test_a_tool_that_may_not_run_from_tmpfs_is_not_started(store: Bucket) -> None:
    setup = mounts("size=256m,noexec", "size=256m,noexec")
    done = run(DOCUMENT, How(setup=setup, manifest=offered_tool(store, TOOL)), store)
    assert done.status["status"] == "failed"
    assert "runs no programs (noexec), and no other tmpfs with room does" in done.status["reason"]
    assert "/part1" not in done.uploads


def test_the_tmpfs_that_runs_programs_is_taken_before_one_that_does_not(store: Bucket) -> None:
    setup = mounts("size=256m", "size=512m,noexec")
    assert run(DOCUMENT, How(setup=setup, manifest=offered_tool(store, TOOL)), store).code == 0


def test_without_bash_the_line_says_so(store: Bucket) -> None:
    hidden = "; ".join(
        f"[ -e {path} ] && mount --bind /dev/null $(readlink -f {path})" for path in ("/bin/bash", "/usr/bin/bash")
    )
    done = run(DOCUMENT, How(shell=("dash",), setup=hidden, manifest=offered_tool(store, TOOL)), store)
    assert (done.code, done.status["status"]) == (1, "failed")
    assert "bash is not on the instance" in done.status["reason"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_capture_with_its_line_and_nothing_of_it_goes_on(
    store: Bucket, number: signal.Signals
) -> None:
    setup = mounts("size=256m", "size=256m")
    how = How(setup=setup, manifest=offered_tool(store, SLOW), end=(number, 4))
    done = run(DOCUMENT, how, store)
    assert done.seconds < 30
    assert (done.code, done.status["status"]) == (1, "failed")
    assert done.status["reason"] == f"ended by {number.name}"
    assert done.status["parts"] >= 1, "what landed is told, so that the next attempt goes on behind it"


def test_a_tmpfs_that_fills_up_while_it_is_used_is_the_reason_that_is_given(store: Bucket) -> None:
    setup = mounts("size=8m", "size=80m") + "; (sleep 3; head -c 90M /dev/zero >/run/x) & :"
    done = run(DOCUMENT, How(setup=setup, manifest=offered_tool(store, SLOW), seconds=60, timeout=90), store)
    assert done.status["status"] == "failed"
    assert "a part could not be held in tmpfs: /run has " in done.status["reason"]


def test_what_a_killed_run_left_and_who_of_it_still_runs_goes_before_room_is_measured(store: Bucket) -> None:
    setup = (
        mounts("size=8m", "size=100m")
        + """
    mkdir -p /run/fc.00000001/run; echo "999999999 1 1" >/run/fc.00000001/pid; head -c 60M /dev/zero >/run/fc.00000001/part0
    (cd /run/fc.00000001/run && exec sleep 4713 8</run/fc.00000001/part0) &
    sleep 0.5"""
    )
    done = run(DOCUMENT, How(setup=setup, manifest=offered_tool(store, TOOL)), store)
    assert done.code == 0, done.status
    assert not Path("/run/fc.00000001").exists()
    assert subprocess.run(["pgrep", "-f", "^sleep 4713"], check=False, capture_output=True).stdout == b""
