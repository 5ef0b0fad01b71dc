"""The capture's step: what Airflow sees of a capture that waits, continues, ends, is skipped or fails."""

from __future__ import annotations

import time

import pytest
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from forensics import case_keys
from forensics.errors import MemoryCaptureError
from forensics.memory.capture_operators import CaptureMemoryOperator
from forensics.memory.capture_state import CaptureState, state_of
from forensics.models.evidence import MemoryEvidence, Outcome
from tests.unit.builders import INSTANCE, plan
from tests.unit.memory.target import Host, status_line
from tests.unit.recorders import FakeRecorder, context

STEP = CaptureMemoryOperator(task_id="capture_memory")
ITEM = f"memory-{INSTANCE}"


def deferred(host: Host) -> list[list[str]]:
    """Begin, and return what the step waits for."""
    with pytest.raises(TaskDeferred) as deferral:
        STEP.act(host.recorder, context())
    trigger = deferral.value.trigger
    assert not trigger.ends_task and 3770 < trigger.deadline - time.time() <= 3780
    return list(trigger.commands)


def test_a_capture_waits_for_its_command_and_returns_what_landed(step_host: Host) -> None:
    assert deferred(step_host) == [["command-1", INSTANCE]]
    text = step_host.landed([b"x" * 5000])
    step_host.ssm.answer("command-1", status_line(text, 5000))
    assert STEP.resume(step_host.recorder, {}, context()) == {"evidence_id": ITEM, "bytes": 5000}
    assert STEP.act(step_host.recorder, context()) == {"evidence_id": ITEM, "already": True}
    assert len(step_host.ssm.sent) == 1


def test_the_next_segment_is_waited_for_too(step_host: Host) -> None:
    deferred(step_host)
    text = step_host.landed([b"x" * 5000])
    step_host.ssm.answer("command-1", status_line(text, 5000, status="more"))
    with pytest.raises(TaskDeferred) as deferral:
        STEP.resume(step_host.recorder, {}, context())
    assert deferral.value.trigger.commands == [["command-2", INSTANCE]]


def test_before_triage_there_is_nothing_to_capture(step_host: Host) -> None:
    with pytest.raises(AirflowSkipException, match="there is no response plan"):
        STEP.act(FakeRecorder(), context())


def test_a_plan_without_memory_skips_the_step(step_host: Host) -> None:
    step_host.recorder.put(case_keys.PLAN, plan(memory=False))
    with pytest.raises(AirflowSkipException, match="memory is not captured: because"):
        STEP.act(step_host.recorder, context())
    assert step_host.memory.outcome is Outcome.SKIPPED


def test_a_target_without_a_source_skips_the_step(step_host: Host) -> None:
    step_host.probed(kcore=False)
    with pytest.raises(AirflowSkipException, match="none of its sources is readable"):
        STEP.act(step_host.recorder, context())
    assert step_host.memory.outcome is Outcome.NOT_APPLICABLE


def test_a_verified_image_is_not_captured_again(step_host: Host) -> None:
    step_host.recorder.save_evidence(MemoryEvidence(evidence_id=ITEM, outcome=Outcome.ACQUIRED))
    assert STEP.act(step_host.recorder, context()) == {"evidence_id": ITEM, "already": True}


def test_a_final_failure_is_recorded_in_the_item(step_host: Host) -> None:
    error = STEP.wait_failed("no answer", "")
    STEP.on_final_failure(step_host.recorder, str(error))
    assert state_of(step_host.memory) is CaptureState.FAILED
    assert step_host.memory.reason == "memory capture: no answer"


def test_after_a_try_that_failed_the_live_response_comes_before_the_next_one(step_host: Host) -> None:
    deferred(step_host)
    step_host.ssm.answer("command-1", {"reason": "the tool was killed"}, status="Failed")
    with pytest.raises(MemoryCaptureError):
        STEP.resume(step_host.recorder, {"commands": [["command-1", INSTANCE]]}, context())
    with pytest.raises(TaskDeferred) as deferral:
        STEP.act(step_host.recorder, context())
    assert deferral.value.trigger.commands == [["command-2", INSTANCE]]
    sent = step_host.ssm.sent[1]
    assert (sent.document, sent.parameters["Depth"]) == ("forensics-live_response_linux", "standard")
    # However it ends, the capture goes on; its own step takes it up again.
    step_host.ssm.answer("command-2", {"reason": "no tmpfs"}, status="Failed")
    with pytest.raises(TaskDeferred) as deferral:
        STEP.resume(step_host.recorder, {"commands": [["command-2", INSTANCE]]}, context())
    assert deferral.value.trigger.commands == [["command-3", INSTANCE]]
    assert step_host.ssm.sent[2].document == "forensics-acquire_memory_linux"
    assert any("the live response between two tries of the capture failed" in note for note in step_host.recorder.notes)
