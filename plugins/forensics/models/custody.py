"""The custody ledger's records, and the signatures over them."""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from typing import Final, Literal, Self

from pydantic import Field, JsonValue, PrivateAttr

from forensics.models.base import CaseId, Model, Utc
from forensics.models.evidence import Digest

_ACTION = re.compile(r"[A-Z][A-Z_]{2,39}")
SIGNATURE_ALGORITHM: Final[Literal["ECDSA_SHA_384"]] = "ECDSA_SHA_384"


class CustodyAction(StrEnum):
    """What a custody event says was done. An action of a newer release is read as what it says: the chain covers it."""

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
    RESTORE_POINT_SEALED = "RESTORE_POINT_SEALED"
    TARGET_PROTECTED = "TARGET_PROTECTED"
    TARGET_UNPROTECTED = "TARGET_UNPROTECTED"
    CONTAINMENT_APPROVED = "CONTAINMENT_APPROVED"
    CONTAINMENT_REFUSED = "CONTAINMENT_REFUSED"
    TARGET_CONTAINED = "TARGET_CONTAINED"
    CONTAINMENT_DRIFTED = "CONTAINMENT_DRIFTED"
    RELEASE_APPROVED = "RELEASE_APPROVED"
    RELEASE_REFUSED = "RELEASE_REFUSED"
    TARGET_RELEASED = "TARGET_RELEASED"
    OBJECT_STORED = "OBJECT_STORED"
    ADOPTION_REFUSED = "ADOPTION_REFUSED"
    ARTIFACT_STORED = "ARTIFACT_STORED"
    REPORT_WRITTEN = "REPORT_WRITTEN"
    HEAD_SIGNED = "HEAD_SIGNED"
    CASE_EXPORTED = "CASE_EXPORTED"
    CASE_PUSHED = "CASE_PUSHED"
    AUDIT_FAILED = "AUDIT_FAILED"
    CASE_CLOSED = "CASE_CLOSED"
    CASE_RESUMED = "CASE_RESUMED"
    CASE_GIVEN_UP = "CASE_GIVEN_UP"
    RETENTION_SET = "RETENTION_SET"
    HOLD_LIFT_APPROVED = "HOLD_LIFT_APPROVED"
    HOLD_LIFT_REFUSED = "HOLD_LIFT_REFUSED"
    HOLDS_LIFTED = "HOLDS_LIFTED"
    LEDGER_RESTORED = "LEDGER_RESTORED"
    FINDING_JUDGED = "FINDING_JUDGED"
    CASE_COMMENTED = "CASE_COMMENTED"
    CASE_TAGGED = "CASE_TAGGED"
    CASE_ASSIGNED = "CASE_ASSIGNED"
    OBJECT_DOWNLOADED = "OBJECT_DOWNLOADED"
    BREAK_GLASS_USED = "BREAK_GLASS_USED"
    INDICATORS_SWEPT = "INDICATORS_SWEPT"

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str) or not _ACTION.fullmatch(value):
            return None
        unknown = str.__new__(cls, value)
        unknown._name_ = unknown._value_ = value
        return unknown


class CustodyFacts(Model):
    """Who, why, where, what and with what, in fixed places; what does not apply is left out."""

    identity: dict[str, str] = Field(default_factory=dict, description="role, source identity, step, run, requester")
    authority: str | None = Field(
        default=None, description="the finding, or the person's reason, for which this was done"
    )
    time_source: str | None = Field(default=None, description="whose clock gave ``at``")
    location: dict[str, object] = Field(default_factory=dict, description="account, Region and object or snapshot")
    digests: tuple[Digest, ...] = ()
    size_bytes: int | None = None
    tool: dict[str, str] = Field(default_factory=dict, description="name, version, sha256")
    document: dict[str, str] = Field(default_factory=dict, description="SSM document: name, version, sha256")
    parameters_sha256: str | None = None
    request_ids: tuple[str, ...] = Field(default=(), description="AWS requests that changed something, for CloudTrail")
    moved_from: str | None = None
    moved_to: str | None = None
    result: str | None = None
    notes: str | None = None


class CustodyEvent(Model):
    """One link of the chain; ``digest`` covers every other field including ``previous``."""

    case_id: CaseId
    seq: int = Field(ge=1)
    previous: str = Field(pattern=r"^[0-9a-f]{64}$")
    action: CustodyAction
    actor: str
    at: Utc
    evidence_id: str | None = None
    detail: dict[str, object] = Field(default_factory=dict)
    facts: CustodyFacts | None = None
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    _written: dict[str, JsonValue] | None = PrivateAttr(default=None)

    @classmethod
    def stored(cls, data: object) -> Self:
        """The event as it was stored; what a newer release wrote beside it is kept for :meth:`as_stored`."""
        event = super().stored(data)
        kept = _without_empty_facts(data) if isinstance(data, dict) else {}
        if event.as_stored() != kept:
            event._written = kept
        return event

    def as_stored(self) -> dict[str, JsonValue]:
        """The event as it is stored and hashed: the fields that it was written with, and no defaults of newer releases."""
        if self._written is not None:
            return dict(self._written)
        return _without_empty_facts(self.model_dump(mode="json", exclude_unset=True))


def _without_empty_facts(event: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {k: v for k, v in event.items() if k != "facts" or v is not None}


class SigningKey(Model):
    """The public half of a signing key; ``der`` is its SubjectPublicKeyInfo."""

    arn: str
    der: bytes

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the DER form, in hex."""
        return hashlib.sha256(self.der).hexdigest()


class Signature(Model):
    """A signature in base64 and the key that made it."""

    signature: str
    key: SigningKey


class SignedHead(Model):
    """A head of the ledger that was signed at the end of a phase, as recorded beside the ledger."""

    seq: int
    phase: str
    head: str
    uri: str
    statement: str
    signature: str
    algorithm: str
    key_arn: str
    public_key_der: str


class Retention(Model):
    """Until when the evidence of a case is kept, and how far that is carried out.

    ``basis``: ``open`` while the case is processed (renewed again and again), ``closed`` once it counts from the closing.
    """

    basis: Literal["open", "closed"]
    until: Utc
    at: Utc
    objects: int = 0
    snapshots: int = 0
    held: int = Field(default=0, description="objects that got a legal hold again")
    failures: tuple[str, ...] = ()


class HoldLift(Model):
    """A request to lift the legal holds of a case, bound to exactly the versions that were held; ``digest`` covers them."""

    digest: str
    objects: int
    versions: tuple[str, ...] = ()
    requester: str
    reason: str
    at: Utc
    lifted_at: Utc | None = None


class AuditedSnapshot(Model):
    """A snapshot of the case and its lock as EC2 shows it now; ``state`` is None when it is gone."""

    snapshot_id: str
    account_id: str
    state: str | None
    lock_state: str | None = None
    until: Utc | None = None
    public: bool = False
    key_id: str | None = Field(default=None, description="KMS key that it is encrypted under")
