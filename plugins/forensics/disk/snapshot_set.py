"""One crash-consistent snapshot set of a target's volumes: found or made, locked while pending, recorded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from forensics.aws.ebs import EbsGateway, Snapshot
from forensics.case.recorder import CaseRecorder
from forensics.case.requests import MadeBefore
from forensics.disk.snapshot_rules import why_foreign
from forensics.errors import AwsError
from forensics.models.case import Milestone, TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.disk import SnapshotLock
from forensics.models.evidence import DiskEvidence, DiskOrigin, EvidenceKind, Outcome
from forensics.models.plan import Decision
from forensics.models.target import Target
from forensics.naming import TAG_CASE, TAG_PURPOSE, Tag, drill_mark, evidence_id, tags
from forensics.settings import LockMode

SNAPSHOT_PURPOSE = "evidence-snapshot"


class SnapshotSet:
    """The snapshots of one target, made by one CreateSnapshots.

    A retry finds the set that an earlier try made, by its case tag and by its ids on record (:mod:`forensics.case.requests`);
    snapshots that ended in error are taken again.
    """

    def __init__(
        self,
        recorder: CaseRecorder,
        ebs: EbsGateway,
        *,
        retention_days: int,
        lock_mode: LockMode = "GOVERNANCE",
        cool_off_hours: int = 0,
    ) -> None:
        self._recorder = recorder
        self._ebs = ebs
        self._retention_days = retention_days
        self._before = MadeBefore(recorder, "snapshots")
        self._lock_mode: LockMode = lock_mode
        self._cool_off_hours = cool_off_hours

    def take(self, target: Target) -> list[str]:
        """Start (or find) the set, lock and record it; returns the ids of its snapshots."""
        recorder = self._recorder
        found = self._earlier(target)
        if not {v.id for v in target.volumes} <= {s.volume_id for s in found}:
            found = self._create()
        recorder.milestone(Milestone.SNAPSHOTS_STARTED)
        # All are locked before anything else happens: recording may fail, an unlocked snapshot may be deleted.
        locks = {s.id: self._lock(s.id) for s in found}
        for snapshot in found:
            self._record(target, snapshot, locks[snapshot.id])
        self._record_instance_store(target)
        return sorted(s.id for s in found)

    def _create(self) -> list[Snapshot]:
        case, made = self._recorder.case, list[Snapshot]()

        def create() -> list[str]:
            made.extend(self._ebs.create_snapshots(case.instance_id, description=self._description, tags=self._tags))
            return [s.id for s in made]

        self._before.make(create)
        return made

    def _lock(self, snapshot_id: str) -> SnapshotLock:
        return self._ebs.lock(
            snapshot_id, days=self._retention_days, mode=self._lock_mode, cool_off_hours=self._cool_off_hours
        )

    @property
    def _description(self) -> str:
        return f"Forensic evidence of case {self._recorder.case_id}"

    @property
    def _tags(self) -> list[Tag]:
        case = self._recorder.case
        return tags(case.case_id, SNAPSHOT_PURPOSE, **drill_mark(drill=case.drill), instance=case.instance_id)

    def _earlier(self, target: Target) -> list[Snapshot]:
        volumes = {v.id for v in target.volumes}
        marks = {TAG_CASE: self._recorder.case_id, TAG_PURPOSE: SNAPSHOT_PURPOSE}
        return newest_usable(
            self._before.find(
                lambda: self._ebs.find_snapshots(tags=marks),
                described=lambda snapshot_id: self._ebs.snapshots([snapshot_id]),
                name=lambda snapshot: snapshot.id,
                foreign=lambda snapshot, at: why_foreign(
                    snapshot, at, description=self._description, tags=self._tags, volumes=volumes
                ),
            )
        )

    def _record(self, target: Target, snapshot: Snapshot, lock: SnapshotLock) -> None:
        recorder, item = self._recorder, evidence_id(EvidenceKind.DISK, snapshot.volume_id)
        earlier = recorder.evidence_item(item)
        if earlier and earlier.outcome is Outcome.ACQUIRED:
            return
        recorder.save_evidence(
            DiskEvidence(
                evidence_id=item,
                outcome=Outcome.PENDING,
                account_id=recorder.case.account_id,
                region=recorder.case.region,
                started_at=snapshot.started_at or datetime.now(UTC),
                origin=_origin(target, snapshot),
                lock={"snapshot": lock},
            )
        )
        recorder.custody(
            CustodyAction.EVIDENCE_LOCKED,
            evidence_id=item,
            detail={"snapshot_id": snapshot.id, "volume_id": snapshot.volume_id, "lock": lock.model_dump()},
            once=f"locked-{snapshot.id}",
        )
        recorder.note(
            f"snapshot {snapshot.id} of {snapshot.volume_id} started and locked",
            kind=TimelineKind.EVIDENCE,
            evidence_id=item,
        )

    def _record_instance_store(self, target: Target) -> None:
        """Record what no snapshot can hold: the instance store is lost when the instance stops."""
        recorder = self._recorder
        item = evidence_id(EvidenceKind.DISK, f"{recorder.case.instance_id}-store")
        if recorder.evidence_item(item) is not None:
            return
        try:
            size = self._ebs.instance_store_gb(target.instance_type)
        except AwsError as error:
            recorder.note(f"it is not known whether {target.instance_type} has an instance store: {error}"[:600])
            return
        if size:
            recorder.fail_evidence(
                DiskEvidence(evidence_id=item, outcome=Outcome.NOT_APPLICABLE),
                reason=f"the instance store ({size} GB of {target.instance_type}) cannot be snapshotted: its content was "
                "not acquired and is lost when the instance stops or is terminated; copy it manually before you stop it",
                outcome=Outcome.NOT_APPLICABLE,
            )


def newest_usable(found: list[Snapshot]) -> list[Snapshot]:
    """The newest snapshot of each volume that has not failed."""
    newest: dict[str, Snapshot] = {}
    for snapshot in sorted((s for s in found if s.state != "error"), key=lambda s: str(s.started_at)):
        newest[snapshot.volume_id] = snapshot
    return list(newest.values())


def _origin(target: Target, snapshot: Snapshot) -> DiskOrigin:
    volume = next((v for v in target.volumes if v.id == snapshot.volume_id), None)
    return DiskOrigin(
        volume_id=snapshot.volume_id,
        device=volume.device if volume else "",
        size_gib=snapshot.size_gib,
        snapshot_id=snapshot.id,
        encrypted=snapshot.encrypted,
        consistency="crash-consistent set",
    )


def disk_subjects(recorder: CaseRecorder) -> list[str]:
    """What the case's disks are called by: the volumes of its instance, or the snapshots of its artifact."""
    if recorder.case.artifact is not None:
        described = recorder.artifact()
        return [d.snapshot_id for d in described.disks] if described else []
    target = recorder.target()
    return [v.id for v in target.volumes] if target else []


