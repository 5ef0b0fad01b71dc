"""Alias of an earlier release's module; remove with the next one."""

from forensics.aws.triggers import SsmCommandsCompletedTrigger
from forensics.disk.triggers import QuotaPauseTrigger, SnapshotsCompletedTrigger
from forensics.intake.triggers import QueueDepthTrigger
from forensics.investigation.triggers import (
    ForensicInstanceOnlineTrigger,
    InstancesGoneTrigger,
    VolumesAttachedTrigger,
)

__all__ = [
    "ForensicInstanceOnlineTrigger",
    "InstancesGoneTrigger",
    "QueueDepthTrigger",
    "QuotaPauseTrigger",
    "SnapshotsCompletedTrigger",
    "SsmCommandsCompletedTrigger",
    "VolumesAttachedTrigger",
]
