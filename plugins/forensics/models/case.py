"""A case: one investigation of one instance, or of one artifact."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import AliasChoices, Field, model_validator

from forensics.models.approval import Approval
from forensics.models.artifact import Artifact, ArtifactDescription, check_subject
from forensics.models.base import AccountId, CaseId, Model, Region, SubjectId, Utc
from forensics.models.containment import (
    ContainmentPlan,
    ContainmentResult,
    PlanPreflight,
    ReleasePlan,
    ReleaseResult,
    RestorePoint,
)
from forensics.models.custody import CustodyEvent
from forensics.models.evidence import AnyEvidence
from forensics.models.finding import Finding
from forensics.models.outside import Outside
from forensics.models.plan import ResponsePlan
from forensics.models.remarks import Assignment, Remark
from forensics.models.results import Investigation, ToolResults
from forensics.models.summary import CaseSummary
from forensics.models.target import Target


class CaseStatus(StrEnum):
    """Whether a case is still processed, and how complete it was when it was closed."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"
    CLOSED_WITH_GAPS = "CLOSED_WITH_GAPS"
    FAILED = "FAILED"


# Statuses in which a case holds no instance: a new finding on it opens a new case.
ENDED = (CaseStatus.CLOSED, CaseStatus.CLOSED_WITH_GAPS, CaseStatus.FAILED)


class Phase(StrEnum):
    """Which part of its run a case has reached."""

    OPENED = "OPENED"
    TRIAGE = "TRIAGE"
    ACQUISITION = "ACQUISITION"
    CONTAINMENT = "CONTAINMENT"
    INVESTIGATION = "INVESTIGATION"
    REPORT = "REPORT"
    DONE = "DONE"

    @property
    def order(self) -> int:
        """Its place in a run, from 0."""
        return list(Phase).index(self)


class Milestone(StrEnum):
    """Moments of a case; the time of each is written once, the first time that it happens."""

    FINDING_EVENT = "finding_event"
    RECEIVED = "received"
    OPENED = "opened"
    TRIAGED = "triaged"
    SNAPSHOTS_STARTED = "snapshots_started"
    FIRST_VOLATILE_BYTE = "first_volatile_byte"
    MEMORY_COMPLETE = "memory_complete"
    SNAPSHOTS_COMPLETE = "snapshots_complete"
    COPIES_COMPLETE = "copies_complete"
    CONTAINED = "contained"
    INVESTIGATION_STARTED = "investigation_started"
    INVESTIGATION_COMPLETE = "investigation_complete"
    REPORTED = "reported"
    CLOSED = "closed"


class Case(Outside):
    """The head record of a case.

    ``instance_id`` is the id of what the case is about. With ``artifact`` that is a snapshot or a machine image: no step that
    is about an instance runs then, and no session of the case may touch an instance.
    """

    case_id: CaseId
    account_id: AccountId
    region: Region
    instance_id: SubjectId
    artifact: Artifact | None = None
    status: CaseStatus = CaseStatus.OPEN
    phase: Phase = Phase.OPENED
    received_at: Utc | None = Field(default=None, description="when the finding reached the queue, or a person asked")
    opened_at: Utc
    closed_at: Utc | None = None
    title: str
    severity: str
    source: str
    finding_key: str
    requester: str | None = None
    reason: str | None = None
    sample: bool = False
    drill: bool = Field(default=False, description="the case of a drill, on a canary that the drill launched")
    run_id: str | None = None

    @model_validator(mode="after")
    def _about_one_thing(self) -> Self:
        check_subject(self.instance_id, self.artifact)
        return self

    @property
    def subject(self) -> str:
        """What the case is about, for people: ``instance i-…``, ``snapshot snap-…``."""
        return self.artifact.phrase if self.artifact else f"instance {self.instance_id}"

    @property
    def closed(self) -> bool:
        """Whether the case was closed, with or without gaps."""
        return self.status in {CaseStatus.CLOSED, CaseStatus.CLOSED_WITH_GAPS}

    @property
    def ended(self) -> bool:
        """Whether the case holds its instance no more: it was closed, or its run could not be brought to its end."""
        return self.status in ENDED


class TimelineKind(StrEnum):
    """Where a timeline entry comes from."""

    FINDING = "finding"
    CASE = "case"
    CUSTODY = "custody"
    CONTAINMENT = "containment"
    INVESTIGATION = "investigation"
    EVIDENCE = "evidence"
    FAILURE = "failure"


class TimelineEntry(Outside):
    """One line of the case's timeline."""

    time: Utc
    kind: TimelineKind
    what: str
    source: str
    evidence_id: str | None = None


class StepFailure(Outside):
    """A step that failed for good: what, why and what to do next."""

    step: str
    cause: str
    next_action: str
    at: Utc
    try_number: int = 1


class CaseView(Model):
    """Everything the report and the UI show about one case."""

    case: Case
    findings: tuple[Finding, ...] = ()
    target: Target | None = None
    artifact: ArtifactDescription | None = None
    plan: ResponsePlan | None = None
    evidence: tuple[AnyEvidence, ...] = ()
    containment: ContainmentResult | None = None
    containment_plan: ContainmentPlan | None = None
    plan_preflight: PlanPreflight | None = Field(
        default=None,
        validation_alias=AliasChoices("plan_preflight", "rehearsal"),
        serialization_alias="rehearsal",
        description="exported under the name that earlier releases gave it",
    )
    approval: Approval | None = None
    release_plan: ReleasePlan | None = None
    release_approval: Approval | None = None
    restore_point: RestorePoint | None = None
    release: ReleaseResult | None = None
    investigations: tuple[Investigation, ...] = ()
    results: tuple[ToolResults, ...] = ()
    failures: tuple[StepFailure, ...] = ()
    remarks: tuple[Remark, ...] = ()
    assignment: Assignment | None = None
    summary: CaseSummary | None = None
    timeline: tuple[TimelineEntry, ...] = ()
    custody: tuple[CustodyEvent, ...] = ()
    custody_head: str | None = None
    custody_signature: dict[str, str] = Field(default_factory=dict)
    milestones: dict[str, Utc] = Field(default_factory=dict)
    objects: tuple[str, ...] = Field(default=(), description="s3 URIs of the case's objects")
    cut: dict[str, int] = Field(
        default_factory=dict, description="lists of which only so many entries, the first ones, were read"
    )
    generated_at: Utc

    @property
    def released(self) -> bool:
        """Whether the target was released, and not contained again later."""
        if self.release is None or self.release.released_at is None:
            return False
        return self.containment is None or self.release.undoes(self.containment)
