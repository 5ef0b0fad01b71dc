"""A step that Airflow ended without a word is told all the same."""

from __future__ import annotations

from types import SimpleNamespace

from forensics.case.killed_steps import tell_killed_steps
from tests.unit.recorders import FakeRecorder


class TaskInstance:
    """Answers with the states of a run's tasks."""

    def __init__(self, **states: str) -> None:
        self._states = states

    def get_task_states(self, *, dag_id: str, run_ids: list[str]) -> dict[str, dict[str, str]]:
        """The states of the one run."""
        assert (dag_id, run_ids) == ("forensic_case", ["fc-1"])
        return {"fc-1": self._states}


def test_a_failed_task_that_recorded_nothing_is_recorded_once() -> None:
    recorder = FakeRecorder()
    ti = TaskInstance(capture="failed", verify="upstream_failed", copy="success", snapshot="failed")
    context = {"ti": ti, "dag_run": SimpleNamespace(dag_id="forensic_case", run_id="fc-1")}
    assert tell_killed_steps(recorder, context) == ["capture", "snapshot"]  # type: ignore[arg-type]
    assert [mail.event for mail in recorder.mailbox.mail] == ["failed:capture", "failed:snapshot"]
    assert "clear the task" in recorder.mailbox.mail[0].lines[-1]
    assert tell_killed_steps(recorder, context) == []  # type: ignore[arg-type]
