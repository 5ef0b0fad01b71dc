"""The steps of the forensic instance: launched when there is something to examine, evidence attached, removed."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from forensics import case_keys
from forensics.aws.ebs import EbsGateway
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.ssm import SsmGateway
from forensics.case.step import ForensicOperator
from forensics.errors import InvestigationError
from forensics.investigation.instance_operators import (
    AttachEvidenceVolumesOperator,
    LaunchForensicInstanceOperator,
    TerminateForensicInstanceOperator,
)
from forensics.investigation.triggers import ForensicInstanceOnlineTrigger, InstancesGoneTrigger, VolumesAttachedTrigger
from forensics.models.case import Phase
from forensics.models.evidence import EvidenceKind, Outcome
from tests.integration.steps import DagRun
from tests.unit.accounts import FORENSIC, EbsInMemory, Ec2InMemory, SsmInMemory, act, deferred, prepare
from tests.unit.builders import CASE_ID, REGION, evidence, plan, said
from tests.unit.recorders import FakeRecorder, context

pytestmark = pytest.mark.usefixtures("settings_environment")
OF_CASE = {"forensics_case": CASE_ID, "forensics_purpose": "forensic-instance"}


class World:
    """A case with one acquired disk, and the forensic account."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.recorder, self.ec2, self.ebs = FakeRecorder(), Ec2InMemory(), EbsInMemory()
        monkeypatch.setattr(Ec2Gateway, "of", lambda session: self.ec2)
        monkeypatch.setattr(EbsGateway, "of", lambda session: self.ebs)
        monkeypatch.setattr(SsmGateway, "of", lambda session: SsmInMemory())
        self.recorder.put(case_keys.PLAN, plan())
        self.recorder.save_evidence(evidence(EvidenceKind.DISK, origin={"copy_id": "copy-1", "copy_region": REGION}))

    def step(self, kind: type[ForensicOperator]) -> ForensicOperator:
        made = kind(task_id="step")
        prepare(made, self.recorder)
        return made


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_the_launch_waits_for_the_agent(world: World) -> None:
    trigger = deferred(world.step(LaunchForensicInstanceOperator), world.recorder, try_number=2)
    assert isinstance(trigger, ForensicInstanceOnlineTrigger) and trigger.ends_task
    assert trigger.scope["account_id"] == FORENSIC
    (asked,) = world.ec2.launched
    assert asked["token"] == f"{CASE_ID}-1"
    assert asked["root"].size_gib == 100
    assert world.recorder.case_now().phase is Phase.INVESTIGATION
    assert "investigation_started" in world.recorder.view().milestones
    again = deferred(world.step(LaunchForensicInstanceOperator), world.recorder)
    assert isinstance(again, ForensicInstanceOnlineTrigger)
    assert again.instance_id == trigger.instance_id and len(world.ec2.launched) == 1


def test_an_instance_that_no_list_shows_yet_is_not_launched_twice(world: World) -> None:
    first = deferred(world.step(LaunchForensicInstanceOperator), world.recorder)
    assert isinstance(first, ForensicInstanceOnlineTrigger)
    world.ec2.records[first.instance_id]["Tags"] = []
    again = deferred(world.step(LaunchForensicInstanceOperator), world.recorder, try_number=2)
    assert isinstance(again, ForensicInstanceOnlineTrigger) and again.instance_id == first.instance_id
    assert len(world.ec2.launched) == 1


def test_after_an_instance_that_ended_another_is_launched(world: World) -> None:
    first = deferred(world.step(LaunchForensicInstanceOperator), world.recorder)
    assert isinstance(first, ForensicInstanceOnlineTrigger)
    world.ec2.records[first.instance_id]["State"]["Name"] = "terminated"
    again = deferred(world.step(LaunchForensicInstanceOperator), world.recorder, try_number=2)
    assert isinstance(again, ForensicInstanceOnlineTrigger) and again.instance_id != first.instance_id
    assert [asked["token"] for asked in world.ec2.launched] == [f"{CASE_ID}-1", f"{CASE_ID}-2"]


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.NOT_APPLICABLE])
def test_with_nothing_to_examine_and_nothing_on_its_way_nothing_is_launched(world: World, outcome: Outcome) -> None:
    world.recorder.put(case_keys.PLAN, plan(memory=False))
    world.recorder.save_evidence(evidence(EvidenceKind.DISK, outcome))
    with pytest.raises(AirflowSkipException, match="nothing to investigate"):
        act(world.step(LaunchForensicInstanceOperator), world.recorder)
    world.recorder.save_evidence(evidence(EvidenceKind.DISK, Outcome.PENDING))
    assert deferred(world.step(LaunchForensicInstanceOperator), world.recorder)


