"""The snapshots of an artifact: each is copied in its own account into a snapshot of the case, which counts as the original.

The acquire role may lock, share and read only what carries the case's tag, and nobody's own snapshot is tagged or locked by us: its
owner may delete it an hour later, and the evidence stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from forensics.aws.artifacts import GONE, ArtifactGateway
from forensics.aws.ebs import EbsGateway, Snapshot
from forensics.aws.hook import CaseSessions
from forensics.aws.kms import KeyGateway
from forensics.case.recorder import CaseRecorder
from forensics.case.requests import MadeBefore
from forensics.disk.kms_rules import UNUSABLE
from forensics.disk.snapshot_rules import why_foreign
from forensics.disk.snapshot_set import SNAPSHOT_PURPOSE
from forensics.errors import ForensicsError, ResourceGoneError, SnapshotError, ThrottledError, UnreachableError
from forensics.models.artifact import ArtifactDisk
from forensics.models.case import Milestone, TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.evidence import DiskEvidence, DiskOrigin, EvidenceKind, Outcome
from forensics.naming import TAG_CASE, TAG_PURPOSE, TAG_SOURCE, Tag, evidence_id, tags
from forensics.settings import Settings

CONSISTENCY = "the snapshot as it was found"


@dataclass(frozen=True)
class ArtifactAccount:
    """The artifact's account and Region, under the acquire role."""

    ebs: EbsGateway
    artifacts: ArtifactGateway
    keys: KeyGateway

    @classmethod
    def of(cls, sessions: CaseSessions) -> Self:
        """Under the case's own session."""
        session = sessions.target("acquire")
        return cls(EbsGateway.of(session), ArtifactGateway.of(session), KeyGateway.of(session))


