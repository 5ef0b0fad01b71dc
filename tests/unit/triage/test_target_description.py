"""The target's description: stored as evidence, with what AWS refused in its notes."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.ssm import SsmGateway
from forensics.errors import AccessDeniedError, AwsError, InvalidCaseError, ResourceGoneError
from forensics.models.custody import CustodyAction
from forensics.models.evidence import EvidenceKind, Outcome
from forensics.models.target import SsmStatus, Target
from forensics.triage import target_description
from forensics.triage.control_plane_snapshot import ControlPlaneSnapshot
from forensics.triage.target_description import TargetDescriber
from tests.unit.builders import INSTANCE, NOW, target
from tests.unit.recorders import FakeRecorder

ONLINE = SsmStatus(managed=True, ping="Online")


class Ec2(Ec2Gateway):
    """One instance, which may be gone or hide its console."""

    def __init__(self, *, gone: bool = False, console: str | AwsError = "booted") -> None:
        self.gone, self.console = gone, console

    def describe_target(self, instance_id: str) -> tuple[Target, dict[str, Any]]:
        if self.gone:
            raise ResourceGoneError("it does not exist", next_action="check the id")
        return target(vpc_id="vpc-1", ssm=SsmStatus()), {"instance": {"InstanceId": instance_id, "LaunchTime": NOW}}

    def console_output(self, instance_id: str) -> str | None:
        if isinstance(self.console, AwsError):
            raise self.console
        return self.console


class Ssm(SsmGateway):
    """SSM's status, or its refusal."""

    def __init__(self, answer: SsmStatus | AwsError = ONLINE) -> None:
        self.answer = answer

    def status(self, instance_id: str) -> SsmStatus:
        if isinstance(self.answer, AwsError):
            raise self.answer
        return self.answer


class Snapshot(ControlPlaneSnapshot):
    """Further facts."""

    def __init__(self, *missing: str) -> None:
        self.missing = list(missing)

    def gather(self, instance_id: str, *, vpc_id: str | None, now: datetime) -> tuple[dict[str, object], list[str]]:
        assert vpc_id == "vpc-1"
        return {"user_data": "#!/bin/sh"}, self.missing


def test_facts_are_stored_as_evidence_with_their_digest() -> None:
    recorder = FakeRecorder()
    described = TargetDescriber(Ec2(), Ssm(), Snapshot()).describe(recorder)
    ((key, body),) = recorder.evidence_store.objects.items()
    facts = json.loads(body)
    assert facts["instance"] == {"InstanceId": INSTANCE, "LaunchTime": str(NOW)}
    assert (facts["console_output"], facts["user_data"], facts["ssm"]["ping"]) == ("booted", "#!/bin/sh", "Online")
    digest = hashlib.sha256(body).hexdigest()
    assert described.facts == {"uri": f"s3://evidence/{key}", "sha256": digest}
    (item,) = recorder.evidence(EvidenceKind.CONTROL_PLANE)
    assert (item.outcome, item.digests[0].value, item.size_bytes) == (Outcome.ACQUIRED, digest, len(body))
    assert recorder.ledger.last(CustodyAction.TARGET_DESCRIBED).detail["sha256"] == digest
    assert recorder.target() == described and described.ssm.online and described.notes == ()


def test_what_is_refused_is_named_and_the_rest_is_kept() -> None:
    denied = AccessDeniedError("not allowed")
    describer = TargetDescriber(Ec2(console=denied), Ssm(denied), Snapshot("flow_logs is missing: not allowed"))
    described = describer.describe(FakeRecorder())
    assert described.notes == (
        "SSM could not be asked: not allowed",
        "console output is missing: not allowed",
        "flow_logs is missing: not allowed",
    )
    assert not described.ssm.managed and described.volumes


def test_an_instance_that_does_not_exist_ends_the_case_and_stores_nothing() -> None:
    recorder = FakeRecorder()
    with pytest.raises(InvalidCaseError, match="it does not exist") as caught:
        TargetDescriber(Ec2(gone=True), Ssm(), Snapshot()).describe(recorder)
    assert caught.value.next_action == "check the id; nothing was changed in AWS"
    assert recorder.evidence_store.objects == {} and recorder.target() is None


class SsmThatComesBack(Ssm):
    """SSM that shows the agent online after some looks."""

    def __init__(self, *answers: SsmStatus) -> None:
        self.answers = list(answers)

    def status(self, instance_id: str) -> SsmStatus:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


LOST = SsmStatus(managed=True, ping="ConnectionLost")


def described(ssm: Ssm, **facts: Any) -> Target:
    class Fresh(Ec2):
        def describe_target(self, instance_id: str) -> tuple[Target, dict[str, Any]]:
            return target(vpc_id="vpc-1", ssm=SsmStatus(), **facts), {}

    return TargetDescriber(ec2=Fresh(), ssm=ssm, snapshot=Snapshot()).describe(FakeRecorder())


def test_an_agent_that_is_said_to_be_lost_is_asked_about_again() -> None:
    """PingStatus is late: radkawar/stackd, testdata/aws/ssm/managed_execution_timeouts_current.json."""
    found = described(SsmThatComesBack(LOST, LOST, ONLINE))
    assert found.ssm.online
    assert "SSM said ConnectionLost at first, then Online" in found.notes


def test_an_instance_that_was_just_launched_may_not_have_registered_yet() -> None:
    found = described(SsmThatComesBack(SsmStatus(), ONLINE), launched_at=datetime.now(UTC))
    assert found.ssm.online


def test_the_wait_for_an_agent_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_description, "PING_SETTLES_WITHIN", 0.5)
    assert described(SsmThatComesBack(LOST)).ssm == LOST


@pytest.mark.parametrize("facts", [{"state": "stopped"}, {"launched_at": NOW}])
def test_what_cannot_change_is_asked_once(facts: dict[str, Any]) -> None:
    ssm = SsmThatComesBack(SsmStatus(), ONLINE)
    assert not described(ssm, **facts).ssm.online
