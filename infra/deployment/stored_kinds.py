"""Which model reads each kind of item of the case store, by the beginning of its sort key (docs/architecture.md, "Stores")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from pydantic import BaseModel

from forensics.case.requests import Asked
from forensics.case.view import _MilestoneItem
from forensics.cloud_evidence.trail_lake import LakeRun
from forensics.containment.drift_rules import Drift
from forensics.containment.restore_points import RestoreSeal
from forensics.containment.watch_list import WatchedTarget
from forensics.custody.audit_plan import AuditPlan, AuditState, AuditSummary
from forensics.custody.audit_rules import AuditReport
from forensics.custody.ledger import LedgerHead
from forensics.disk.image import ReadState
from forensics.intake.admission import _Joined
from forensics.intake.recurrence import SeenAgain
from forensics.intake.resume_rules import Resumption
from forensics.intake.standing_rules import RunProgress
from forensics.memory.probe import ProbeRecord
from forensics.models.approval import Approval
from forensics.models.artifact import ArtifactDescription
from forensics.models.base import Model
from forensics.models.case import Case, StepFailure, TimelineEntry
from forensics.models.channels import ChannelTrouble, Undelivered
from forensics.models.containment import (
    ContainmentPlan,
    ContainmentResult,
    PlanPreflight,
    ReleasePlan,
    ReleaseResult,
    RestoreIdentity,
    RestorePoint,
)
from forensics.models.custody import CustodyEvent, HoldLift, Retention, SignedHead
from forensics.models.drill import DrillReport, DrillRun
from forensics.models.evidence import LiveResponseEvidence, read_evidence
from forensics.models.finding import Finding
from forensics.models.indicators import LinkedCase
from forensics.models.intake import IntakeRecord
from forensics.models.notices import CaseLabel, DigestDue, HeldLine, Waiting
from forensics.models.organization import OrganizationTags
from forensics.models.orphans import OrphansBegun
from forensics.models.plan import ResponsePlan
from forensics.models.preflight import Heartbeat, PagesReach, PreflightReport, ReadinessReport, WaitingSince
from forensics.models.protection import ProtectionResult
from forensics.models.push import Pushed
from forensics.models.remarks import Assignment, Remark
from forensics.models.results import Investigation
from forensics.models.summary import CaseSummary
from forensics.models.sweeps import SweepOrder, SweepReport, SweptTarget
from forensics.models.target import Target
from forensics.models.timeline import TimelineStore
from forensics.models.verification import Verification
from forensics.report.writer import _Reported

Reader: TypeAlias = Callable[[Any], BaseModel]

READERS: dict[str, type[Model] | Reader] = {
    "META": Case, "TARGET": Target, "LABEL": CaseLabel, "PLAN": ResponsePlan, "PROBE": ProbeRecord, "FINDING#": Finding,
    "CONTAINPLAN": ContainmentPlan, "CONTAINMENT": ContainmentResult, "REHEARSAL": PlanPreflight, "APPROVAL": Approval,
    "RELEASEPLAN": ReleasePlan, "RELEASEAPPROVAL": Approval, "RELEASE": ReleaseResult, "PROTECTION": ProtectionResult,
    "RESTORE#": RestorePoint, "RESTOREIDENTITY": RestoreIdentity, "AUDIT": AuditReport, "AUDITPLAN": AuditPlan, "AUDITSTATE": AuditState,
    "AUDITSUMMARY": AuditSummary, "RETENTION": Retention, "HOLDLIFT": HoldLift, "HOLDLIFTAPPROVAL": Approval, "CUSTODYHEAD": LedgerHead,
    "CUSTODYSIG#": SignedHead, "CUSTODY#": CustodyEvent, "EVIDENCE#": read_evidence, "RESULT#": Investigation, "FAILURE#": StepFailure,
    "TIMELINE#": TimelineEntry, "MILESTONE#": _MilestoneItem, "HELD#": HeldLine, "DIGEST#": DigestDue, "WAITING#": Waiting,
    "JOINED#": _Joined, "SEENAGAIN#": SeenAgain, "VERIFIED#": Verification, "LAST#": PreflightReport, "PAGES": PagesReach,
    "HEARTBEAT": Heartbeat, "PROBEITEM": Heartbeat, "HEARTBEATSINCE": WaitingSince, "READINESS": ReadinessReport, "SEAL#": RestoreSeal,
    "DISKREAD#": ReadState, "REQUEST#": Asked, "RESUMED": Resumption, "RUNPROGRESS": RunProgress, "DRIFT": Drift,
    "CONTAINED#": WatchedTarget, "EVENT#": IntakeRecord, "ORGANIZATION": OrganizationTags, "ARTIFACT": ArtifactDescription,
    "LIVEPASS#": LiveResponseEvidence, "LINKED#": LinkedCase, "TIMELINESTORE": TimelineStore, "PUSHED#": Pushed, "SUMMARY": CaseSummary,
    "REPORTED": _Reported, "REMARK#": Remark, "ASSIGNMENT": Assignment, "SWEEP#": SweepReport, "SWEEPORDER#": SweepOrder,
    "SWEPT#": SweptTarget, "RUN#": DrillRun, "LASTDRILL": DrillReport, "UNDELIVERED#": Undelivered, "CHANNELTROUBLE#": ChannelTrouble,
    "LAKE#": LakeRun, "ORPHANS": OrphansBegun,
}  # fmt: skip
# Items that no model reads, and what does.
NOT_MODELS = {
    "LOCK": "the lock of an instance: its attribute case_id", "CASE": "the case of a finding: its attribute case_id",
    "ONCE#": "a name that is there or not", "SLOT#": "counted, not read", "WRITEBACK#": "a name that is there or not",
    "NOTICE#": "a name that is there or not", "REFUSED#": "a name that is there or not", "TIMESPUT": "a name that is there or not",
    "WATCHLISTCOMPLETE": "a name that is there or not", "ISOLATING#": "who holds a lease", "BEGUN#": "a time, read by its attribute", "LEASE#": "attributes holder and until",
}  # fmt: skip


def kind_of(key: str) -> str:
    """A sort key without the name of its own."""
    head, mark, _ = key.partition("#")
    return head + mark


def read(key: str, data: Any) -> BaseModel:
    """An item as this release reads it."""
    reader: Any = READERS[kind_of(key)]
    made: BaseModel = reader.stored(data) if hasattr(reader, "stored") else reader(data)
    return made
