"""The probe's step: whom it asks, and what it waits for."""

from __future__ import annotations

import time
from unittest.mock import create_autospec

import pytest
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from forensics import case_keys
from forensics.errors import AccessDeniedError, MemoryCaptureError
from forensics.memory.probe_operators import ProbeTargetOperator
from forensics.models.evidence import MemoryEvidence, Outcome
from tests.unit.builders import INSTANCE, plan, target
from tests.unit.memory.target import Host
from tests.unit.recorders import context

STEP = ProbeTargetOperator(task_id="probe_target")


def test_the_trigger_ends_the_task_when_the_probe_succeeded(step_host: Host) -> None:
    with pytest.raises(TaskDeferred) as deferral:
        STEP.act(step_host.recorder, context())
    trigger = deferral.value.trigger
    assert (trigger.commands, trigger.must_succeed, trigger.ends_task) == ([["command-1", INSTANCE]], True, True)
    assert trigger.also == [["command-2", INSTANCE]], "the first pass is waited for, however it ends"
    probe, first = step_host.ssm.sent
    assert (probe.document, first.document) == ("forensics-probe_linux", "forensics-live_response_linux")
    assert (first.parameters["Depth"], first.parameters["ExecutionTimeout"]) == ("first", "50")
    assert first.comment.endswith(f"live-response-{INSTANCE}-first")
    assert trigger.scope["phase"] == "acquire" and trigger.scope["instance_id"] == INSTANCE
    assert 115 < trigger.deadline - time.time() <= 120


def test_windows_is_probed_and_has_a_first_pass_too(step_host: Host) -> None:
    step_host.recorder.put(case_keys.TARGET, target(platform="windows"))
    with pytest.raises(TaskDeferred) as deferral:
        STEP.act(step_host.recorder, context())
    assert deferral.value.trigger.also == [["command-2", INSTANCE]]
    assert [sent.document for sent in step_host.ssm.sent] == [
        "forensics-probe_windows",
        "forensics-live_response_windows",
    ]


def test_without_a_capture_there_is_nothing_to_ask(step_host: Host) -> None:
    step_host.recorder.put(case_keys.PLAN, plan(memory=False))
    with pytest.raises(AirflowSkipException, match="the target is not probed"):
        STEP.act(step_host.recorder, context())
    assert step_host.ssm.sent == []


def test_with_a_verified_image_the_target_is_left_alone(step_host: Host) -> None:
    step_host.recorder.save_evidence(MemoryEvidence(evidence_id=f"memory-{INSTANCE}", outcome=Outcome.ACQUIRED))
    assert STEP.act(step_host.recorder, context()) == {"already": True}
    assert step_host.ssm.sent == []


def test_a_first_pass_that_cannot_be_begun_does_not_hold_the_probe_back(
    step_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = create_autospec(
        step_host.recorder.landing.publish, side_effect=AccessDeniedError("write the manifest: AccessDenied")
    )
    monkeypatch.setattr(step_host.recorder.landing, "publish", refused)
    with pytest.raises(TaskDeferred) as deferral:
        STEP.act(step_host.recorder, context())
    assert (deferral.value.trigger.commands, deferral.value.trigger.also) == ([["command-1", INSTANCE]], [])
    assert any("the first pass of the live response was not begun" in note for note in step_host.recorder.notes)


def test_a_probe_that_failed_says_so() -> None:
    error = STEP.wait_failed("the agent is gone", "start the agent")
    assert isinstance(error, MemoryCaptureError)
    assert (str(error), error.next_action) == ("probe: the agent is gone", "start the agent")
