"""Each wait: it survives the database, and it is over when and only when AWS says so."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Iterator
from typing import Any

import pytest

from forensics.aws.ebs import EbsGateway, Snapshot
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.polling import PollTrigger
from forensics.aws.sqs import FindingQueue
from forensics.aws.ssm import SsmGateway
from forensics.aws.triggers import ScopedTrigger, SsmCommandsCompletedTrigger
from forensics.containment.triggers import ContainmentWatchTrigger
from forensics.disk.triggers import QuotaPauseTrigger, SnapshotsCompletedTrigger
from forensics.errors import InvestigationError, SnapshotError
from forensics.intake.triggers import QueueDepthTrigger
from forensics.investigation.image_triggers import ImageBuiltTrigger
from forensics.investigation.triggers import (
    ForensicInstanceOnlineTrigger,
    InstancesGoneTrigger,
    VolumesAttachedTrigger,
)
from forensics.models.target import SsmStatus

SCOPE = {
    "account_id": "222233334444",
    "region": "eu-central-1",
    "phase": "analyse",
    "case_id": "fc-20261124-0123456789",
}
COMMON = {"poll": 5.0, "deadline": 1_900_000_000.5, "ends_task": True}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "SsmCommandsCompletedTrigger": {"scope": SCOPE, "commands": [["cmd-1", "i-1"], ["cmd-2", "i-2"]]},
    "QuotaPauseTrigger": {"until": 2e9},
    "SnapshotsCompletedTrigger": {"scope": SCOPE, "snapshot_ids": ["snap-1", "snap-2"]},
    "ForensicInstanceOnlineTrigger": {"scope": SCOPE, "instance_id": "i-1"},
    "InstancesGoneTrigger": {"scope": SCOPE, "instance_ids": ["i-1", "i-2"]},
    "VolumesAttachedTrigger": {
        "scope": SCOPE,
        "instance_id": "i-1",
        "volumes": [["disk-a", "vol-1", "/dev/sdf"], ["disk-b", "vol-2", "/dev/sdg"]],
    },
    "QueueDepthTrigger": {},
    "ImageBuiltTrigger": {"image_arn": "arn:aws:imagebuilder:eu-central-1:222233334444:image/forensic/1.0.0/1"},
    "ContainmentWatchTrigger": {"case_id": "fc-20261124-0123456789", "due": 1_900_000_000.5},
}


def _kinds(root: type[PollTrigger] = PollTrigger) -> Iterator[type[PollTrigger]]:
    for kind in root.__subclasses__():
        if kind.__module__.startswith("forensics.") and kind is not ScopedTrigger:
            yield kind
        yield from _kinds(kind)


KINDS = sorted(set(_kinds()), key=lambda k: k.__name__)


def test_every_trigger_is_tested_here() -> None:
    assert {k.__name__ for k in KINDS} == set(ARGUMENTS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_a_trigger_survives_the_database(kind: type[PollTrigger]) -> None:
    trigger = kind(**COMMON, **ARGUMENTS[kind.__name__])
    path, arguments = trigger.serialize()
    arguments = json.loads(json.dumps(arguments))
    module, name = path.rsplit(".", 1)
    again = getattr(importlib.import_module(module), name)(**arguments)
    assert type(again) is kind
    assert again.serialize() == trigger.serialize()
    ours = [c for c in kind.__mro__ if c.__module__.startswith("forensics.")]
    taken = {p for c in ours for p in inspect.signature(c.__init__).parameters}
    assert set(arguments) == taken - {"self", "kwargs", "args"}
    assert again.waiting_for()


# An earlier release serialised these class paths; running deployments upgrade with waits in their database.
EARLIER = {
    "forensics.triggers.aws": (
        SsmCommandsCompletedTrigger, SnapshotsCompletedTrigger, QuotaPauseTrigger, ForensicInstanceOnlineTrigger,
        InstancesGoneTrigger, VolumesAttachedTrigger, QueueDepthTrigger,
    ),
    "forensics.triggers.containment": (ContainmentWatchTrigger,),
    "forensics.triggers.image": (ImageBuiltTrigger,),
}  # fmt: skip


@pytest.mark.parametrize(("module", "kind"), [(m, k) for m, kinds in EARLIER.items() for k in kinds])
def test_a_wait_that_an_earlier_release_serialised_is_found(module: str, kind: type[PollTrigger]) -> None:
    assert getattr(importlib.import_module(module), kind.__name__) is kind


class Account:
    """An account in which everything is as a test says; its gateways are one object."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def snapshots(self, ids: list[str]) -> list[Snapshot]:
        found = self.answers["snapshots"]
        return [Snapshot(id=i, volume_id="vol-1", state=found[i], message="no key") for i in ids if i in found]

    def volumes(self, ids: list[str]) -> list[dict[str, Any]]:
        return [{"VolumeId": i, **self.answers["volumes"][i]} for i in ids]

    def attach(self, volume_id: str, *, instance_id: str, device: str) -> None:
        self.answers["attached"].append(f"{volume_id} {instance_id} {device}")

    def state(self, instance_id: str) -> str:
        return str(self.answers["state"])

    def status(self, instance_id: str) -> SsmStatus:
        return SsmStatus(managed=True, ping=self.answers["ping"])


