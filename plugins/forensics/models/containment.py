"""Containment: what was changed and what was seen afterwards."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from forensics.models.base import InstanceId, Model, Utc
from forensics.models.evidence import Outcome


class ContainmentState(StrEnum):
    """What is known about the target's network after the change (R38)."""

    NOT_CONTAINED = "NOT_CONTAINED"
    NEW_FLOWS_BLOCKED = "NEW_FLOWS_BLOCKED"
    ALL_FLOWS_VERIFIED = "ALL_FLOWS_VERIFIED"
    FAILED = "FAILED"


class InterfaceRestorePoint(Model):
    """The groups an interface had before isolation."""

    interface_id: str
    group_ids: tuple[str, ...]


class RestorePoint(Model):
    """What the target looked like before containment, written before the first change."""

    restore_id: str
    instance_id: InstanceId
    interfaces: tuple[InterfaceRestorePoint, ...]
    termination_protected: bool | None = None
    stop_protected: bool | None = None
    taken_at: Utc


class ContainmentStep(Model):
    """One change of the plan and how it ended."""

    name: str
    target: str
    done: bool
    detail: str


class ContainmentResult(Model):
    """The state after containment, read back from AWS."""

    outcome: Outcome
    state: ContainmentState
    reason: str | None = None
    group_id: str | None = None
    steps: tuple[ContainmentStep, ...] = ()
    residuals: tuple[str, ...] = Field(default=(), description="paths that stay open or unproven")
    contained_at: Utc | None = None
