"""The product on an SSM that is late, loses commands and answers, and speaks of plugins when a disk is full.

What AWS does, and who recorded it: docs/lab-fidelity.md, and tests/lab/emulator/patches/test_ssm_lateness.py.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from forensics import document_registry as documents
from forensics.errors import AcquisitionError, InvestigationError, MemoryCaptureError
from forensics.investigation import analysis_operators
from forensics.investigation.analysis_operators import AnalyseDiskOperator
from forensics.memory import capture_operators
from forensics.memory.capture_operators import CaptureMemoryOperator
from forensics.memory.live_response_operators import LiveResponseOperator
from forensics.memory.probe_operators import ProbeTargetOperator
from forensics.memory.verify_operators import VerifyMemoryOperator
from forensics.models.evidence import EvidenceKind, Outcome
from lab.evidence.images import Images
from tests.gateways import recorder_of
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case, triage
from tests.integration.test_memory_flow import change_target, evidence
from tests.integration.test_third_party_tool import RealDisks, attached

CAPTURE = CaptureMemoryOperator(task_id="capture_memory")


@pytest.fixture(autouse=True)
def quiet(lab: SmallLab) -> None:
    """Nothing befalls a command unless the test says so."""
    lab.control("config", {"ssm_first_lost_share": 0, "ssm_late_answer_share": 0})


def triaged(lab: SmallLab) -> str:
    case_id = open_case(lab)
    assert triage(case_id)["memory"]
    return case_id


def sent(lab: SmallLab, account: str, words: str) -> list[dict[str, Any]]:
    """Commands whose comment has the words, the oldest first."""
    commands = lab.client("ssm", account).list_commands()["Commands"]
    return [c for c in reversed(commands) if words in c["Comment"]]


# ---------------------------------------------------------------------- DeliveryTimedOut although the work was done
def test_an_image_that_landed_is_taken_although_ssm_lost_the_answer(lab: SmallLab) -> None:
    case_id = triaged(lab)
    perform(ProbeTargetOperator(task_id="probe_target"), case_id=case_id)
    lab.control("config", {"ssm_late_answer_share": 1})
    perform(CAPTURE, case_id=case_id, try_number=1)
    (command,) = sent(lab, "member", "memory")
    assert (command["Status"], command["DeliveryTimedOutCount"]) == ("TimedOut", 1)
    perform(VerifyMemoryOperator(task_id="verify_memory"), case_id=case_id)
    assert evidence(case_id, EvidenceKind.MEMORY).outcome is Outcome.ACQUIRED


def test_a_live_response_that_landed_is_taken_although_ssm_lost_the_answer(lab: SmallLab) -> None:
    case_id = triaged(lab)
    lab.control("config", {"ssm_late_answer_share": 1})
    done = perform(LiveResponseOperator(task_id="live_response"), case_id=case_id, try_number=1)
    assert done["outcome"] == "ACQUIRED"
    assert len(sent(lab, "member", "live-response")) == 1


# ---------------------------------------------------------------------- the first command of a fresh host
def test_a_capture_whose_first_command_was_lost_costs_no_try(lab: SmallLab) -> None:
    change_target(lab, fresh=True)
    case_id = triaged(lab)
    lab.control("config", {"ssm_first_lost_share": 1, "ssm_lost_seconds": 1})
    perform(CAPTURE, case_id=case_id, try_number=1)
    assert [c["Status"] for c in sent(lab, "member", "memory")] == ["TimedOut", "Success"]
    perform(VerifyMemoryOperator(task_id="verify_memory"), case_id=case_id)
    assert evidence(case_id, EvidenceKind.MEMORY).outcome is Outcome.ACQUIRED


def test_a_target_that_takes_no_command_is_given_up_with_its_cause(lab: SmallLab) -> None:
    """Its PingStatus is Online for minutes after its agent has stopped."""
    lab.control("config", {"ssm_ping_seconds": 3600, "ssm_delivery_seconds": 0.5})
    case_id = open_case(lab)
    assert triage(case_id)["memory"]
    change_target(lab, agent_stopped=True)
    with pytest.raises(AirflowFailException, match="DeliveryTimedOut") as error:
        perform(CAPTURE, case_id=case_id, try_number=1)
    assert "PingStatus may be minutes old" in str(error.value)
    assert len(sent(lab, "member", "memory")) == 3
    assert evidence(case_id, EvidenceKind.MEMORY).outcome is Outcome.FAILED


def test_a_capture_whose_command_stays_delayed_is_not_waited_for(
    lab: SmallLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Isolation waits for the capture: an agent that takes nothing must not hold it back until the capture's time is over."""
    monkeypatch.setattr(capture_operators, "DELIVERY_SECONDS", 1.5)
    change_target(lab, fresh=True)
    case_id = triaged(lab)
    lab.control("config", {"ssm_first_lost_share": 1, "ssm_lost_seconds": 3600})
    perform(CAPTURE, case_id=case_id, try_number=1)
    assert [c["Status"] for c in sent(lab, "member", "memory")] == ["Cancelled", "Success"]


