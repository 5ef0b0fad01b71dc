"""The waits of the forensic instance: over when and only when AWS says so."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.aws.ebs import EbsGateway
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.ssm import SsmGateway
from forensics.aws.triggers import ScopedTrigger
from forensics.errors import InvestigationError
from forensics.investigation.triggers import ForensicInstanceOnlineTrigger, InstancesGoneTrigger, VolumesAttachedTrigger
from forensics.models.target import SsmStatus
from tests.unit.accounts import FORENSIC, EbsInMemory, Ec2InMemory
from tests.unit.builders import CASE_ID, REGION

COMMON: dict[str, Any] = {
    "scope": {"account_id": FORENSIC, "region": REGION, "phase": "analyse", "case_id": CASE_ID},
    "poll": 5.0,
    "deadline": 2e9,
}


class Agent:
    """An SSM agent in one state."""

    def __init__(self, ping: str | None) -> None:
        self.ping = ping

    def status(self, instance_id: str) -> SsmStatus:
        return SsmStatus(managed=True, ping=self.ping)


@pytest.fixture
def ec2(monkeypatch: pytest.MonkeyPatch) -> Ec2InMemory:
    made = Ec2InMemory()
    monkeypatch.setattr(ScopedTrigger, "session", None)
    monkeypatch.setattr(Ec2Gateway, "of", lambda session: made)
    return made


@pytest.fixture
def ebs(monkeypatch: pytest.MonkeyPatch) -> EbsInMemory:
    made = EbsInMemory()
    monkeypatch.setattr(ScopedTrigger, "session", None)
    monkeypatch.setattr(EbsGateway, "of", lambda session: made)
    return made


@pytest.mark.parametrize(
    ("state", "ping", "over"),
    [
        ("pending", None, False),
        ("gone", None, False),
        ("running", None, False),
        ("running", "ConnectionLost", False),
        ("running", "Online", True),
    ],
)
def test_the_forensic_instance_is_ready_when_its_agent_is(
    ec2: Ec2InMemory, monkeypatch: pytest.MonkeyPatch, state: str, ping: str | None, over: bool
) -> None:
    monkeypatch.setattr(SsmGateway, "of", lambda session: Agent(ping))
    if state != "gone":
        ec2.add("i-1", state)
    trigger = ForensicInstanceOnlineTrigger(instance_id="i-1", **COMMON)
    outcome = trigger.check()
    assert (outcome is not None) is over
    assert outcome is None or (outcome.ok, outcome.payload) == (True, {"instance_id": "i-1"})
    assert trigger.waiting_for() == "SSM agent of forensic instance i-1"


@pytest.mark.parametrize("state", ["terminated", "shutting-down", "stopped", "stopping"])
def test_a_forensic_instance_that_dies_ends_the_wait(ec2: Ec2InMemory, state: str) -> None:
    ec2.add("i-1", state)
    with pytest.raises(InvestigationError, match=f"is {state} before it was ready"):
        ForensicInstanceOnlineTrigger(instance_id="i-1", **COMMON).check()


@pytest.mark.parametrize(
    ("state", "over"),
    [("running", False), ("shutting-down", False), ("stopped", False), ("terminated", True), ("gone", True)],
)
def test_instances_are_gone_when_ec2_says_so(ec2: Ec2InMemory, state: str, over: bool) -> None:
    ec2.add("i-1", "terminated")
    if state != "gone":
        ec2.add("i-2", state)
    outcome = InstancesGoneTrigger(instance_ids=["i-1", "i-2"], **COMMON).check()
    assert (outcome is not None) is over
    assert outcome is None or outcome.payload == {"instances": ["i-1", "i-2"]}


VOLUMES = [["disk-a", "vol-1", "/dev/sdf"], ["disk-b", "vol-2", "/dev/sdg"]]


def attaching() -> VolumesAttachedTrigger:
    return VolumesAttachedTrigger(instance_id="i-1", volumes=VOLUMES, **COMMON)


@pytest.mark.parametrize(
    ("state", "holder", "attachment", "attached", "over"),
    [
        ("creating", "", "", [], False),
        ("available", "", "", [("vol-1", "i-1", "/dev/sdf")], False),
        ("in-use", "i-1", "attaching", [], False),
        ("in-use", "i-2", "attached", [], False),
        ("in-use", "i-1", "attached", [], True),
    ],
)
def test_volumes_are_attached_as_they_become_available(
    ebs: EbsInMemory, state: str, holder: str, attachment: str, attached: list[tuple[str, str, str]], over: bool
) -> None:
    ebs.add_volume("vol-1", state, holder=holder)
    if holder:
        ebs.records["vol-1"]["Attachments"][0]["State"] = attachment
    ebs.add_volume("vol-2", "in-use", holder="i-1")
    outcome = attaching().check()
    assert (outcome is not None, ebs.attached) == (over, attached)
    assert outcome is None or outcome.payload == {"disk-a": "vol-1", "disk-b": "vol-2"}


def test_a_volume_that_ec2_does_not_show_yet_is_waited_for(ebs: EbsInMemory) -> None:
    ebs.add_volume("vol-2", "in-use", holder="i-1")
    assert attaching().check() is None and ebs.attached == []


def test_a_volume_that_is_shown_available_too_long_is_attached_once(ebs: EbsInMemory) -> None:
    ebs.add_volume("vol-1", "available")
    ebs.add_volume("vol-2", "in-use", holder="i-1")
    trigger = attaching()
    assert (trigger.check(), trigger.check()) == (None, None)
    assert ebs.attached == [("vol-1", "i-1", "/dev/sdf")]


def test_a_broken_volume_ends_the_wait(ebs: EbsInMemory) -> None:
    ebs.add_volume("vol-1", "error")
    with pytest.raises(InvestigationError, match="vol-1 ended in state error"):
        attaching().check()
