"""The probe's step: whom it asks, and what it waits for."""

from __future__ import annotations

import time

import pytest
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from forensics import case_keys
from forensics.errors import MemoryCaptureError
from forensics.memory.probe_operators import ProbeTargetOperator
from forensics.models.evidence import MemoryEvidence, Outcome
from tests.unit.builders import INSTANCE, plan
from tests.unit.memory.target import Host
from tests.unit.recorders import context

STEP = ProbeTargetOperator(task_id="probe_target")


def test_the_trigger_ends_the_task_when_the_probe_succeeded(step_host: Host) -> None:
    with pytest.raises(TaskDeferred) as deferral:
        STEP.act(step_host.recorder, context())
    trigger = deferral.value.trigger
    assert (trigger.commands, trigger.must_succeed, trigger.ends_task) == ([["command-1", INSTANCE]], True, True)
    assert trigger.scope["phase"] == "acquire" and trigger.scope["instance_id"] == INSTANCE
    assert 115 < trigger.deadline - time.time() <= 120


def test_without_a_capture_there_is_nothing_to_ask(step_host: Host) -> None:
    step_host.recorder.put(case_keys.PLAN, plan(memory=False))
    with pytest.raises(AirflowSkipException, match="the target is not probed"):
        STEP.act(step_host.recorder, context())
    assert step_host.ssm.sent == []


def test_with_a_verified_image_the_target_is_left_alone(step_host: Host) -> None:
    step_host.recorder.save_evidence(MemoryEvidence(evidence_id=f"memory-{INSTANCE}", outcome=Outcome.ACQUIRED))
    assert STEP.act(step_host.recorder, context()) == {"already": True}
    assert step_host.ssm.sent == []


def test_a_probe_that_failed_says_so() -> None:
    error = STEP.wait_failed("the agent is gone", "start the agent")
    assert isinstance(error, MemoryCaptureError)
    assert (str(error), error.next_action) == ("probe: the agent is gone", "start the agent")
