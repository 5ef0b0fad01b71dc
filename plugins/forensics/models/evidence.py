"""Acquired items and the outcome of acquiring them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, JsonValue

from forensics.errors import StoredItemError
from forensics.models.base import AccountId, Model, Utc
from forensics.models.disk import KeyCase, Route, SnapshotLock
from forensics.models.outside import Outside
from forensics.models.status_lines import CaptureStatus, LiveResponseStatus, Probe

# Subject of the digest that a capture in several commands has: no digest of the image as a whole could be taken on the target.
LIST_SUBJECT = "the list of parts with the digest of each"


class EvidenceKind(StrEnum):
    """What was acquired."""

    CONTROL_PLANE = "control-plane"
    MEMORY = "memory"
    DISK = "disk"
    LIVE_RESPONSE = "live-response"
    CLOUD_TRAIL = "cloud-trail"
    FLOW_LOGS = "flow-logs"
    QUERY_LOGS = "query-logs"
    ACCOUNT_STATE = "account-state"


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


class Origin(Outside):
    """Where an item comes from and how it was taken; what is not known yet is absent."""

    def stated(self, *, without: frozenset[str] = frozenset()) -> dict[str, JsonValue]:
        """What is known, as JSON: for the ledger, the report and exports."""
        return self.model_dump(mode="json", exclude_none=True, exclude=set(without))


class StoredFact(Model):
    """A small object of the evidence store that belongs to an item."""

    key: str
    sha256: str
    bytes: int


class BlockManifest(Model):
    """The list of a disk's written blocks in the evidence store."""

    uri: str
    sha256: str
    blocks: int


class Transport(Model):
    """How the bytes of an image travelled: encoding, number of parts, digest of their list."""

    encoding: str
    parts: int
    list_sha256: str


class ControlPlaneOrigin(Origin):
    """Facts that AWS states about the target."""


class CommandOrigin(Origin):
    """What one SSM command on the target sends to the landing bucket."""

    document: str | None = None
    document_sha256: str | None = None
    document_version: str | None = None
    instance_id: str | None = None
    landing_prefix: str | None = None
    upload_id: str | None = None
    command_id: str | None = None
    attempt_failed: bool = False
    format: str | None = None


class MemoryOrigin(CommandOrigin):
    """How an image of memory was taken, and what its validation saw."""

    claims: CaptureStatus | None = Field(default=None, description="what the target says of the image that landed")
    first_started: Utc | None = None
    budget_seconds: int | None = Field(default=None, description="seconds that all attempts may take together")
    tool_sha256: str | None = None
    methods: tuple[str, ...] = ()
    method: str | None = None
    why: str | None = None
    warnings: tuple[str, ...] = ()
    probe: Probe | None = None
    first_part: int = 1
    attempts_without_data: int = Field(default=0, validation_alias=AliasChoices("attempts_without_data", "fruitless"))
    no_resume: str | None = None
    died: tuple[str, ...] = Field(
        default=(), description="methods whose capture could not be continued: others go first"
    )
    prepared_at: Utc | None = Field(default=None, description="when the newest command was prepared")
    command_before: str | None = Field(default=None, description="the command before the one that is prepared")
    landed_bytes: int | None = None
    transport: Transport | None = None
    ranges: int | None = None
    zero_share: float | None = None
    kernel_banner: str | None = None
    kernel_facts: dict[str, StoredFact] = Field(default_factory=dict)
    kernel_facts_missing: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    checks_passed: bool | None = None


class LiveResponseOrigin(CommandOrigin):
    """How a live response was taken."""

    claims: LiveResponseStatus | None = Field(default=None, description="what the target says of the archive")


class DiskOrigin(Origin):
    """The lineage of a disk: volume, snapshot, copies, and the block manifest of its digest.

    ``consistency`` says what the snapshot set guarantees; ``why`` is the reason for ``route``; ``source_comparison`` says
    whether original and copy were read and are equal. Of an artifact's disk, ``source_snapshot_id`` is the snapshot as it was
    found, and ``snapshot_id`` its tagged copy in the same account, which counts as the original.
    """

    source_snapshot_id: str | None = None
    source_owner: str | None = None
    source_started_at: Utc | None = None
    source_readers: tuple[str, ...] | None = None
    volume_id: str | None = None
    device: str | None = None
    size_gib: int | None = None
    encrypted: bool | None = None
    consistency: str | None = None
    snapshot_id: str | None = None
    member_copy_id: str | None = None
    copy_id: str | None = None
    copy_region: str | None = None
    key_case: KeyCase | None = None
    key_ids: dict[str, str] = Field(
        default_factory=dict,
        description="KMS key of each encrypted snapshot as EC2 named it: snapshot, member_copy, copy",
    )
    route: Route | None = None
    why: str | None = None
    next_action: str | None = None
    block_manifest: BlockManifest | None = None
    source_comparison: str | None = None

    @property
    def subject(self) -> str:
        """What was acquired: a volume, or the snapshot that was found."""
        return self.source_snapshot_id or self.volume_id or ""


