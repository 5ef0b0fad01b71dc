"""Sort keys of the case store: every kind of item that a case has, named in one place (docs/architecture.md, "Stores").

A constant that ends in ``#`` is a prefix: an item's own name follows.
"""

from __future__ import annotations

from typing import Final

from forensics.models.finding import Finding

CASE: Final = "META"
TARGET: Final = "TARGET"
ORGANIZATION: Final = "ORGANIZATION"
ARTIFACT: Final = "ARTIFACT"
LABEL: Final = "LABEL"
PLAN: Final = "PLAN"
PROBE: Final = "PROBE"
LIVE_PASS: Final = "LIVEPASS#"
CONTAINMENT_PLAN: Final = "CONTAINPLAN"
CONTAINMENT: Final = "CONTAINMENT"
PLAN_PREFLIGHT: Final = "REHEARSAL"
APPROVAL: Final = "APPROVAL"
RELEASE_PLAN: Final = "RELEASEPLAN"
RELEASE_APPROVAL: Final = "RELEASEAPPROVAL"
RELEASE: Final = "RELEASE"
PROTECTION: Final = "PROTECTION"
RESTORE: Final = "RESTORE#"
RESTORE_POINT: Final = "RESTORE#original"
RESTORE_IDENTITY: Final = "RESTOREIDENTITY"
AUDIT: Final = "AUDIT"
AUDIT_PLAN: Final = "AUDITPLAN"
AUDIT_STATE: Final = "AUDITSTATE"
AUDIT_SUMMARY: Final = "AUDITSUMMARY"
RETENTION: Final = "RETENTION"
HOLD_LIFT: Final = "HOLDLIFT"
HOLD_LIFT_APPROVAL: Final = "HOLDLIFTAPPROVAL"
LINKED: Final = "LINKED#"
LEDGER_HEAD: Final = "CUSTODYHEAD"
LEDGER_SIGNATURE: Final = "CUSTODYSIG#"
LEDGER_ONCE: Final = "ONCE#"
CUSTODY_EVENT: Final = "CUSTODY#"
FINDING: Final = "FINDING#"
EVIDENCE: Final = "EVIDENCE#"
RESULT: Final = "RESULT#"
FAILURE: Final = "FAILURE#"
TIMELINE: Final = "TIMELINE#"
TIMELINE_STORE: Final = "TIMELINESTORE"
PUSHED: Final = "PUSHED#"
MILESTONE: Final = "MILESTONE#"
NOTICE: Final = "NOTICE#"
HELD: Final = "HELD#"
DIGEST: Final = "DIGEST#"
WAITING: Final = "WAITING#"
JOINED: Final = "JOINED#"
SEEN_AGAIN: Final = "SEENAGAIN#"
VERIFICATION: Final = "VERIFIED#"
WRITE_BACK: Final = "WRITEBACK#"
LEASE: Final = "LEASE#"
PREFLIGHT_PROBE: Final = "PROBEITEM"
PREFLIGHT_LAST: Final = "LAST#"
PREFLIGHT_PAGES: Final = "PAGES"
HEARTBEAT: Final = "HEARTBEAT"
HEARTBEAT_AWAITED: Final = "HEARTBEATSINCE"
READINESS: Final = "READINESS"
ISOLATING: Final = "ISOLATING#"
RESTORE_SEAL: Final = "SEAL#restore"
IDENTITY_SEAL: Final = "SEAL#identity"
DISK_READ: Final = "DISKREAD#"
REQUEST: Final = "REQUEST#"
REFUSED: Final = "REFUSED#"
SUMMARY: Final = "SUMMARY"
REPORTED: Final = "REPORTED"
BEGUN: Final = "BEGUN#"
RESUMED: Final = "RESUMED"
RUN_PROGRESS: Final = "RUNPROGRESS"
DRIFT: Final = "DRIFT"
CONTAINED: Final = "CONTAINED#"
REMARK: Final = "REMARK#"
ASSIGNMENT: Final = "ASSIGNMENT"
WATCH_LIST_COMPLETE: Final = "WATCHLISTCOMPLETE"
DRILL_RUN: Final = "RUN#"
DRILL_LAST: Final = "LASTDRILL"
SWEEP: Final = "SWEEP#"
SWEEP_ORDER: Final = "SWEEPORDER#"
SWEPT: Final = "SWEPT#"
TIMES_PUT: Final = "TIMESPUT"
UNDELIVERED: Final = "UNDELIVERED#"
CHANNEL_TROUBLE: Final = "CHANNELTROUBLE#"


def finding(known: Finding) -> str:
    """A finding in its case: one item for each shape and each press of a person's action."""
    return f"{FINDING}{known.key}#{known.source.value}" + (f"#{known.order}" if known.order else "")


def remark(seq: int) -> str:
    """A person's remark, by the number of the ledger's event that states it."""
    return f"{REMARK}{seq:08d}"


def result(activity: str, item: str) -> str:
    """The record of an activity on a piece of evidence."""
    return f"{RESULT}{activity}#{item}"
