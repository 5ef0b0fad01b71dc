"""Every wait survives the database; those of commands and of the queue are over when and only when AWS says so."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Iterator
from typing import Any

import pytest

from forensics.aws.polling import PollTrigger
from forensics.aws.triggers import ScopedTrigger, SsmCommandsCompletedTrigger
from forensics.cloud_evidence.triggers import TrailDeliveredTrigger
from forensics.containment.triggers import ContainmentWatchTrigger
from forensics.disk.triggers import QuotaPauseTrigger, SnapshotsCompletedTrigger
from forensics.drill.triggers import CanaryReadyTrigger, DrillCaseEndedTrigger
from forensics.intake.triggers import QueueDepthTrigger
from forensics.investigation.image_triggers import ImageBuiltTrigger
from forensics.investigation.triggers import (
    ForensicInstanceOnlineTrigger,
    InstancesGoneTrigger,
    VolumesAttachedTrigger,
)
from forensics.memory.snapshot_first import SnapshotsBegunTrigger

SCOPE = {
    "account_id": "222233334444",
    "region": "eu-central-1",
    "phase": "analyse",
    "case_id": "fc-20261124-0123456789",
}
COMMON = {"poll": 5.0, "deadline": 1_900_000_000.5, "ends_task": True, "urgency": 2}
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
    "CanaryReadyTrigger": {"scope": SCOPE, "instance_id": "i-1"},
    "DrillCaseEndedTrigger": {"case_id": "fc-20261124-0123456789"},
    "ImageBuiltTrigger": {"image_arn": "arn:aws:imagebuilder:eu-central-1:222233334444:image/forensic/1.0.0/1"},
    "SnapshotsBegunTrigger": {"case_id": "fc-20261124-0123456789", "until": 1_900_000_000.5},
    "TrailDeliveredTrigger": {
        "scope": SCOPE,
        "trail_arn": "arn:aws:cloudtrail:eu-central-1:222233334444:trail/organization",
        "until": 1_900_000_000.5,
        "give_up": 1_900_000_900.5,
    },
    "LakeTrigger": {
        "scope": SCOPE,
        "store": "arn:aws:cloudtrail:eu-central-1:222233334444:eventdatastore/01234567-89ab-cdef-0123-456789abcdef",
        "query_ids": ["11234567-89ab-cdef-0123-456789abcdef"],
        "not_before": 1_900_000_000.5,
        "most_bytes": 1_000_000_000,
        "give_up": 1_900_003_900.5,
        "waited": "",
    },
    "ContainmentWatchTrigger": {"case_id": "fc-20261124-0123456789", "due": 1_900_000_000.5},
}


def _kinds(root: type[PollTrigger] = PollTrigger) -> Iterator[type[PollTrigger]]:
    for kind in root.__subclasses__():
        if kind.__module__.startswith("forensics.") and kind is not ScopedTrigger:
            yield kind
        yield from _kinds(kind)


KINDS = sorted(set(_kinds()), key=lambda k: k.__name__)


def test_every_trigger_is_tested_here() -> None:
    assert {SnapshotsBegunTrigger, TrailDeliveredTrigger, CanaryReadyTrigger, DrillCaseEndedTrigger} <= set(KINDS)
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