class LogOrigin(Origin):
    """Where records of an account's logs come from, and how far they reach.

    ``source`` says how they were had; ``sources`` is the list of the objects that were read, with version and digest of each, and
    ``notes`` what a reader should know of it; nothing is missing for a note.
    """

    source: str | None = None
    bucket: str | None = None
    prefix: str | None = None
    log_group: str | None = None
    begin: Utc | None = None
    end: Utc | None = None
    regions: tuple[str, ...] = ()
    objects: int | None = None
    objects_bytes: int | None = None
    records: int | None = None
    sources: StoredFact | None = None
    notes: tuple[str, ...] = ()


class Evidence(Outside):
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
    origin: Origin = Origin()
    lock: dict[str, Any] = Field(default_factory=dict, description="object lock or snapshot lock as read back")


class ControlPlaneEvidence(Evidence):
    """The control-plane snapshot."""

    kind: Literal[EvidenceKind.CONTROL_PLANE] = EvidenceKind.CONTROL_PLANE
    origin: ControlPlaneOrigin = ControlPlaneOrigin()


class MemoryEvidence(Evidence):
    """An image of the target's memory."""

    kind: Literal[EvidenceKind.MEMORY] = EvidenceKind.MEMORY
    origin: MemoryOrigin = MemoryOrigin()


class DiskEvidence(Evidence):
    """One disk of the target."""

    kind: Literal[EvidenceKind.DISK] = EvidenceKind.DISK
    origin: DiskOrigin = DiskOrigin()
    lock: dict[str, SnapshotLock] = Field(
        default_factory=dict, description="lock of each snapshot as read back: snapshot, member_copy, copy"
    )


class LiveResponseEvidence(Evidence):
    """What the running target showed of itself."""

    kind: Literal[EvidenceKind.LIVE_RESPONSE] = EvidenceKind.LIVE_RESPONSE
    origin: LiveResponseOrigin = LiveResponseOrigin()


class LogEvidence(Evidence):
    """Records of an account's logs."""

    origin: LogOrigin = LogOrigin()


class CloudTrailEvidence(LogEvidence):
    """Records of the API calls that concern the case."""

    kind: Literal[EvidenceKind.CLOUD_TRAIL] = EvidenceKind.CLOUD_TRAIL


class FlowLogEvidence(LogEvidence):
    """Records of the flows through the target's network interfaces."""

    kind: Literal[EvidenceKind.FLOW_LOGS] = EvidenceKind.FLOW_LOGS


class QueryLogEvidence(LogEvidence):
    """Records of the names that the target asked the Resolver for."""

    kind: Literal[EvidenceKind.QUERY_LOGS] = EvidenceKind.QUERY_LOGS


class AccountStateEvidence(LogEvidence):
    """What the account says of the target: its role, its configuration before, its sessions."""

    kind: Literal[EvidenceKind.ACCOUNT_STATE] = EvidenceKind.ACCOUNT_STATE


AnyEvidence = Annotated[
    ControlPlaneEvidence
    | MemoryEvidence
    | DiskEvidence
    | LiveResponseEvidence
    | CloudTrailEvidence
    | FlowLogEvidence
    | QueryLogEvidence
    | AccountStateEvidence,
    Field(discriminator="kind"),
]
_KINDS: dict[
    str,
    type[
        ControlPlaneEvidence
        | MemoryEvidence
        | DiskEvidence
        | LiveResponseEvidence
        | CloudTrailEvidence
        | FlowLogEvidence
        | QueryLogEvidence
        | AccountStateEvidence
    ],
] = {
    EvidenceKind.CONTROL_PLANE: ControlPlaneEvidence,
    EvidenceKind.MEMORY: MemoryEvidence,
    EvidenceKind.DISK: DiskEvidence,
    EvidenceKind.LIVE_RESPONSE: LiveResponseEvidence,
    EvidenceKind.CLOUD_TRAIL: CloudTrailEvidence,
    EvidenceKind.FLOW_LOGS: FlowLogEvidence,
    EvidenceKind.QUERY_LOGS: QueryLogEvidence,
    EvidenceKind.ACCOUNT_STATE: AccountStateEvidence,
}


def read_evidence(data: object) -> AnyEvidence:
    """The item of a record of the case store, as the model of its kind. Raises :class:`StoredItemError`."""
    kind = data.get("kind") if isinstance(data, dict) else None
    if (model := _KINDS.get(str(kind))) is None:
        raise StoredItemError.of("Evidence", data, f"evidence of the kind {str(kind)[:40]!r} is not known")
    return model.stored(data)
