"""A step that Airflow ended without a word is recorded and announced all the same."""

from __future__ import annotations

import pytest

from forensics.case.killed_steps import record_killed_steps
from forensics.models.evidence import Outcome
from tests.unit.recorders import FakeRecorder
from tests.unit.report import sample

STATES = {"capture": "failed", "verify": "upstream_failed", "copy": "success", "snapshot": "failed"}


def test_a_failed_task_that_recorded_nothing_is_recorded_once() -> None:
    recorder = FakeRecorder()
    assert record_killed_steps(recorder, STATES) == ["capture", "snapshot"]
    assert [mail.event for mail in recorder.mailbox.mail] == ["failed:capture", "failed:snapshot"]
    assert "clear the task" in recorder.mailbox.mail[0].lines[-1]
    assert set(recorder.store.failures()) == {"capture", "snapshot"}
    assert record_killed_steps(recorder, STATES) == []


def test_an_isolation_that_another_step_has_done_since_is_no_killed_step(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = FakeRecorder()
    contained = sample.complete_view()
    assert contained.containment is not None and contained.containment.outcome is Outcome.DONE
    monkeypatch.setattr(recorder, "view", lambda: contained)
    states = {"containment.isolate_target": "failed"}
    assert record_killed_steps(recorder, states) == []
    monkeypatch.setattr(recorder, "view", lambda: contained.model_copy(update={"containment": None}))
    assert record_killed_steps(recorder, states) == ["containment.isolate_target"]
