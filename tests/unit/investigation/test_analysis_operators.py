"""The steps that run the tools: commands are awaited, an analysis that is done is not repeated."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.ebs import EbsGateway
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.ssm import SsmGateway
from forensics.aws.triggers import SsmCommandsCompletedTrigger
from forensics.errors import InvestigationError
from forensics.investigation.analysis_inputs import MemoryInputs
from forensics.investigation.analysis_operators import AnalyseDiskOperator, AnalyseMemoryOperator
from forensics.investigation.artifacts import result_key
from forensics.models.evidence import EvidenceKind, Outcome
from forensics.models.results import Investigation
from tests.unit.accounts import FORENSIC, EbsInMemory, Ec2InMemory, SsmInMemory, act, deferred, prepare
from tests.unit.builders import CASE_ID, evidence, said
from tests.unit.recorders import FakeRecorder, context

pytestmark = pytest.mark.usefixtures("settings_environment")
ITEM = "disk-vol-1"


class World:
    """A case with an acquired disk that is attached to a running forensic instance."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.recorder, self.ssm = FakeRecorder(), SsmInMemory()
        ec2, ebs = Ec2InMemory(), EbsInMemory()
        monkeypatch.setattr(Ec2Gateway, "of", lambda session: ec2)
        monkeypatch.setattr(EbsGateway, "of", lambda session: ebs)
        monkeypatch.setattr(SsmGateway, "of", lambda session: self.ssm)
        ec2.add("i-1", "running", forensics_case=CASE_ID, forensics_purpose="forensic-instance")
        ebs.add_volume("vol-9", "in-use", holder="i-1", forensics_case=CASE_ID, forensics_evidence=ITEM)
        self.recorder.save_evidence(evidence(EvidenceKind.DISK))
        self.step = AnalyseDiskOperator(task_id="analyse_disk")
        prepare(self.step, self.recorder)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_the_step_waits_for_its_commands_and_judges_the_results_itself(world: World) -> None:
    trigger = deferred(world.step, world.recorder)
    assert isinstance(trigger, SsmCommandsCompletedTrigger)
    assert (trigger.commands, trigger.must_succeed, trigger.ends_task) == ([["command-1", "i-1"]], False, False)
    assert (trigger.scope["account_id"], trigger.scope["phase"]) == (FORENSIC, "analyse")
    assert world.ssm.sent[0]["parameters"]["VolumeId"] == "vol-9"
    world.ssm.end("command-1", "", status="TimedOut")
    with pytest.raises(InvestigationError, match="ended TimedOut"):
        world.step.resume(world.recorder, {"commands": trigger.commands}, context())


def test_an_analysis_that_is_done_is_not_repeated(world: World) -> None:
    """A worker that died when the results were in had told nobody of them: the next try does, once."""
    done = Investigation(
        activity="investigate_disk", evidence_id=ITEM, outcome=Outcome.DONE, command_id="command-1", findings=7
    )
    world.recorder.put(result_key("investigate_disk", ITEM), done)
    assert act(world.step, world.recorder) == {"already": True}
    assert act(world.step, world.recorder) == {"already": True}
    assert world.ssm.sent == []
    assert world.recorder.subjects == [said("Investigation of disk done: 7 findings", about=world.recorder.case)]


def test_without_evidence_the_step_is_skipped(world: World) -> None:
    world.recorder.save_evidence(evidence(EvidenceKind.DISK, Outcome.FAILED))
    with pytest.raises(AirflowSkipException, match="no disk evidence was acquired"):
        act(world.step, world.recorder)


def test_memory_has_the_librarys_tables_under_the_custodians_role(world: World) -> None:
    step = AnalyseMemoryOperator(task_id="analyse_memory")
    prepare(step, world.recorder)
    made = step.inputs(world.recorder)
    assert isinstance(made, MemoryInputs) and made.kind is EvidenceKind.MEMORY
    with pytest.raises(AirflowSkipException, match="no memory evidence was acquired"):
        act(step, world.recorder)
    error = step.wait_failed("timed out", "")
    assert isinstance(error, InvestigationError) and error.next_action == InvestigationError.default_action