@pytest.fixture
def disks(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"investigate_disk_linux": documents.released()["investigate_disk_linux"]}
    monkeypatch.setattr(documents, "released", lambda: known)


class TestForensicInstance:
    """The tools on the forensic instance, which is always a fresh host."""

    @pytest.fixture
    def images(self, tmp_path: Path) -> Images:
        return RealDisks(tmp_path / "cache")

    @pytest.mark.parametrize("given_up_by", ["ssm", "the product"])
    def test_tools_whose_first_command_was_lost_are_sent_again(
        self, lab: SmallLab, disks: None, monkeypatch: pytest.MonkeyPatch, given_up_by: str
    ) -> None:
        """Their delivery time-out is hours, because they wait for each other: the product does not wait so long."""
        monkeypatch.setattr(analysis_operators, "LOST_AFTER", 1.5)
        case_id = attached(lab)
        seconds = 0.5 if given_up_by == "ssm" else 3600
        lab.control("config", {"ssm_first_lost_share": 1, "ssm_lost_seconds": seconds})
        done = perform(AnalyseDiskOperator(task_id="analyse_disk"), case_id=case_id, try_number=1)
        volumes = lab.facts["instances"]["web-server"]["volumes"].values()
        assert set(done) == {f"investigate_disk of disk-{v}" for v in volumes}
        ended = [c["Status"] for c in sent(lab, "forensic", "investigate")]
        assert sorted(ended) == sorted(
            ["TimedOut" if given_up_by == "ssm" else "Cancelled", *["Success"] * len(volumes)]
        )

    def test_a_full_disk_of_the_forensic_instance_is_named(self, lab: SmallLab, disks: None) -> None:
        case_id = attached(lab)
        for record in lab.control("instance")["instances"]:
            if record["kind"] == "forensic":
                lab.control("instance", {**record, "disk_full": True})
        with pytest.raises(InvestigationError, match="full or read-only") as error:
            perform(AnalyseDiskOperator(task_id="analyse_disk"), case_id=case_id, try_number=1)
        assert "free space and inodes" in error.value.next_action


# ---------------------------------------------------------------------- a full disk on the target
@pytest.mark.parametrize("full", [True, "skips"])
def test_a_full_disk_of_the_target_is_named(lab: SmallLab, full: Any) -> None:
    case_id = triaged(lab)
    change_target(lab, disk_full=full)
    for operator, kind in ((CAPTURE, MemoryCaptureError), (LiveResponseOperator(task_id="live"), AcquisitionError)):
        with pytest.raises(kind, match="full or read-only") as error:
            perform(operator, case_id=case_id, try_number=1)
        assert "free space and inodes" in error.value.next_action


# ---------------------------------------------------------------------- late PingStatus, new documents
def test_a_host_that_is_shown_as_lost_and_is_back_keeps_its_memory_in_the_plan(lab: SmallLab) -> None:
    change_target(lab, fresh=True)
    lab.control("config", {"ssm_ping_seconds": 2})
    case_id = open_case(lab)
    assert triage(case_id)["memory"] is True
    target = recorder_of(case_id, step="test").target()
    assert target is not None and "SSM said ConnectionLost at first, then Online" in target.notes


def test_a_document_that_is_being_created_is_waited_for(lab: SmallLab) -> None:
    case_id = triaged(lab)
    ssm = lab.client("ssm", "member")
    name = documents.choose("probe", platform="linux").name
    content = ssm.get_document(Name=name, DocumentFormat="YAML")["Content"]
    ssm.delete_document(Name=name)
    lab.control("config", {"hidden_from_root": 1, "ssm_document_seconds": 2})
    ssm.create_document(Name=name, Content=content, DocumentType="Command", DocumentFormat="YAML")
    lab.control("config", {"hidden_from_root": 0})
    begun = time.monotonic()
    perform(ProbeTargetOperator(task_id="probe_target"), case_id=case_id, try_number=1)
    assert time.monotonic() - begun > 1
