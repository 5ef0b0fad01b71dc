"""The live response's step: when it runs, what it waits for, what it returns."""

from __future__ import annotations

import hashlib
import time

import pytest
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from forensics import case_keys
from forensics.errors import AcquisitionError
from forensics.memory.landed_archive import part_key
from forensics.memory.live_response_operators import LiveResponseOperator
from forensics.models.evidence import LiveResponseEvidence, Outcome
from tests.unit.builders import INSTANCE, plan
from tests.unit.memory.live_archives import archive
from tests.unit.memory.target import Host
from tests.unit.recorders import context

STEP = LiveResponseOperator(task_id="live_response")
ITEM = f"live-response-{INSTANCE}"


def test_it_waits_for_its_command_and_returns_the_evidence(step_host: Host) -> None:
    with pytest.raises(TaskDeferred) as deferral:
        STEP.act(step_host.recorder, context())
    trigger = deferral.value.trigger
    assert (trigger.commands, trigger.ends_task) == ([["command-1", INSTANCE]], False)
    assert 445 < trigger.deadline - time.time() <= 450
    live = step_host.recorder.live_response()
    assert live is not None
    body = archive({"20-process-states": b"1 (init) S 0"})
    step_host.recorder.landing.objects[part_key(str(live.origin.landing_prefix), 1)] = body
    digest = hashlib.sha256(body).hexdigest()
    line = {"status": "ok", "bytes": len(body), "sha256": digest, "items": 1, "process_images": 0}
    step_host.ssm.answer("command-1", line)
    assert STEP.resume(step_host.recorder, {}, context()) == {
        "evidence_id": ITEM,
        "outcome": "ACQUIRED",
        "sha256": digest,
    }
    assert STEP.act(step_host.recorder, context()) == {"evidence_id": ITEM, "already": True}


@pytest.mark.parametrize("outcome", [Outcome.ACQUIRED, Outcome.PARTIAL])
def test_what_was_taken_is_not_taken_again(step_host: Host, outcome: Outcome) -> None:
    step_host.recorder.save_evidence(LiveResponseEvidence(evidence_id=ITEM, outcome=outcome))
    assert STEP.act(step_host.recorder, context()) == {"evidence_id": ITEM, "already": True}
    assert step_host.ssm.sent == []


def test_where_memory_is_not_acquired_nothing_runs_on_the_target(step_host: Host) -> None:
    step_host.recorder.put(case_keys.PLAN, plan(memory=False))
    with pytest.raises(AirflowSkipException, match="nothing is run on the target"):
        STEP.act(step_host.recorder, context())
    assert step_host.ssm.sent == []


def test_a_final_failure_is_recorded_in_the_item(step_host: Host) -> None:
    error = STEP.wait_failed("no answer", "")
    assert isinstance(error, AcquisitionError)
    STEP.on_final_failure(step_host.recorder, str(error))
    live = step_host.recorder.live_response()
    assert live is not None and (live.outcome, live.reason) == (Outcome.FAILED, "live response: no answer")
