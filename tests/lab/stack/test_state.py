"""The state directory: who runs in it, and what may be cleared."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from lab.stack import state as stack_state
from lab.stack.process import Member, StackError
from tests.lab.stack.programs import SLEEPER, run


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
    member, process = run(SLEEPER, tmp_path)
    _record(tmp_path, member)
    assert stat.S_IMODE((tmp_path / "stack.json").stat().st_mode) == 0o600
    assert stack_state.running(tmp_path)
    assert stack_state.stop(tmp_path) == ["probe"]
    assert stack_state.stop(tmp_path) == []
    assert stack_state.running(tmp_path) is None
    process.wait(60)


def test_running_stack_keeps_its_directory(tmp_path: Path) -> None:
    with stack_state.locked(tmp_path):
        member, process = run(SLEEPER, tmp_path)
        _record(tmp_path, member)
        with pytest.raises(StackError, match=r"a lab is running in .*stop it first"):
            stack_state.prepare(tmp_path, report=print)
        assert process.poll() is None
        stack_state.stop(tmp_path)


def test_leftovers_of_a_dead_owner_are_cleared(tmp_path: Path) -> None:
    messages: list[str] = []
    with stack_state.locked(tmp_path):
        member, process = run(SLEEPER, tmp_path)
        _record(tmp_path, member, owner={"pid": 2**22 + 1, "born": "long ago"})
        (tmp_path / "airflow").mkdir()
        (tmp_path / "cache").mkdir()
        nested = tmp_path / "demo"
        nested.mkdir()
        (nested / stack_state.STATE_MARK).touch()
        stack_state.prepare(tmp_path, report=messages.append)
    process.wait(60)
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
