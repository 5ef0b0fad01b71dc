"""The step that snapshots: it waits for the set, or is skipped with the plan's reason."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from forensics import case_keys
from forensics.aws.ebs import EbsGateway
from forensics.disk.snapshot_operators import SnapshotVolumesOperator
from forensics.disk.triggers import SnapshotsCompletedTrigger
from forensics.errors import SnapshotError
from forensics.models.evidence import Outcome
from tests.unit.accounts import EbsInMemory, act, deferred, prepare
from tests.unit.builders import ACCOUNT, INSTANCE, plan, target
from tests.unit.recorders import FakeRecorder

pytestmark = pytest.mark.usefixtures("settings_environment")


@pytest.fixture
def recorder() -> FakeRecorder:
    made = FakeRecorder()
    made.put(case_keys.PLAN, plan())
    made.put(case_keys.TARGET, target())
    return made


@pytest.fixture
def step(recorder: FakeRecorder) -> SnapshotVolumesOperator:
    made = SnapshotVolumesOperator(task_id="snapshot_volumes")
    prepare(made, recorder)
    return made


def test_it_waits_for_the_set_in_the_targets_account(
    step: SnapshotVolumesOperator, recorder: FakeRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ebs = EbsInMemory(account_id=ACCOUNT)
    monkeypatch.setattr(EbsGateway, "of", lambda session: ebs)
    trigger = deferred(step, recorder)
    assert isinstance(trigger, SnapshotsCompletedTrigger) and trigger.ends_task
    assert trigger.snapshot_ids == list(ebs.known)
    assert (trigger.scope["account_id"], trigger.scope["phase"]) == (ACCOUNT, "acquire")
    assert trigger.scope["instance_id"] == INSTANCE
    assert [e.outcome for e in recorder.disks()] == [Outcome.PENDING]


def test_a_plan_without_disks_skips_the_step_and_records_why(
    step: SnapshotVolumesOperator, recorder: FakeRecorder
) -> None:
    recorder.put(case_keys.PLAN, plan(disk=False))
    with pytest.raises(AirflowSkipException, match="disks are not acquired: because"):
        act(step, recorder)
    assert [(e.outcome, e.reason) for e in recorder.disks()] == [(Outcome.SKIPPED, "because")]


def test_without_a_plan_the_step_is_skipped(step: SnapshotVolumesOperator) -> None:
    with pytest.raises(AirflowSkipException, match="triage did not end"):
        act(step, FakeRecorder())


def test_the_end_of_all_tries_leaves_no_disk_pending(step: SnapshotVolumesOperator, recorder: FakeRecorder) -> None:
    step.on_final_failure(recorder, "timed out")
    assert [(e.outcome, e.reason) for e in recorder.disks()] == [(Outcome.FAILED, "timed out")]
    error = step.wait_failed("timed out", "")
    assert isinstance(error, SnapshotError) and error.next_action == SnapshotError.default_action
