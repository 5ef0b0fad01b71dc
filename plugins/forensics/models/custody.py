"""The custody ledger's record (R9)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from forensics.models.base import CaseId, Model, Utc


class CustodyAction(StrEnum):
    """What was done."""

    CASE_OPENED = "CASE_OPENED"
    FINDING_JOINED = "FINDING_JOINED"
    TARGET_DESCRIBED = "TARGET_DESCRIBED"
    PLAN_DECIDED = "PLAN_DECIDED"
    HOST_TOUCHED = "HOST_TOUCHED"
    EVIDENCE_ACQUIRED = "EVIDENCE_ACQUIRED"
    EVIDENCE_VERIFIED = "EVIDENCE_VERIFIED"
    EVIDENCE_LOCKED = "EVIDENCE_LOCKED"
    EVIDENCE_COPIED = "EVIDENCE_COPIED"
    EVIDENCE_ACCESSED = "EVIDENCE_ACCESSED"
    EVIDENCE_FAILED = "EVIDENCE_FAILED"
    RESTORE_POINT_TAKEN = "RESTORE_POINT_TAKEN"
    CONTAINMENT_APPROVED = "CONTAINMENT_APPROVED"
    CONTAINMENT_REFUSED = "CONTAINMENT_REFUSED"
    TARGET_CONTAINED = "TARGET_CONTAINED"
    RELEASE_APPROVED = "RELEASE_APPROVED"
    RELEASE_REFUSED = "RELEASE_REFUSED"
    TARGET_RELEASED = "TARGET_RELEASED"
    ARTIFACT_STORED = "ARTIFACT_STORED"
    REPORT_WRITTEN = "REPORT_WRITTEN"
    HEAD_SIGNED = "HEAD_SIGNED"
    CASE_CLOSED = "CASE_CLOSED"


class CustodyEvent(Model):
    """One link of the chain; ``digest`` covers every other field including ``previous``."""

    case_id: CaseId
    seq: int = Field(ge=1)
    previous: str = Field(pattern=r"^[0-9a-f]{64}$")
    action: CustodyAction
    actor: str
    at: Utc
    evidence_id: str | None = None
    detail: dict[str, Any] = Field(default_factory=dict)
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
