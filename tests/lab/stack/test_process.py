"""Processes are started and ended in groups of their own; other processes are not touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.progress import wait_until
from lab.stack.process import Member, born, end, tail
from tests.lab.stack.programs import FORKER, SLEEPER, STUBBORN, run, wait_for_text


def test_process_is_its_own_leader_and_ends_on_term(tmp_path: Path) -> None:
    member, process = run(SLEEPER, tmp_path)
    assert member.alive()
    assert os.getpgid(member.pid) == member.pid != os.getpgid(0)
    assert end([member], stack_id="test", grace=5) == []
    assert not member.alive()
    process.wait(60)


def test_one_that_ignores_term_is_killed(tmp_path: Path) -> None:
    member, process = run(STUBBORN, tmp_path)
    wait_for_text(tmp_path / "probe.log")
    assert end([member], stack_id="test", grace=0.3) == ["probe"]
    assert not member.alive()
    process.wait(60)


@pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="children outside the group are found through /proc"
)
def test_children_that_left_the_group_are_found(tmp_path: Path) -> None:
    member, process = run(FORKER, tmp_path, stack_id="forker")
    child = int(wait_for_text(tmp_path / "probe.log"))
    assert born(child)
    end([member], stack_id="forker", grace=5)
    process.wait(60)
    wait_until(lambda: born(child) is None, what="the child that left the group to end", pause=0.02)


def test_recycled_pid_is_left_alone(tmp_path: Path) -> None:
    member, process = run(SLEEPER, tmp_path)
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
