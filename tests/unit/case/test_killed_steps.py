"""A step that Airflow ended without a word is recorded and announced all the same."""

from __future__ import annotations

from forensics.case.killed_steps import record_killed_steps
from tests.unit.recorders import FakeRecorder

STATES = {"capture": "failed", "verify": "upstream_failed", "copy": "success", "snapshot": "failed"}


def test_a_failed_task_that_recorded_nothing_is_recorded_once() -> None:
    recorder = FakeRecorder()
    assert record_killed_steps(recorder, STATES) == ["capture", "snapshot"]
    assert [mail.event for mail in recorder.mailbox.mail] == ["failed:capture", "failed:snapshot"]
    assert "clear the task" in recorder.mailbox.mail[0].lines[-1]
    assert set(recorder.store.failures()) == {"capture", "snapshot"}
    assert record_killed_steps(recorder, STATES) == []
