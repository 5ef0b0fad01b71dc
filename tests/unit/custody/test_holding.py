"""Evidence is kept as a whole: what can be extended is, what cannot is named, and a second pass does only what is missing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from forensics.aws.s3_archive import ObjectLock, StoredVersion
from forensics.aws.s3_locks import EvidenceLocks
from forensics.custody.holding import EvidenceHolding, Kept, snapshots_of
from forensics.errors import AccessDeniedError, ResourceGoneError
from forensics.models.disk import SnapshotLock
from forensics.models.evidence import DiskEvidence, DiskOrigin, Outcome
from tests.unit.builders import CASE_ID, NOW
from tests.unit.custody.archive import ArchiveInMemory

UNTIL = NOW + timedelta(days=365)
DISK = DiskEvidence(
    evidence_id="disk-vol-1",
    outcome=Outcome.ACQUIRED,
    origin=DiskOrigin(snapshot_id="snap-1", member_copy_id="snap-2", copy_id="snap-3", copy_region="eu-west-1"),
)


class Store(ArchiveInMemory, EvidenceLocks):
    """Objects with locks that can be changed; ``refused`` are keys that S3 denies."""

    def __init__(self, **locks: ObjectLock) -> None:
        ArchiveInMemory.__init__(self, **{f"cases/{CASE_ID}/{name}": b"x" for name in locks})
        self.locks = {f"cases/{CASE_ID}/{name}": lock for name, lock in locks.items()}
        self.calls: list[str] = []
        self.refused: set[str] = set()

    def lock(self, version: StoredVersion) -> ObjectLock:
        return self.locks[version.key]

    def retain(self, version: StoredVersion, *, until: datetime, mode: Any) -> None:
        self._call("retain", version)
        self.locks[version.key] = self.lock(version).model_copy(update={"until": until, "mode": mode})

    def hold(self, version: StoredVersion, *, on: bool = True) -> None:
        self._call("hold" if on else "lift", version)
        self.locks[version.key] = self.lock(version).model_copy(update={"legal_hold": on})

    def _call(self, what: str, version: StoredVersion) -> None:
        name = version.key.rpartition("/")[2]
        if name in self.refused:
            raise AccessDeniedError(f"{name} is denied")
        self.calls.append(f"{what} {name}")


class Snapshots:
    """EC2 in any account; ``gone`` are snapshots that no longer exist."""

    def __init__(self) -> None:
        self.locked: dict[str, datetime] = {}
        self.asked: list[tuple[str, str]] = []
        self.gone: set[str] = set()

    def at(self, account: str, region: str) -> Any:
        self.asked.append((account, region))
        return self

    def extend_lock(self, snapshot_id: str, *, until: datetime, mode: str) -> SnapshotLock:
        if snapshot_id in self.gone:
            raise ResourceGoneError(f"{snapshot_id} does not exist")
        self.locked[snapshot_id] = until
        return SnapshotLock(state=mode.lower(), until=until.isoformat())


def lock(mode: str | None = "GOVERNANCE", *, days: int = 10, hold: bool = True) -> ObjectLock:
    return ObjectLock(mode=mode, until=NOW + timedelta(days=days) if mode else None, legal_hold=hold)


def keep(store: Store, snapshots: Snapshots, *, hold: bool = False) -> Kept:
    holding = EvidenceHolding(CASE_ID, archive=store, locks=store, accounts=snapshots.at, mode="COMPLIANCE")
    return holding.keep([DISK], until=UNTIL, hold=hold)


def test_what_ends_too_early_is_extended_and_a_second_pass_has_nothing_to_do() -> None:
    store, snapshots = Store(early=lock(), late=lock(days=999), strict=lock("COMPLIANCE"), none=lock(None)), Snapshots()
    kept = keep(store, snapshots)
    assert (kept.objects, kept.extended, kept.held, kept.snapshots, kept.failures) == (4, 3, 0, 3, [])
    assert sorted(store.calls) == ["retain early", "retain none", "retain strict"]
    modes = {key.rpartition("/")[2]: found.mode for key, found in store.locks.items()}
    assert modes == {"early": "GOVERNANCE", "late": "GOVERNANCE", "strict": "COMPLIANCE", "none": "COMPLIANCE"}
    assert snapshots.locked == dict.fromkeys(["snap-1", "snap-2", "snap-3"], UNTIL)
    assert snapshots.asked == [("target", ""), ("target", ""), ("forensic", "eu-west-1")]
    store.calls.clear()
    assert keep(store, snapshots).extended == 0 and store.calls == []


def test_a_hold_is_put_back_only_where_it_is_missing() -> None:
    store = Store(held=lock(days=999), lost=lock(days=999, hold=False))
    assert keep(store, Snapshots(), hold=True).held == 1
    assert store.calls == ["hold lost"]


def test_a_refusal_and_a_lost_snapshot_stop_nothing_else() -> None:
    store, snapshots = Store(**{f"o{n:03}": lock(hold=False) for n in range(300)}), Snapshots()
    store.refused, snapshots.gone = {"o007"}, {"snap-2"}
    kept = keep(store, snapshots, hold=True)
    assert kept.failures == ["o007 is denied", "snap-2 does not exist"]
    assert (kept.objects, kept.extended, kept.held) == (300, 299, 299)
    assert set(snapshots.locked) == {"snap-1", "snap-3"} == {s.snapshot_id for s in snapshots_of(DISK)} - {"snap-2"}
    store.refused, snapshots.gone, store.calls = set(), set(), []
    assert keep(store, snapshots, hold=True).failures == [] and store.calls == ["retain o007", "hold o007"]


def test_a_disk_without_snapshots_has_none_to_keep() -> None:
    assert list(snapshots_of(DISK.model_copy(update={"origin": DiskOrigin()}))) == []