def record_not_acquired(recorder: CaseRecorder, decision: Decision, subjects: Sequence[str]) -> str:
    """Record every disk (id of its volume or snapshot) that the plan does not acquire, once; returns the reason."""
    reason = "; ".join(decision.reasons)
    outcome = Outcome.NOT_APPLICABLE if decision.wanted else Outcome.SKIPPED
    for subject in subjects or [recorder.case.instance_id]:
        item = evidence_id(EvidenceKind.DISK, subject)
        if recorder.evidence_item(item) is None:
            recorder.fail_evidence(DiskEvidence(evidence_id=item, outcome=outcome), reason=reason, outcome=outcome)
    return reason


def disks_again(recorder: CaseRecorder) -> None:
    """A cleared step begins again: its disks that failed are pending, so that page, board and messages wait for them."""
    for evidence in recorder.disks():
        if evidence.outcome is Outcome.FAILED and evidence.origin.snapshot_id:
            before = evidence.reason or "failed"
            recorder.note(
                f"{evidence.evidence_id} is acquired again by {recorder.step}; before: {before}"[:600],
                kind=TimelineKind.EVIDENCE,
                evidence_id=evidence.evidence_id,
            )
            again = {"outcome": Outcome.PENDING, "reason": None, "ended_at": None}
            recorder.save_evidence(evidence.model_copy(update=again))


def fail_pending_disks(recorder: CaseRecorder, cause: str) -> None:
    """Mark every disk whose outcome is still open as failed; when none was started, one for each volume of the target."""
    items = recorder.disks()
    if not items:
        subjects = disk_subjects(recorder) or [recorder.case.instance_id]
        items = [DiskEvidence(evidence_id=evidence_id(EvidenceKind.DISK, s), outcome=Outcome.PENDING) for s in subjects]
    for evidence in items:
        if evidence.outcome is Outcome.PENDING:
            recorder.fail_evidence(evidence, reason=cause)
