"""Gets each snapshot of a case into the forensic account: shared, if need be re-encrypted, copied and locked there."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Self

from forensics.aws.ebs import EbsGateway, Snapshot, raise_if_failed
from forensics.aws.hook import CaseSessions
from forensics.aws.kms import KeyGateway
from forensics.case.recorder import CaseRecorder
from forensics.case.requests import MadeBefore
from forensics.disk.kms_rules import CopyRoute, destination, route_for
from forensics.disk.snapshot_rules import why_foreign
from forensics.errors import AccessDeniedError, AwsError, SnapshotError, ThrottledError
from forensics.models.case import Case, Milestone, TimelineKind
from forensics.models.disk import KeyFacts, Route, SnapshotLock
from forensics.models.evidence import DiskEvidence, Outcome
from forensics.naming import TAG_CASE, TAG_PURPOSE, TAG_SOURCE, Tag, drill_mark, tags
from forensics.settings import Settings, names

COPY_PURPOSE = "evidence-copy"
MEMBER_COPY_PURPOSE = "evidence-member-copy"

# A copy that begins before its share has spread is accepted and ends in error (recorded by radkawar/stackd, docs/ec2.md): what
# failed so soon after the first copy of the same snapshot is made again without spending a try of the task, so many times.
SHARE_SPREADS_WITHIN = timedelta(seconds=90)
MOST_FAILED_COPIES = 4
SHARE_PAUSE = 2.0  # seconds before such a copy is made again; twice as long each time

log = logging.getLogger(__name__)


def copy_region(case: Case, settings: Settings) -> str:
    """The Region that a case's copies go to."""
    return destination(case.region, home=settings.region, may_leave=names(settings.cross_region_from))


@dataclass
class CopyRound:
    """What one pass over all disks of a case found: evidence ids with a complete copy, and what is still open.

    ``in_account`` and ``copies`` are ids of pending snapshots, in the target's and in the forensic account;
    ``over_quota`` names the disks that AWS has no room for at the moment.
    """

    complete: set[str] = field(default_factory=set)
    in_account: list[str] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)
    over_quota: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class CopyAccounts:
    """The two ends of the copies: the target's account, and the forensic account in the Region that the copies go to."""

    source: EbsGateway
    source_keys: KeyGateway
    forensic: EbsGateway
    forensic_keys: KeyGateway
    grantee: str  # ARN of the forensic account's role that copies
    granted_keys: KeyGateway  # that role, where the source's keys are

    @classmethod
    def of(cls, sessions: CaseSessions, region: str) -> Self:
        """Both ends under the case's own sessions."""
        source, forensic = sessions.target("acquire"), sessions.forensic(region=region)
        return cls(
            source=EbsGateway.of(source),
            source_keys=KeyGateway.of(source),
            forensic=EbsGateway.of(forensic),
            forensic_keys=KeyGateway.of(forensic),
            grantee=sessions.role_arn(sessions.forensic_scope()),
            granted_keys=KeyGateway.of(sessions.forensic(region=sessions.case.region)),
        )


