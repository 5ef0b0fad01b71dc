"""An administrator of the target's account, who may be the intruder, plants what looks like the case's own; it is not adopted."""

from __future__ import annotations

import pytest

from forensics.aws import ssm as ssm_gateway
from forensics.aws.s3_landing import LandingGateway
from forensics.case.recorder import CaseRecorder
from forensics.disk.snapshot_operators import SnapshotVolumesOperator
from forensics.memory.capture_operators import CaptureMemoryOperator
from forensics.models.custody import CustodyAction
from forensics.models.evidence import EvidenceKind
from forensics.naming import tags
from tests.gateways import recorder_of
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case, triage
from tests.integration.test_lost_commands import Killed, die_after


def refused(recorder: CaseRecorder) -> dict[str, str]:
    """Name and reason of what the ledger says was not adopted."""
    events = recorder.gateways.ledger.events(recorder.case_id)
    found = [e.detail for e in events if e.action is CustodyAction.ADOPTION_REFUSED]
    return {str(detail["name"]): str(detail["why"]) for detail in found}


def test_snapshots_with_the_cases_tags_that_the_case_did_not_ask_for_are_not_its_evidence(lab: SmallLab) -> None:
    """Case ids can be computed from the finding, and anybody in the account may tag: the newest one won."""
    case_id = open_case(lab)
    triage(case_id)
    recorder, ec2 = recorder_of(case_id, step="test"), lab.client("ec2", "member")
    marks = tags(case_id, "evidence-snapshot", instance=recorder.case.instance_id)
    volumes = list(lab.facts["instances"]["web-server"]["volumes"].values())
    planted = [
        ec2.create_snapshot(
            VolumeId=volume,
            Description=f"Forensic evidence of case {case_id}",
            TagSpecifications=[{"ResourceType": "snapshot", "Tags": marks}],
        )["SnapshotId"]
        for volume in volumes
    ]
    perform(SnapshotVolumesOperator(task_id="snapshot_volumes"), case_id=case_id)
    disks = recorder.disks()
    assert len(disks) == len(volumes) and not {d.origin.snapshot_id for d in disks} & set(planted)
    assert refused(recorder) == dict.fromkeys(planted, "no request of this case made it")
    (mail,) = [m for m in lab.mail() if m["attributes"]["event"] == "planted"]
    assert "is not adopted" in mail["message"] and "look in CloudTrail" in mail["message"]


def test_a_command_with_the_cases_comment_is_not_the_capture(lab: SmallLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent while the worker that captured was lost: the ledger would have named it with our document's digest."""
    case_id = open_case(lab)
    triage(case_id)
    recorder = recorder_of(case_id, step="test")
    with monkeypatch.context() as patch:
        die_after(patch, LandingGateway, "publish")
        with pytest.raises(Killed):
            perform(CaptureMemoryOperator(task_id="capture_memory"), case_id=case_id)
    ssm = lab.client("ssm", "member")
    planted = ssm.send_command(
        InstanceIds=[recorder.case.instance_id],
        DocumentName="forensics-probe_linux",
        DocumentVersion="1",
        Parameters={"CaseId": [case_id]},
        Comment=f"{case_id} memory-{recorder.case.instance_id}",
    )["Command"]["CommandId"]
    # The lab's agent is quick: a command that has ended counts as one that lives.
    monkeypatch.setattr(ssm_gateway, "LIVING", frozenset({*ssm_gateway.LIVING, "Success", "Failed"}))
    perform(CaptureMemoryOperator(task_id="capture_memory"), case_id=case_id)
    memory = recorder.memory()
    assert memory is not None and memory.kind is EvidenceKind.MEMORY
    assert memory.origin.command_id not in {None, planted} and memory.origin.landed_bytes
    assert "it runs the document forensics-probe_linux" in refused(recorder)[planted]