class ArtifactSnapshots:
    """The originals of an artifact's disks; each pass continues from what AWS shows, so that repeating it is safe."""

    def __init__(self, recorder: CaseRecorder, account: ArtifactAccount, settings: Settings) -> None:
        self._recorder = recorder
        self._account = account
        self._settings = settings

    def advance(self, disks: Iterable[ArtifactDisk], *, after_wait: bool = False) -> list[str]:
        """Take every disk one step further; returns the ids of the snapshots that have to complete first.

        A disk that cannot be copied is recorded with the reason and what to do, and does not keep the others from being copied.
        Raises :class:`ThrottledError` or :class:`UnreachableError` when nothing is under way that could be waited for, and
        :class:`SnapshotError` when nothing is left.
        """
        self._recorder.milestone(Milestone.SNAPSHOTS_STARTED)
        waiting, later, refused = list[str](), list[ForensicsError](), list[ForensicsError]()
        items = list(disks)
        for disk in items:
            try:
                waiting += self._advance(disk, after_wait=after_wait)
            except (ThrottledError, UnreachableError) as error:
                later.append(error)
            except ForensicsError as error:
                self._refuse(disk, error)
                refused.append(error)
        if later and not waiting:
            raise later[0]
        if refused and len(refused) == len(items):
            raise SnapshotError("; ".join(str(e) for e in refused), next_action=refused[0].next_action)
        return sorted(waiting)

    def originals(self) -> list[str]:
        """Ids of the snapshots that count as originals."""
        return sorted(str(e.origin.snapshot_id) for e in self._recorder.disks() if e.origin.snapshot_id)

    def _advance(self, disk: ArtifactDisk, *, after_wait: bool) -> list[str]:
        item = evidence_id(EvidenceKind.DISK, disk.snapshot_id)
        known = self._recorder.disk(item)
        if known is not None and known.origin.snapshot_id:
            return []
        made = self._made(disk.snapshot_id)
        usable = [s for s in made if s.state != "error"]
        if usable and usable[0].state == "completed":
            self._take(known or self._begin(disk), usable[0])
            return []
        if usable:
            return [usable[0].id]
        if made and after_wait:
            raise _failed(made[-1])
        source = self._source(disk)
        if source.state == "pending":
            return [source.snapshot_id]
        self._check(source)
        self._begin(source)
        return [self._copy(source)]

    def _source(self, disk: ArtifactDisk) -> ArtifactDisk:
        try:
            return self._account.artifacts.snapshot(disk.snapshot_id, device=disk.device)[0]
        except ResourceGoneError as error:
            raise ResourceGoneError(str(error), next_action=GONE) from error

    def _check(self, source: ArtifactDisk) -> None:
        """Raise :class:`SnapshotError` when the snapshot cannot be copied, with the reason and what to do."""
        case, name = self._recorder.case, source.snapshot_id
        if source.owner_id and source.owner_id != case.account_id:
            msg = f"{name} belongs to account {source.owner_id}, not to {case.account_id}: it is not copied under another account's roles"
            action = f"start the DAG forensic_case for {name} in account {source.owner_id}, or ask its owner to keep it (LockSnapshot)"
            raise SnapshotError(msg, next_action=action)
        if source.state == "error":
            msg = f"{name} is in state error: EC2 cannot read it"
            raise SnapshotError(
                msg, next_action="look for other snapshots of the same volume, and start a case for one of them"
            )
        if source.tier == "archive":
            msg = f"{name} is in the archive tier, from which nothing can be copied"
            action = f"restore it (RestoreSnapshotTier {name} --permanent-restore; up to 72 hours), then clear disk.snapshot_volumes"
            raise SnapshotError(msg, next_action=action)
        if not source.encrypted or not source.kms_key_id:
            return
        key = self._account.keys.describe(source.kms_key_id)
        if key.state in UNUSABLE:
            msg = f"{name} is encrypted under key {key.arn}, which is in state {key.state}: nobody can decrypt with it"
            action = f"enable {key.arn} (or cancel its deletion), then clear disk.snapshot_volumes; the snapshot stays where it is"
            raise SnapshotError(msg, next_action=action)

    def _made(self, snapshot_id: str) -> list[Snapshot]:
        """The case's copies of a snapshot, failed ones included, the newest first."""
        marks = {TAG_CASE: self._recorder.case_id, TAG_PURPOSE: SNAPSHOT_PURPOSE, TAG_SOURCE: snapshot_id}
        ebs = self._account.ebs
        found = self._before(snapshot_id).find(
            lambda: ebs.find_snapshots(tags=marks),
            described=lambda name: ebs.snapshots([name]),
            name=lambda s: s.id,
            foreign=lambda s, at: why_foreign(
                s, at, description=self._description(snapshot_id), tags=self._tags(snapshot_id)
            ),
        )
        return sorted(found, key=lambda s: str(s.started_at), reverse=True)

    def _description(self, snapshot_id: str) -> str:
        return f"Forensic evidence of case {self._recorder.case_id}: copy of {snapshot_id}"

    def _tags(self, snapshot_id: str) -> list[Tag]:
        return tags(self._recorder.case_id, SNAPSHOT_PURPOSE, source=snapshot_id)

    def _before(self, snapshot_id: str) -> MadeBefore:
        return MadeBefore(self._recorder, f"{SNAPSHOT_PURPOSE}#{snapshot_id}")

    def _begin(self, source: ArtifactDisk) -> DiskEvidence:
        """Record the source in the ledger, with who owns it and who can read it, before anything is made of it."""
        recorder, item = self._recorder, evidence_id(EvidenceKind.DISK, source.snapshot_id)
        readers = self._readers(source)
        origin = DiskOrigin(
            source_snapshot_id=source.snapshot_id,
            source_owner=source.owner_id or None,
            source_started_at=source.started_at,
            source_readers=readers,
            volume_id=source.volume_id,
            device=source.device or None,
            size_gib=source.size_gib,
            encrypted=source.encrypted,
            consistency=CONSISTENCY,
        )
        detail = {"kms_key_id": source.kms_key_id, "description": source.description, "tags": source.tags}
        recorder.custody(
            CustodyAction.TARGET_DESCRIBED,
            evidence_id=item,
            detail={**origin.stated(), **detail},
            once=f"source-{source.snapshot_id}",
        )
        if "all" in (readers or ()):
            recorder.note(f"{source.snapshot_id} is public: every AWS account can read it", evidence_id=item)
        case = recorder.case
        return recorder.save_evidence(
            DiskEvidence(
                evidence_id=item,
                outcome=Outcome.PENDING,
                account_id=case.account_id,
                region=case.region,
                started_at=datetime.now(UTC),
                origin=origin,
            )
        )

    def _readers(self, source: ArtifactDisk) -> tuple[str, ...] | None:
        """Who can make a volume of the snapshot: its owner first; None when EC2 does not say."""
        try:
            return tuple(dict.fromkeys((source.owner_id, *self._account.artifacts.readers(source.snapshot_id))))
        except ForensicsError as error:
            self._recorder.note(f"who can read {source.snapshot_id} is not known: {error}"[:600])
            return None

    def _copy(self, source: ArtifactDisk) -> str:
        """Start the copy in the account: an encrypted one under the account's forensic key, which can be shared."""
        ebs = self._account.ebs
        key = self._account.keys.resolve(self._settings.member_key_alias) if source.encrypted else None
        before = self._before(source.snapshot_id)
        before.make(
            lambda: [
                ebs.copy(
                    source.snapshot_id,
                    source_region=ebs.region,
                    kms_key_id=key,
                    description=self._description(source.snapshot_id),
                    tags=self._tags(source.snapshot_id),
                )
            ]
        )
        return before.ids()[-1]

    def _take(self, evidence: DiskEvidence, copy: Snapshot) -> None:
        """Lock the complete copy and record it as the original. Until it is complete it is not locked: nobody could delete a failed one."""
        recorder, settings = self._recorder, self._settings
        lock = self._account.ebs.lock(
            copy.id,
            days=settings.retention_days,
            mode=settings.lock_mode,
            cool_off_hours=settings.snapshot_cool_off_hours,
        )
        origin = evidence.origin.model_copy(update={"snapshot_id": copy.id, "next_action": None})
        changed = {
            "outcome": Outcome.PENDING,
            "reason": None,
            "ended_at": None,
            "origin": origin,
            "lock": {"snapshot": lock},
        }
        recorder.clear_failed(_part(str(origin.source_snapshot_id)))
        recorder.custody(
            CustodyAction.EVIDENCE_LOCKED,
            evidence_id=evidence.evidence_id,
            detail={"snapshot_id": copy.id, "source_snapshot_id": origin.source_snapshot_id, "lock": lock.model_dump()},
            once=f"locked-{copy.id}",
        )
        recorder.note(
            f"{origin.source_snapshot_id} is copied in its account as {copy.id}, which is locked",
            kind=TimelineKind.EVIDENCE,
            evidence_id=evidence.evidence_id,
        )
        # Last: a disk with an original is not looked at again.
        recorder.save_evidence(evidence.model_copy(update=changed))

    def _refuse(self, disk: ArtifactDisk, error: ForensicsError) -> None:
        """The disk's outcome, and a part of the step that failed: its next action is the gap's."""
        item, reason = evidence_id(EvidenceKind.DISK, disk.snapshot_id), str(error)[:1000]
        known = self._recorder.disk(item)
        if known is not None and known.outcome is Outcome.FAILED and known.reason == reason:
            return
        origin = DiskOrigin(
            source_snapshot_id=disk.snapshot_id, source_owner=disk.owner_id or None, device=disk.device or None
        )
        evidence = known or DiskEvidence(evidence_id=item, outcome=Outcome.PENDING, origin=origin)
        changed = evidence.origin.model_copy(update={"next_action": error.next_action})
        self._recorder.mark_failed(_part(disk.snapshot_id), error)
        self._recorder.fail_evidence(evidence.model_copy(update={"origin": changed}), reason=reason)


def _part(snapshot_id: str) -> str:
    return f"disk.snapshot_volumes:{snapshot_id}"


def _failed(copy: Snapshot) -> SnapshotError:
    said = copy.message or "AWS gave no reason"
    action = (
        "let the acquire role decrypt with the snapshot's key (its key policy may refuse it), then clear disk.snapshot_volumes; "
        "the snapshot stays where it is"
        if "key" in said.lower()
        else "remove the cause, then clear disk.snapshot_volumes"
    )
    return SnapshotError(f"the copy {copy.id} in the snapshot's own account ended in error: {said}", next_action=action)
