"""A target that may end during its capture has its snapshots first, and a capture that waits for them always comes."""

from __future__ import annotations

import time

import pytest
from airflow.sdk.exceptions import TaskDeferred

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.hook import ForensicsHook
from forensics.memory.capture_operators import CaptureMemoryOperator
from forensics.memory.snapshot_first import PATIENCE_SECONDS, SnapshotsBegunTrigger, snapshots_go_first
from forensics.models.evidence import DiskEvidence, DiskOrigin, Outcome
from forensics.models.plan import Action, ResponsePlan
from forensics.models.protection import ProtectionResult
from tests.unit.builders import CASE_ID, INSTANCE, decision, plan
from tests.unit.memory.target import Host
from tests.unit.recorders import FakeRecorder, context

STEP = CaptureMemoryOperator(task_id="capture_memory")
WHOLE = ProtectionResult(outcome=Outcome.DONE)
REFUSED = ProtectionResult(outcome=Outcome.PARTIAL, open=("enter_standby: refused",), refused=True)
SPOT = ProtectionResult(outcome=Outcome.DONE, open=("it is a Spot instance",))


def disk(outcome: Outcome = Outcome.PENDING, *, snapshot: str | None = "snap-1") -> DiskEvidence:
    """One disk of the case."""
    return DiskEvidence(evidence_id="disk-vol-1", outcome=outcome, origin=DiskOrigin(snapshot_id=snapshot))


@pytest.mark.parametrize(
    ("protection", "disks", "waits"),
    [
        (None, [], False),
        (WHOLE, [], False),
        (REFUSED, [], True),
        (SPOT, [], True),
        (ProtectionResult(outcome=Outcome.FAILED, open=("assume role: refused",), refused=True), [], True),
        (REFUSED, [disk()], False),
        (REFUSED, [disk(snapshot=None)], True),
        (REFUSED, [disk(Outcome.FAILED, snapshot=None)], False),
    ],
)
def test_when_the_snapshots_go_first(
    protection: ProtectionResult | None, disks: list[DiskEvidence], waits: bool
) -> None:
    recorder = FakeRecorder()
    if protection:
        recorder.put(case_keys.PROTECTION, protection)
    for item in disks:
        recorder.save_evidence(item)
    assert snapshots_go_first(recorder, plan()) is waits


def test_without_disks_in_the_plan_the_capture_waits_for_nothing() -> None:
    recorder = FakeRecorder()
    recorder.put(case_keys.PROTECTION, REFUSED)
    memory_only: ResponsePlan = plan().model_copy(update={"disk": decision(Action.DISK, wanted=False)})
    assert snapshots_go_first(recorder, memory_only) is False


def test_the_capture_waits_and_begins_when_they_have_begun(step_host: Host) -> None:
    step_host.recorder.put(case_keys.PROTECTION, REFUSED)
    with pytest.raises(TaskDeferred) as deferral:
        STEP.act(step_host.recorder, context())
    trigger = deferral.value.trigger
    assert isinstance(trigger, SnapshotsBegunTrigger) and not step_host.ssm.sent
    assert 0 < trigger.until - time.time() <= PATIENCE_SECONDS < trigger.deadline - time.time() + 60


@pytest.mark.parametrize("begun", [True, False])
def test_the_capture_begins_after_the_wait_also_when_no_snapshot_came(
    step_host: Host, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    monkeypatch.setattr(CaptureMemoryOperator, "_bind", lambda self: step_host.recorder)
    step = CaptureMemoryOperator(task_id="capture_memory", case_id=CASE_ID)
    with pytest.raises(TaskDeferred) as deferral:
        step.resume_after_wait(context(), {"ok": True, "snapshots_begun": begun})
    assert deferral.value.trigger.commands == [["command-1", INSTANCE]]
    assert any("goes on without" in note for note in step_host.recorder.notes) is not begun


def test_the_wait_ends_when_a_snapshot_is_on_record_or_at_its_end(
    monkeypatch: pytest.MonkeyPatch, settings_environment: dict[str, str]
) -> None:
    recorder = FakeRecorder()
    monkeypatch.setattr(CaseStore, "of", lambda own, settings: recorder.store)
    monkeypatch.setattr(ForensicsHook, "own", lambda self: None)
    timing = {"poll": 0.1, "deadline": time.time() + 100}
    waiting = SnapshotsBegunTrigger(case_id=CASE_ID, until=time.time() + 90, **timing)
    assert waiting.check() is None
    late = SnapshotsBegunTrigger(case_id=CASE_ID, until=time.time() - 1, **timing).check()
    assert late is not None and late.ok and late.payload == {"snapshots_begun": False}
    recorder.save_evidence(disk())
    done = waiting.check()
    assert done is not None and done.payload == {"snapshots_begun": True}
    path, arguments = waiting.serialize()
    assert path.endswith("snapshot_first.SnapshotsBegunTrigger") and arguments["until"] == waiting.until
