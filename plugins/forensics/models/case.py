"""A case: one investigation of one instance."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AliasChoices, Field

from forensics.models.approval import Approval
from forensics.models.base import AccountId, CaseId, InstanceId, Model, Region, Utc
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
from forensics.models.plan import ResponsePlan
from forensics.models.results import Investigation, ToolResults
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


class Case(Model):
    """The head record of a case."""

    case_id: CaseId
    account_id: AccountId
    region: Region
    instance_id: InstanceId
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
    run_id: str | None = None

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


class TimelineEntry(Model):
    """One line of the case's timeline."""

    time: Utc
    kind: TimelineKind
    what: str
    source: str
    evidence_id: str | None = None


class StepFailure(Model):
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
    timeline: tuple[TimelineEntry, ...] = ()
    custody: tuple[CustodyEvent, ...] = ()
    custody_head: str | None = None
    custody_signature: dict[str, str] = Field(default_factory=dict)
    milestones: dict[str, Utc] = Field(default_factory=dict)
    objects: tuple[str, ...] = Field(default=(), description="s3 URIs of the case's objects")
    generated_at: Utc