def in_account(monkeypatch: pytest.MonkeyPatch, account: Account) -> None:
    monkeypatch.setattr(ScopedTrigger, "session", None)
    for gateway in (SsmGateway, EbsGateway, Ec2Gateway):
        monkeypatch.setattr(gateway, "of", lambda session: account)


def check(monkeypatch: pytest.MonkeyPatch, name: str, **answers: Any) -> Any:
    """What one look gives in such an account."""
    kind = next(k for k in KINDS if k.__name__ == name)
    in_account(monkeypatch, Account(**answers))
    return kind(**COMMON, **ARGUMENTS[name]).check()


@pytest.mark.parametrize(
    ("states", "over"),
    [
        ({"snap-1": "completed", "snap-2": "completed"}, True),
        ({"snap-1": "completed", "snap-2": "pending"}, False),
        ({"snap-1": "completed"}, False),
        ({}, False),
    ],
)
def test_snapshots_are_over_when_all_are_complete(
    monkeypatch: pytest.MonkeyPatch, states: dict[str, str], over: bool
) -> None:
    assert (check(monkeypatch, "SnapshotsCompletedTrigger", snapshots=states) is not None) is over


def test_a_failed_snapshot_ends_the_wait_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SnapshotError, match="snap-2 of vol-1: no key"):
        check(monkeypatch, "SnapshotsCompletedTrigger", snapshots={"snap-1": "pending", "snap-2": "error"})


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
    monkeypatch: pytest.MonkeyPatch, state: str, ping: str | None, over: bool
) -> None:
    assert (check(monkeypatch, "ForensicInstanceOnlineTrigger", state=state, ping=ping) is not None) is over


@pytest.mark.parametrize("state", ["terminated", "shutting-down", "stopped", "stopping"])
def test_a_forensic_instance_that_dies_ends_the_wait(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    with pytest.raises(InvestigationError, match=f"is {state} before it was ready"):
        check(monkeypatch, "ForensicInstanceOnlineTrigger", state=state, ping=None)


@pytest.mark.parametrize(
    ("state", "over"),
    [("running", False), ("shutting-down", False), ("stopped", False), ("terminated", True), ("gone", True)],
)
def test_instances_are_gone_when_ec2_says_so(monkeypatch: pytest.MonkeyPatch, state: str, over: bool) -> None:
    assert (check(monkeypatch, "InstancesGoneTrigger", state=state) is not None) is over


def held(by: str, state: str) -> dict[str, Any]:
    """A volume in use, as EC2 describes it."""
    return {"State": "in-use", "Attachments": [{"State": state, "InstanceId": by}]}


@pytest.mark.parametrize(
    ("volume", "attached", "over"),
    [
        ({"State": "creating"}, [], False),
        ({"State": "available"}, ["vol-1 i-1 /dev/sdf"], False),
        (held("i-1", "attaching"), [], False),
        (held("i-2", "attached"), [], False),
        (held("i-1", "attached"), [], True),
    ],
)
def test_volumes_are_attached_as_they_become_available(
    monkeypatch: pytest.MonkeyPatch, volume: dict[str, Any], attached: list[str], over: bool
) -> None:
    done: list[str] = []
    volumes = {"vol-1": volume, "vol-2": held("i-1", "attached")}
    outcome = check(monkeypatch, "VolumesAttachedTrigger", volumes=volumes, attached=done)
    assert (outcome is not None, done) == (over, attached)
    assert outcome is None or outcome.payload == {"disk-a": "vol-1", "disk-b": "vol-2"}


def test_a_volume_that_is_shown_available_too_long_is_attached_once(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    volumes = {"vol-1": {"State": "available"}, "vol-2": held("i-1", "attached")}
    in_account(monkeypatch, Account(volumes=volumes, attached=done))
    trigger = VolumesAttachedTrigger(**COMMON, **ARGUMENTS["VolumesAttachedTrigger"])
    assert (trigger.check(), trigger.check()) == (None, None)
    assert done == ["vol-1 i-1 /dev/sdf"]


def test_a_broken_volume_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    volumes = {"vol-1": {"State": "error"}, "vol-2": held("i-1", "attached")}
    with pytest.raises(InvestigationError, match="vol-1 ended in state error"):
        check(monkeypatch, "VolumesAttachedTrigger", volumes=volumes)


class Queue:
    """A queue whose depth SQS tells late: a peek sees what the count does not."""

    def __init__(self, *, counted: int, there: int) -> None:
        self.counted, self.there, self.peeks = counted, there, 0

    def depth(self) -> int:
        """What SQS says."""
        return self.counted

    def peek(self) -> int:
        """What is there."""
        self.peeks += 1
        return min(self.there, 1)


@pytest.mark.parametrize(
    ("counted", "there", "looks", "peeks"), [(3, 3, 1, 0), (0, 3, 4, 1), (0, 0, None, 2)], ids=["count", "late", "none"]
)
def test_the_queue_is_looked_at_and_peeked_into_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
    settings_environment: dict[str, str],
    counted: int,
    there: int,
    looks: int | None,
    peeks: int,
) -> None:
    queue = Queue(counted=counted, there=there)
    monkeypatch.setattr(FindingQueue, "of", lambda session, settings: queue)
    trigger = QueueDepthTrigger(**COMMON)
    outcomes = [trigger.check() for _ in range(looks or 8)]
    assert [bool(o) for o in outcomes] == [False] * (len(outcomes) - 1) + [looks is not None]
    assert queue.peeks == peeks
