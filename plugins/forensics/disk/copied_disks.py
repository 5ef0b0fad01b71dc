"""What is recorded when the copies of a case's disks are complete, and the error for those that are not."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from forensics.case.recorder import CaseRecorder
from forensics.errors import SnapshotError
from forensics.models.case import Milestone, TimelineKind
from forensics.models.custody import CustodyAction, CustodyFacts
from forensics.models.disk import SnapshotLock
from forensics.models.evidence import DiskEvidence, Outcome
from forensics.naming import snapshot_arn

# What the custody ledger states of a disk's lineage when it is acquired.
LINEAGE = frozenset(
    {"source_snapshot_id", "volume_id", "snapshot_id", "member_copy_id", "copy_id", "device", "key_case", "route"}
)


def record_copied(recorder: CaseRecorder, complete: Collection[str], *, account_id: str) -> list[str]:
    """Record the disks whose copies are complete as acquired; returns the copies' snapshot ids.

    Acquired is a disk whose copy this pass has seen complete: a copy id on record may be that of a failed one. Raises
    :class:`SnapshotError` when a disk with a snapshot has no complete copy.

    :param complete: evidence ids
    :param account_id: the forensic account, which owns the copies
    """
    now = datetime.now(UTC)
    for evidence in recorder.disks():
        if evidence.evidence_id in complete:
            _record(recorder, evidence, now, account_id=account_id)
    items = [e for e in recorder.disks() if e.outcome is Outcome.ACQUIRED and e.origin.copy_id]
    if items:
        recorder.milestone(Milestone.COPIES_COMPLETE, now)
        recorder.sign_ledger("disk")
        _announce(recorder, items)
    _raise_uncopied(recorder)
    return [str(e.origin.copy_id) for e in items]


def _record(recorder: CaseRecorder, evidence: DiskEvidence, now: datetime, *, account_id: str) -> None:
    origin = evidence.origin
    uri = snapshot_arn(account_id, origin.copy_region or recorder.case.region, str(origin.copy_id))
    # The ledger first: a kill between the two repeats the step without a double entry.
    recorder.custody(
        CustodyAction.EVIDENCE_ACQUIRED,
        evidence_id=evidence.evidence_id,
        detail={k: v for k, v in origin.stated().items() if k in LINEAGE},
        facts=CustodyFacts(
            moved_from=f"account {recorder.case.account_id}, {recorder.case.region}, {origin.snapshot_id}",
            moved_to=uri,
        ),
        once=f"acquired-{origin.copy_id}",
    )
    lock = evidence.lock.get("copy", SnapshotLock())
    recorder.custody(
        CustodyAction.EVIDENCE_LOCKED,
        evidence_id=evidence.evidence_id,
        detail={"snapshot_id": origin.copy_id, "lock": lock.model_dump()},
        once=f"locked-{origin.copy_id}",
    )
    recorder.note(
        f"{origin.subject} acquired: copy {origin.copy_id} complete",
        kind=TimelineKind.EVIDENCE,
        evidence_id=evidence.evidence_id,
    )
    # Last: a disk that is acquired is not looked at again.
    done = {"outcome": Outcome.ACQUIRED, "reason": None, "ended_at": now, "uri": uri}
    recorder.save_evidence(evidence.model_copy(update=done))


def _announce(recorder: CaseRecorder, items: list[DiskEvidence]) -> None:
    recorder.announce(
        "disks_acquired",
        f"Disks acquired: {len(items)}",
        lines=[
            f"{e.origin.subject} ({e.origin.device}): snapshot {e.origin.snapshot_id}, copy {e.origin.copy_id}"
            for e in items
        ],
        facts={"copies": [e.origin.copy_id for e in items]},
        routine=True,
    )


def _raise_uncopied(recorder: CaseRecorder) -> None:
    left = [e for e in recorder.disks() if e.origin.snapshot_id and e.outcome is not Outcome.ACQUIRED]
    if left:
        named = "; ".join(f"{e.origin.subject}: {e.reason}" for e in left)
        actions = dict.fromkeys(e.origin.next_action for e in left if e.origin.next_action)
        raise SnapshotError(
            f"not copied to the forensic account: {named}",
            next_action="; ".join(actions)
            or "look at the log of disk.copy_snapshots for what AWS answered, remove the cause, then clear disk.copy_snapshots",
        )
