"""Audits one case: re-hashes its objects, checks ledger, signatures, locks and snapshots. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime

from pydantic import JsonValue

from forensics.aws.ebs import EbsGateway
from forensics.aws.s3_archive import EvidenceArchive, StoredVersion
from forensics.custody.audit_rules import (  # fmt: skip
    AuditedObject,
    AuditReport,
    Difference,
    head_differences,
    object_differences,
    snapshot_differences,
)
from forensics.custody.chain import stored_form
from forensics.custody.hold_lift import mark
from forensics.custody.holding import snapshots_of
from forensics.custody.ledger import CustodyLedger
from forensics.errors import CustodyError
from forensics.models.custody import AuditedSnapshot, Retention
from forensics.models.evidence import DiskEvidence, Evidence
from forensics.naming import case_prefix


class CaseAudit:
    """One audit; every difference is collected, none ends it early. ``progress`` gets what is being read.

    ``only``: marks of the versions that are read and hashed (:mod:`forensics.custody.audit_plan`); without it all are. Ledger,
    signatures, what is gone, hidden or written over, and snapshots are always checked.
    """

    def __init__(
        self,
        case_id: str,
        *,
        ledger: CustodyLedger,
        archive: EvidenceArchive,
        accounts: Callable[[str, str], EbsGateway],
        legal_hold: bool,
        retention: Retention | None = None,
        only: Collection[str] | None = None,
        progress: Callable[[str], None],
    ) -> None:
        self._case_id = case_id
        self._ledger = ledger
        self._archive = archive
        self._accounts = accounts
        self._legal_hold = legal_hold
        self._only = only
        # by mark: what there is, and what of it was read
        self.versions: dict[str, StoredVersion] = {}
        self.read: set[str] = set()
        self._kept_until = (
            retention.until if retention and retention.basis == "closed" and not retention.failures else None
        )
        self._progress = progress
        self._wrong: list[Difference] = []

    def run(self, evidence: Sequence[Evidence]) -> AuditReport:
        """Do all of it and report."""
        now = datetime.now(UTC)
        events = self._events()
        objects = self._objects()
        self._wrong += object_differences(
            objects, events=events, now=now, legal_hold=self._legal_hold, kept_until=self._kept_until
        )
        heads = self._ledger.signed_heads(self._case_id)
        self._wrong += head_differences(heads, key=self._ledger.key.public_key(), stored={o.uri for o in objects})
        snapshots, recorded, keys = self._snapshots(evidence)
        self._wrong += snapshot_differences(
            snapshots, recorded=recorded, now=now, kept_until=self._kept_until, keys=keys
        )
        return AuditReport(
            case_id=self._case_id,
            at=now,
            events=len(events),
            heads=len(heads),
            objects=len(objects),
            size_bytes=sum(o.size_bytes for o in objects),
            snapshots=len(snapshots),
            read=sum(o.read for o in objects),
            read_bytes=sum(o.size_bytes for o in objects if o.read),
            requests=2 * (1 + len(objects) // 1000) + 2 * sum(o.read for o in objects) + 3 * len(snapshots),
            differences=tuple(self._wrong),
        )

    def _events(self) -> list[dict[str, JsonValue]]:
        try:
            events, _ = self._ledger.verified(self._case_id)
        except CustodyError as error:
            self._wrong.append(Difference(part="custody ledger", what=str(error)))
            events = self._ledger.events(self._case_id)
        return [stored_form(e) for e in events]

    def _objects(self) -> list[AuditedObject]:
        prefix = case_prefix(self._case_id)
        by_key: dict[str, list[StoredVersion]] = {}
        for version in self._archive.versions(prefix):
            by_key.setdefault(version.key, []).append(version)
        hidden = set(self._archive.deleted(prefix))
        found = []
        for number, (key, versions) in enumerate(by_key.items(), start=1):
            first = versions[0]
            self.versions[mark(first)] = first
            known = AuditedObject(
                uri=first.uri,
                key=key,
                versions=len(versions),
                size_bytes=first.size_bytes,
                hidden=key in hidden,
                read=False,
            )
            if self._only is not None and mark(first) not in self._only:
                found.append(known)
                continue
            self._progress(f"object {number} of {len(by_key)}: {first.uri}, {first.size_bytes} bytes")
            self.read.add(mark(first))
            lock = self._archive.lock(first)
            found.append(
                known.model_copy(
                    update={
                        "sha256": self._archive.sha256(first),
                        "mode": lock.mode,
                        "until": lock.until,
                        "legal_hold": lock.legal_hold,
                        "read": True,
                    }
                )
            )
        return found

    def _snapshots(self, evidence: Sequence[Evidence]) -> tuple[list[AuditedSnapshot], dict[str, str], dict[str, str]]:
        """The snapshots as they are, and what was recorded of each: the end of its lock, its key."""
        found: list[AuditedSnapshot] = []
        keys: dict[str, str] = {}
        recorded: dict[str, str] = {}
        for item in (e for e in evidence if isinstance(e, DiskEvidence)):
            for held in snapshots_of(item):
                lock = item.lock.get(held.name)
                if lock and lock.until:
                    recorded[held.snapshot_id] = lock.until
                if key := item.origin.key_ids.get(held.name):
                    keys[held.snapshot_id] = key
                self._progress(f"snapshot {held.snapshot_id}")
                found.append(self._accounts(held.account, held.region).audited(held.snapshot_id))
        return found, recorded, keys