@pytest.mark.parametrize(
    ("states", "launched"),
    [
        ({"disk.copy_snapshots": None}, True),
        ({"disk.copy_snapshots": "up_for_retry"}, True),
        ({"disk.copy_snapshots": "deferred"}, True),
        ({"disk.copy_snapshots": "failed"}, False),
        ({"disk.copy_snapshots": "upstream_failed"}, False),
        ({}, False),
    ],
)
def test_a_cleared_step_that_acquires_is_waited_for(
    world: World, states: dict[str, str | None], launched: bool
) -> None:
    """One clear recovers the case: the launch starts beside the copy that failed before, and sees that it is under way."""
    world.recorder.put(case_keys.PLAN, plan(memory=False))
    world.recorder.save_evidence(evidence(EvidenceKind.DISK, Outcome.FAILED))
    step = LaunchForensicInstanceOperator(task_id="step", acquiring={"disk": ["disk.copy_snapshots"]})
    prepare(step, world.recorder)
    given = context(dag_run=DagRun("run-1"))
    given["ti"].states = states
    with pytest.raises(TaskDeferred if launched else AirflowSkipException):
        step.act(world.recorder, given)
    assert len(world.ec2.launched) == launched


def test_a_launch_that_failed_for_good_leaves_nothing_behind(world: World) -> None:
    world.ec2.add("i-1", "running", **OF_CASE)
    world.step(LaunchForensicInstanceOperator).on_final_failure(world.recorder, "no agent")
    assert world.ec2.state("i-1") == "shutting-down"
    error = world.step(LaunchForensicInstanceOperator).wait_failed("timed out", "look at the AMI")
    assert isinstance(error, InvestigationError) and error.next_action == "look at the AMI"


def test_volumes_are_made_and_attached(world: World) -> None:
    world.ec2.add("i-1", "running", **OF_CASE)
    step = world.step(AttachEvidenceVolumesOperator)
    trigger = deferred(step, world.recorder)
    assert isinstance(trigger, VolumesAttachedTrigger) and trigger.ends_task
    (volume,) = world.ebs.records
    assert (trigger.instance_id, trigger.volumes) == ("i-1", [["disk-vol-1", volume, "/dev/sdf"]])
    world.ebs.records[volume] |= {"State": "in-use", "Attachments": [{"InstanceId": "i-1", "State": "attached"}]}
    assert act(step, world.recorder) == {"disk-vol-1": volume}, "a cleared task"
    assert world.recorder.subjects == [said("Acquisition ended, investigation starts")]
    assert world.recorder.mailbox.mail[0].facts["evidence"] == ["disk-vol-1"]


def test_without_a_disk_the_end_of_the_acquisition_is_announced_all_the_same(world: World) -> None:
    world.recorder.save_evidence(evidence(EvidenceKind.DISK, Outcome.FAILED))
    with pytest.raises(AirflowSkipException, match="no disk was acquired"):
        act(world.step(AttachEvidenceVolumesOperator), world.recorder)
    assert world.recorder.mailbox.mail[0].facts["evidence"] == []


def test_the_removal_waits_and_then_deletes_the_volumes(world: World) -> None:
    world.ec2.add("i-1", "running", **OF_CASE)
    world.ebs.add_volume("vol-9", "available", forensics_case=CASE_ID, forensics_purpose="analysis-volume")
    step = world.step(TerminateForensicInstanceOperator)
    trigger = deferred(step, world.recorder)
    assert isinstance(trigger, InstancesGoneTrigger) and trigger.instance_ids == ["i-1"]
    assert world.ebs.deleted == [], "the instance may still hold them"
    result = step.resume(world.recorder, {"instances": ["i-1"]}, context())
    assert result == {"instances": ["i-1"], "volumes": ["vol-9"]}
    assert "forensic instance i-1 is gone" in world.recorder.notes


def test_without_an_instance_only_volumes_are_deleted(world: World) -> None:
    assert act(world.step(TerminateForensicInstanceOperator), world.recorder) == {"volumes": []}
