"""Acquired items and the outcome of acquiring them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from forensics.models.base import AccountId, Model, Utc

# Subject of the digest that a capture in several commands has: no digest of the image as a whole could be taken on the target.
LIST_SUBJECT = "the list of parts with the digest of each"


class EvidenceKind(StrEnum):
    """What was acquired."""

    CONTROL_PLANE = "control-plane"
    MEMORY = "memory"
    DISK = "disk"
    LIVE_RESPONSE = "live-response"


class Outcome(StrEnum):
    """Result of one attempt (never mixed with phase or status).

    Evidence ends ``ACQUIRED``; containment and investigation end ``DONE``.
    """

    PENDING = "PENDING"
    ACQUIRED = "ACQUIRED"
    DONE = "DONE"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"
    NOT_APPLICABLE = "NOT_APPLICABLE"
    SKIPPED = "SKIPPED"


class Digest(Model):
    """A digest and what exactly was hashed."""

    algorithm: str = "sha256"
    value: str
    subject: str = Field(description="the bytes that were hashed, in words")
    source: str = Field(description="who computed it: target, control-plane, forensic-instance, s3")


class Evidence(Model):
    """One acquired item; the same id is updated by the steps that acquire and verify it."""

    evidence_id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{2,62}$")
    kind: EvidenceKind
    outcome: Outcome
    reason: str | None = None
    account_id: AccountId | None = None
    region: str | None = None
    uri: str | None = None
    version_id: str | None = None
    size_bytes: int | None = None
    digests: tuple[Digest, ...] = ()
    started_at: Utc | None = None
    ended_at: Utc | None = None
    origin: dict[str, Any] = Field(default_factory=dict, description="lineage: volume, snapshot, copy, device, method")
    lock: dict[str, Any] = Field(default_factory=dict, description="object lock or snapshot lock as read back")
