"""Keeps the evidence of one case: retention of its objects and snapshots is extended, legal holds are put on again.

Every part is tried, whatever becomes of the others; a second run changes only what is not yet as it should be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from forensics.aws.ebs import EbsGateway
from forensics.aws.hook import CaseSessions
from forensics.aws.s3_archive import EvidenceArchive, StoredVersion
from forensics.aws.s3_locks import EvidenceLocks
from forensics.errors import ForensicsError
from forensics.models.disk import SnapshotLock
from forensics.models.evidence import DiskEvidence
from forensics.naming import case_prefix
from forensics.settings import LockMode

# Objects are asked for and extended side by side: a case has hundreds, and each takes two requests.
_SIDE_BY_SIDE = 8


@dataclass(frozen=True)
class HeldSnapshot:
    """A snapshot of a case: under which name its lock is recorded, and where it is."""

    name: str
    snapshot_id: str
    account: str
    region: str


def snapshots_of(item: DiskEvidence) -> Iterator[HeldSnapshot]:
    """The snapshots of a disk that hold evidence: the original, the copy in the target's account, the forensic copy."""
    origin = item.origin
    for name, snapshot_id, account, region in (
        ("snapshot", origin.snapshot_id, "target", ""),
        ("member_copy", origin.member_copy_id, "target", ""),
        ("copy", origin.copy_id, "forensic", origin.copy_region or ""),
    ):
        if snapshot_id:
            yield HeldSnapshot(name, snapshot_id, account, region)


@dataclass
class Kept:
    """What one pass did: counts, the snapshots' locks by evidence id and name, and what could not be done."""

    objects: int = 0
    extended: int = 0
    held: int = 0
    locks: dict[str, dict[str, SnapshotLock]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def snapshots(self) -> int:
        """How many snapshots are locked as asked for."""
        return sum(len(names) for names in self.locks.values())


class EvidenceHolding:
    """Retention and holds of one case. ``accounts`` gives the gateway of an account (``target``, ``forensic``) and Region."""

    def __init__(
        self,
        case_id: str,
        *,
        archive: EvidenceArchive,
        locks: EvidenceLocks,
        accounts: Callable[[str, str], EbsGateway],
        mode: LockMode,
    ) -> None:
        self._case_id = case_id
        self._archive = archive
        self._locks = locks
        self._accounts = accounts
        self._mode = mode

    @classmethod
    def of(cls, sessions: CaseSessions) -> Self:
        """The holding of a case under its own sessions: the custodian's, and the acquire role's in the target's account."""
        settings, custodian = sessions.settings, sessions.forensic("custodian")
        return cls(
            sessions.case.case_id,
            archive=EvidenceArchive.of(custodian, settings),
            locks=EvidenceLocks.of(custodian, settings),
            accounts=lambda account, region: EbsGateway.of(
                sessions.target("acquire") if account == "target" else sessions.forensic(region=region)
            ),
            mode=settings.lock_mode,
        )

    def keep(self, disks: Sequence[DiskEvidence], *, until: datetime, hold: bool) -> Kept:
        """Keep all objects and snapshots at least until then; with ``hold`` every object gets a legal hold that has none."""
        kept = Kept()
        versions = self._archive.versions(case_prefix(self._case_id))
        kept.objects = len(versions)
        with ThreadPoolExecutor(max_workers=_SIDE_BY_SIDE) as pool:
            for extended, held, problem in pool.map(lambda v: self._object(v, until=until, hold=hold), versions):
                kept.extended += extended
                kept.held += held
                kept.failures += [problem] if problem else []
        for item in disks:
            for snapshot in snapshots_of(item):
                self._snapshot(item.evidence_id, snapshot, until, kept)
        return kept

    def _object(self, version: StoredVersion, *, until: datetime, hold: bool) -> tuple[bool, bool, str]:
        extended = held = False
        try:
            lock = self._archive.lock(version)
            if lock.until is None or lock.until < until.replace(microsecond=0):
                mode: LockMode = (
                    "COMPLIANCE" if lock.mode == "COMPLIANCE" else "GOVERNANCE" if lock.mode else self._mode
                )
                self._locks.retain(version, until=until.replace(microsecond=0), mode=mode)
                extended = True
            if hold and not lock.legal_hold:
                self._locks.hold(version)
                held = True
        except ForensicsError as error:
            return extended, held, str(error)
        return extended, held, ""

    def _snapshot(self, evidence_id: str, snapshot: HeldSnapshot, until: datetime, kept: Kept) -> None:
        try:
            ebs = self._accounts(snapshot.account, snapshot.region)
            lock = ebs.extend_lock(snapshot.snapshot_id, until=until, mode=self._mode)
        except ForensicsError as error:
            kept.failures.append(str(error))
            return
        kept.locks.setdefault(evidence_id, {})[snapshot.name] = lock