class SnapshotCopies:
    """Copies of a case's snapshots; each pass continues from what AWS shows, so that repeating it is safe."""

    def __init__(self, recorder: CaseRecorder, accounts: CopyAccounts, settings: Settings) -> None:
        self._recorder = recorder
        self._accounts = accounts
        self._settings = settings
        self._paused = False
        self._waited: set[str] = set()

    @classmethod
    def of(cls, recorder: CaseRecorder, sessions: CaseSessions) -> Self:
        """The copies of a case under its own sessions."""
        region = copy_region(recorder.case, sessions.settings)
        return cls(recorder, CopyAccounts.of(sessions, region), sessions.settings)

    def advance(self, *, after_wait: bool = False) -> CopyRound:
        """Take every disk one step further. A disk that cannot be copied does not keep the others from being copied.

        Raises :class:`SnapshotError` when a copy that was waited for (``after_wait``) ended in error.
        """
        items = [e for e in self._recorder.disks() if e.origin.snapshot_id]
        if not items:
            raise SnapshotError("there is no snapshot to copy", next_action="clear disk.snapshot_volumes")
        originals = self._accounts.source.snapshots([str(e.origin.snapshot_id) for e in items])
        raise_if_failed(originals, what="snapshot")
        self._recorder.milestone(Milestone.SNAPSHOTS_COMPLETE)
        by_id = {s.id: s for s in originals}
        found = CopyRound()
        for evidence in items:
            if evidence.outcome is Outcome.ACQUIRED:
                continue
            try:
                self._advance_disk(evidence, by_id[str(evidence.origin.snapshot_id)], found, after_wait=after_wait)
            except ThrottledError as error:
                found.over_quota.append(f"{evidence.evidence_id}: {error}")
            except AwsError as error:
                self._update(evidence.evidence_id, reason=str(error)[:1000], next_action=error.next_action)
                log.warning("%s: %s", evidence.evidence_id, error)
        return found

    def _advance_disk(self, evidence: DiskEvidence, original: Snapshot, found: CopyRound, *, after_wait: bool) -> None:
        made = self._made(self._accounts.forensic, COPY_PURPOSE, original)
        usable = [s for s in made if s.state != "error"]
        if usable:
            self._take_copy(evidence, usable[0], found)
            return
        if after_wait and made:
            if not may_be_share(made):
                raise_if_failed(made, what="copy")
            self._pause(len(made))
        route = self._choose_route(evidence, original, failed=made)
        if route.route is Route.BLOCKED:
            self._update(evidence.evidence_id, reason=route.reason, next_action=route.next_action)
            return
        shared = original
        if route.route is Route.REENCRYPT:
            shared = self._copy_in_account(evidence, original)
            if shared.state != "completed":
                found.in_account.append(shared.id)
                return
        self._take_copy(evidence, self._copy(evidence, original, shared), found)

    def _pause(self, failed: int) -> None:
        """Give shares time to spread, once in a pass: all disks were shared before it."""
        if not self._paused:
            time.sleep(SHARE_PAUSE * 2 ** (failed - 1))
        self._paused = True

    def _made(self, ebs: EbsGateway, purpose: str, original: Snapshot) -> list[Snapshot]:
        """Copies of a snapshot that this case has made in an account, failed ones included."""
        marks = {TAG_CASE: self._recorder.case_id, TAG_PURPOSE: purpose, TAG_SOURCE: original.id}
        return self._before(purpose, original).find(
            lambda: ebs.find_snapshots(tags=marks),
            described=lambda snapshot_id: ebs.snapshots([snapshot_id]),
            name=lambda snapshot: snapshot.id,
            foreign=lambda snapshot, at: why_foreign(
                snapshot, at, description=self._description(purpose, original), tags=self._tags(purpose, original)
            ),
        )

    def _description(self, purpose: str, original: Snapshot) -> str:
        what = f"copy of {original.id}" if purpose == COPY_PURPOSE else f"{original.id} under the forensic key"
        return f"Forensic evidence of case {self._recorder.case_id}: {what}"

    def _tags(self, purpose: str, original: Snapshot, **extra: str) -> list[Tag]:
        case = self._recorder.case
        return tags(case.case_id, purpose, **drill_mark(drill=case.drill), source=original.id, **extra)

    def _before(self, purpose: str, original: Snapshot) -> MadeBefore:
        return MadeBefore(self._recorder, f"{purpose}#{original.id}")

    def _copy(self, evidence: DiskEvidence, original: Snapshot, shared: Snapshot) -> Snapshot:
        """Share a snapshot (the original, or its re-encrypted copy) and copy it to the forensic account."""
        case, forensic = self._recorder.case, self._accounts.forensic
        self._accounts.source.share(shared.id, account_id=self._settings.forensic_account_id)
        key, before = self._evidence_key(), self._before(COPY_PURPOSE, original)
        before.make(
            lambda: [
                forensic.copy(
                    shared.id,
                    source_region=case.region,
                    kms_key_id=key,
                    description=self._description(COPY_PURPOSE, original),
                    tags=self._tags(COPY_PURPOSE, original, volume=evidence.origin.subject),
                )
            ]
        )
        return forensic.snapshots(before.ids()[-1:])[0]

    def _take_copy(self, evidence: DiskEvidence, copy: Snapshot, found: CopyRound) -> None:
        """Record a copy; lock it (once) as soon as it is complete, before anything is said of it. Until then it is awaited.

        A copy is evidence when it is complete: until then the locked original is the only one. A copy that ends in error
        must not stay behind locked, because nobody could delete it before its retention ends.
        """
        forensic, complete = self._accounts.forensic, copy.state == "completed"
        known = self._recorder.disk(evidence.evidence_id) or evidence
        keys = _with_key(known.origin.key_ids, "copy", copy if complete else None)
        origin = known.origin.model_copy(update={"copy_id": copy.id, "copy_region": forensic.region, "key_ids": keys})
        lock = known.lock if known.origin.copy_id == copy.id else {k: v for k, v in known.lock.items() if k != "copy"}
        if complete and "copy" not in lock:
            lock = {**lock, "copy": self._lock(forensic, copy.id)}
        if (origin, lock) != (known.origin, known.lock):
            self._recorder.save_evidence(known.model_copy(update={"origin": origin, "lock": lock}))
        if complete:
            found.complete.add(evidence.evidence_id)
        else:
            found.copies.append(copy.id)

    def _choose_route(self, evidence: DiskEvidence, original: Snapshot, *, failed: list[Snapshot]) -> CopyRoute:
        """Decide the route, grant the key when the route asks for it, and record both."""
        keys = self._accounts.source_keys
        key = keys.describe(original.kms_key_id) if original.encrypted and original.kms_key_id else None
        of_key = any("key" in s.message.lower() for s in failed)
        route = self._route(original, key, failed_before=of_key)
        if route.route is Route.GRANT and key:
            try:
                keys.grant(key.arn, principal=self._accounts.grantee, name=self._recorder.case_id)
                self._wait_for_grant(key.arn)
            except AccessDeniedError as error:
                log.warning("%s", error)
                route = self._route(original, key, failed_before=True)
        ids = _with_key(evidence.origin.key_ids, "snapshot", original)
        self._update(evidence.evidence_id, key_case=route.case, route=route.route, why=route.reason, key_ids=ids)
        messages = [f"copy {s.id} ended in error: {s.message or 'AWS gave no reason'}" for s in failed]
        line = "; ".join([f"{original.id} → {route.route.value}: {route.reason}", *messages])
        self._recorder.note(line[:900], kind=TimelineKind.EVIDENCE, evidence_id=evidence.evidence_id)
        return route

    def _wait_for_grant(self, arn: str) -> None:
        """Wait, once for each key, until the grant is in effect; where that cannot be seen the copy is tried all the same."""
        if arn in self._waited:
            return
        self._waited.add(arn)
        if not self._accounts.granted_keys.wait_until_granted(arn):
            log.warning(
                "the grant of %s to %s is not seen to be in effect; copying all the same", arn, self._accounts.grantee
            )

    def _route(self, original: Snapshot, key: KeyFacts | None, *, failed_before: bool) -> CopyRoute:
        return route_for(
            encrypted=original.encrypted,
            key=key,
            account_id=self._recorder.case.account_id,
            forensic_account_id=self._settings.forensic_account_id,
            failed_before=failed_before,
        )

    def _copy_in_account(self, evidence: DiskEvidence, original: Snapshot) -> Snapshot:
        """The copy in the target's own account under its forensic key: made once, locked when it is complete."""
        source = self._accounts.source
        key = self._accounts.source_keys.resolve(self._settings.member_key_alias)
        usable = [s for s in self._made(source, MEMBER_COPY_PURPOSE, original) if s.state != "error"]
        if usable:
            made = usable[0]
        else:
            before = self._before(MEMBER_COPY_PURPOSE, original)
            before.make(
                lambda: [
                    source.copy(
                        original.id,
                        source_region=source.region,
                        kms_key_id=key,
                        description=self._description(MEMBER_COPY_PURPOSE, original),
                        tags=self._tags(MEMBER_COPY_PURPOSE, original),
                    )
                ]
            )
            made = source.snapshots(before.ids()[-1:])[0]
        known = self._recorder.disk(evidence.evidence_id) or evidence
        if made.state == "completed" and known.origin.member_copy_id != made.id:
            lock = self._lock(source, made.id)
            keys = _with_key(known.origin.key_ids, "member_copy", made)
            origin = known.origin.model_copy(update={"member_copy_id": made.id, "key_ids": keys})
            self._recorder.save_evidence(
                known.model_copy(update={"origin": origin, "lock": {**known.lock, "member_copy": lock}})
            )
        return made

    def _lock(self, ebs: EbsGateway, snapshot_id: str) -> SnapshotLock:
        settings = self._settings
        return ebs.lock(
            snapshot_id,
            days=settings.retention_days,
            mode=settings.lock_mode,
            cool_off_hours=settings.snapshot_cool_off_hours,
        )

    def _evidence_key(self) -> str:
        """The forensic account's evidence key in the Region that the copies go to."""
        if self._accounts.forensic.region == self._settings.region:
            return self._settings.evidence_key_arn
        return self._accounts.forensic_keys.resolve(self._settings.evidence_key_alias)

    def _update(self, item: str, *, reason: str | None = None, **origin: object) -> None:
        """Record something about a disk's lineage; ``reason`` replaces the recorded one when it is given."""
        known = self._recorder.disk(item)
        if known is not None:
            update = {"origin": known.origin.model_copy(update=origin), "reason": reason or known.reason}
            self._recorder.save_evidence(known.model_copy(update=update))


def _with_key(known: Mapping[str, str], name: str, snapshot: Snapshot | None) -> dict[str, str]:
    """The recorded keys with that of a complete snapshot: until then EC2 may show the alias that was asked for."""
    others = {k: v for k, v in known.items() if k != name}
    return {**others, name: snapshot.kms_key_id} if snapshot and snapshot.kms_key_id else others


def may_be_share(failed: Sequence[Snapshot]) -> bool:
    """Whether copies of one snapshot may have failed only because its share had not spread when they began."""
    started = [s.started_at for s in failed if s.started_at]
    if len(failed) >= MOST_FAILED_COPIES or not started or any("key" in s.message.lower() for s in failed):
        return False
    return max(started) - min(started) < SHARE_SPREADS_WITHIN
