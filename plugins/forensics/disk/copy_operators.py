"""Disks: share the snapshots, copy them to the forensic account under its key, lock the copies (seed steps 6 and 7)."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Context

from forensics.aws.ebs import EbsGateway, Snapshot, raise_if_failed
from forensics.aws.kms import KeyGateway
from forensics.aws.session import AwsSession
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.disk.kms_rules import CopyRoute, Route, destination, route_for
from forensics.disk.snapshot_operators import fail_open_disks
from forensics.disk.triggers import QuotaPauseTrigger, SnapshotsCompletedTrigger
from forensics.errors import AccessDeniedError, AwsError, ForensicsError, SnapshotError, ThrottledError
from forensics.models.case import Milestone, TimelineKind
from forensics.models.custody import CustodyAction, CustodyFacts
from forensics.models.evidence import DiskEvidence, Outcome
from forensics.naming import TAG_CASE, TAG_PURPOSE, TAG_SOURCE, tags
from forensics.settings import names

COPY_PURPOSE = "evidence-copy"
MEMBER_COPY_PURPOSE = "evidence-member-copy"
QUOTA_PAUSE = (20.0, 60.0)  # seconds; spread, so that cases that wait for the same quota do not ask at once


@dataclass
class _Round:
    """What one look at all disks of the case showed: what is complete (evidence ids), and what it left open."""

    complete: set[str] = field(default_factory=set)
    in_account: list[str] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)
    without_room: list[str] = field(default_factory=list)


class CopySnapshotsOperator(ForensicOperator):
    """Share the snapshots with the forensic account, copy them there under its key, lock the copies.

    The way follows the snapshot's key (``disk/kms_rules.py``). The copy is the evidence that the investigation uses; the
    locked original stays in the target's account. Each look goes on from what AWS shows: a retry repeats nothing.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Start or go on with every disk, then wait for what is under way."""
        items = [e for e in recorder.disks() if e.origin.snapshot_id]
        if not items:
            msg = "there is no snapshot to copy"
            raise SnapshotError(msg, next_action="clear disk.snapshot_volumes")
        source = self.sessions.target("acquire")
        originals = EbsGateway.of(source).snapshots([str(e.origin.snapshot_id) for e in items])
        raise_if_failed(originals, what="snapshot")
        recorder.milestone(Milestone.SNAPSHOTS_COMPLETE)
        by_id = {s.id: s for s in originals}
        left = _Round()
        for evidence in items:
            if evidence.outcome is Outcome.ACQUIRED:
                continue
            try:
                self._advance(recorder, evidence, by_id[str(evidence.origin.snapshot_id)], source=source, left=left)
            except ThrottledError as error:
                left.without_room.append(f"{evidence.evidence_id}: {error}")
            except AwsError as error:
                # One volume that cannot be shared or copied must not keep the others from being copied.
                self._save(recorder, evidence.evidence_id, reason=str(error)[:1000])
                self.log.warning("%s: %s", evidence.evidence_id, error)
        self._wait_for(recorder, left)
        return self._finish(recorder, left.complete)

    def resume(self, recorder: CaseRecorder, payload: dict[str, Any], context: Context) -> Json:
        """Look again: what was awaited is there."""
        return self.act(recorder, context)

    # ------------------------------------------------------------------ one disk
    def _advance(
        self, recorder: CaseRecorder, evidence: DiskEvidence, original: Snapshot, *, source: AwsSession, left: _Round
    ) -> None:
        own = EbsGateway.of(self._own(recorder))
        marks = {TAG_CASE: recorder.case_id, TAG_PURPOSE: COPY_PURPOSE, TAG_SOURCE: original.id}
        made = own.find_snapshots(tags=marks)
        failed = [s for s in made if s.state == "error"]
        usable = [s for s in made if s.state != "error"]
        if usable:
            self._took(recorder, evidence, usable[0], own=own, left=left)
            return
        route = self._route(recorder, evidence, original, source=source, failed=failed)
        if route.route is Route.BLOCKED:
            self._save(recorder, evidence.evidence_id, reason=route.reason, next_action=route.next_action)
            return
        shared, settings = original, self.settings
        if route.route is Route.REENCRYPT:
            again = self._in_account(
                recorder,
                evidence,
                original,
                ebs=EbsGateway.of(source),
                key=KeyGateway.of(source).resolve(settings.member_key_alias),
            )
            if again.state != "completed":
                left.in_account.append(again.id)
                return
            shared = again
        EbsGateway.of(source).share(shared.id, account_id=settings.forensic_account_id)
        copy_id = own.copy(
            shared.id,
            source_region=recorder.case.region,
            kms_key_id=self._evidence_key(recorder),
            description=f"Forensic evidence of case {recorder.case_id}: copy of {original.id}",
            tags=tags(recorder.case_id, COPY_PURPOSE, source=original.id, volume=str(evidence.origin.volume_id)),
        )
        self._took(recorder, evidence, own.snapshots([copy_id])[0], own=own, left=left)

    def _took(
        self, recorder: CaseRecorder, evidence: DiskEvidence, copy: Snapshot, *, own: EbsGateway, left: _Round
    ) -> None:
        """Lock a copy (once) and note it; wait for it unless it is complete."""
        known = recorder.disk(evidence.evidence_id) or evidence
        if known.origin.copy_id != copy.id or "copy" not in known.lock:
            lock = own.lock(copy.id, days=self.settings.retention_days).model_dump()
            origin = known.origin.model_copy(update={"copy_id": copy.id, "copy_region": own.region})
            recorder.save_evidence(known.model_copy(update={"origin": origin, "lock": {**known.lock, "copy": lock}}))
        if copy.state == "completed":
            left.complete.add(evidence.evidence_id)
        else:
            left.copies.append(copy.id)

    def _route(
        self,
        recorder: CaseRecorder,
        evidence: DiskEvidence,
        original: Snapshot,
        *,
        source: AwsSession,
        failed: list[Snapshot],
    ) -> CopyRoute:
        settings = self.settings
        key = (
            KeyGateway.of(source).describe(original.kms_key_id) if original.encrypted and original.kms_key_id else None
        )
        facts = {"account_id": recorder.case.account_id, "forensic_account_id": settings.forensic_account_id}
        of_key = any("key" in s.message.lower() for s in failed)
        route = route_for(encrypted=original.encrypted, key=key, failed_before=of_key, **facts)
        if route.route is Route.GRANT and key:
            try:
                grantee = self.sessions.role_arn(self.sessions.forensic_scope())
                KeyGateway.of(source).grant(key.arn, principal=grantee, name=recorder.case_id)
            except AccessDeniedError as error:
                self.log.warning("%s", error)
                route = route_for(encrypted=True, key=key, failed_before=True, **facts)
        messages = [f"copy {s.id} ended in error: {s.message or 'AWS gave no reason'}" for s in failed]
        self._save(recorder, evidence.evidence_id, key_case=route.case.value, route=route.route.value, why=route.reason)
        said = "; ".join([f"{original.id} → {route.route.value}: {route.reason}", *messages])
        recorder.note(said[:900], kind=TimelineKind.EVIDENCE, evidence_id=evidence.evidence_id)
        return route

    def _in_account(
        self, recorder: CaseRecorder, evidence: DiskEvidence, original: Snapshot, *, ebs: EbsGateway, key: str
    ) -> Snapshot:
        """The copy in the target's own account under its forensic key: made once, locked while it is pending."""
        marks = {TAG_CASE: recorder.case_id, TAG_PURPOSE: MEMBER_COPY_PURPOSE, TAG_SOURCE: original.id}
        found = [s for s in ebs.find_snapshots(tags=marks) if s.state != "error"]
        if found:
            made = found[0]
        else:
            made_id = ebs.copy(
                original.id,
                source_region=ebs.region,
                kms_key_id=key,
                description=f"Forensic evidence of case {recorder.case_id}: {original.id} under the forensic key",
                tags=tags(recorder.case_id, MEMBER_COPY_PURPOSE, source=original.id),
            )
            made = ebs.snapshots([made_id])[0]
        known = recorder.disk(evidence.evidence_id) or evidence
        if known.origin.member_copy_id != made.id:
            lock = ebs.lock(made.id, days=self.settings.retention_days).model_dump()
            update = {
                "origin": known.origin.model_copy(update={"member_copy_id": made.id}),
                "lock": {**known.lock, "member_copy": lock},
            }
            recorder.save_evidence(known.model_copy(update=update))
        return made

    def _own(self, recorder: CaseRecorder) -> AwsSession:
        """The forensic account in the Region that the copies go to."""
        return self.sessions.forensic(region=self._scope(recorder).region)

    def _scope(self, recorder: CaseRecorder) -> Any:
        settings = self.settings
        region = destination(recorder.case.region, home=settings.region, may_leave=names(settings.cross_region_from))
        return self.sessions.forensic_scope(region=region)

    def _evidence_key(self, recorder: CaseRecorder) -> str:
        settings, region = self.settings, self._scope(recorder).region
        if region == settings.region:
            return settings.evidence_key_arn
        return KeyGateway.of(self._own(recorder)).resolve(settings.evidence_key_alias)

    def _save(self, recorder: CaseRecorder, item: str, *, reason: str | None = None, **origin: Any) -> None:
        known = recorder.disk(item)
        if known is not None:
            update = {"origin": known.origin.model_copy(update=origin), "reason": reason or known.reason}
            recorder.save_evidence(known.model_copy(update=update))

    # ------------------------------------------------------------------ all disks
    def _wait_for(self, recorder: CaseRecorder, left: _Round) -> None:
        """Defer until the next thing happens; returns when there is nothing to wait for."""
        timing = self.timing(self.settings.snapshot_timeout_seconds)
        if left.in_account:
            scope = self.sessions.target_scope("acquire").as_dict()
            self.wait(SnapshotsCompletedTrigger(scope=scope, snapshot_ids=sorted(left.in_account), **timing))
        if left.without_room and not left.copies:
            recorder.note(
                f"waiting for room in a quota: {'; '.join(left.without_room)[:600]}", kind=TimelineKind.EVIDENCE
            )
            until = datetime.now(UTC).timestamp() + random.uniform(*QUOTA_PAUSE)
            self.wait(QuotaPauseTrigger(until=until, **timing))
        if left.copies:
            scope = self._scope(recorder).as_dict()
            self.wait(SnapshotsCompletedTrigger(scope=scope, snapshot_ids=sorted(left.copies), **timing))

    def _finish(self, recorder: CaseRecorder, complete: set[str]) -> Json:
        """Acquired is a disk whose copy this look has seen complete; a copy id on record may be that of a failed one."""
        now = datetime.now(UTC)
        for evidence in recorder.disks():
            if evidence.evidence_id in complete:
                self._acquired(recorder, evidence, now)
        items = [e for e in recorder.disks() if e.outcome is Outcome.ACQUIRED and e.origin.copy_id]
        if items:
            recorder.milestone(Milestone.COPIES_COMPLETE, now)
            recorder.sign_ledger("disk")
            self._announce(recorder, items)
        self._raise_uncopied(recorder)
        return {"copies": [e.origin.copy_id for e in items]}

    def _acquired(self, recorder: CaseRecorder, evidence: DiskEvidence, now: datetime) -> None:
        origin, account = evidence.origin, self.settings.forensic_account_id
        uri = f"arn:aws:ec2:{origin.copy_region}:{account}:snapshot/{origin.copy_id}"
        kept = ("volume_id", "snapshot_id", "member_copy_id", "copy_id", "device", "key_case", "route")
        # The ledger first: a kill between the two repeats the step without a double entry.
        recorder.custody(
            CustodyAction.EVIDENCE_ACQUIRED,
            evidence_id=evidence.evidence_id,
            detail={k: v for k, v in origin.stated().items() if k in kept},
            facts=CustodyFacts(
                moved_from=f"account {recorder.case.account_id}, {recorder.case.region}, {origin.snapshot_id}",
                moved_to=uri,
            ),
            once=f"acquired-{origin.copy_id}",
        )
        recorder.custody(
            CustodyAction.EVIDENCE_LOCKED,
            evidence_id=evidence.evidence_id,
            detail={"snapshot_id": origin.copy_id, "lock": evidence.lock.get("copy", {})},
            once=f"locked-{origin.copy_id}",
        )
        done = {"outcome": Outcome.ACQUIRED, "reason": None, "ended_at": now, "uri": uri}
        recorder.save_evidence(evidence.model_copy(update=done))
        recorder.note(
            f"{origin.volume_id} acquired: copy {origin.copy_id} complete",
            kind=TimelineKind.EVIDENCE,
            evidence_id=evidence.evidence_id,
        )

    def _announce(self, recorder: CaseRecorder, items: list[DiskEvidence]) -> None:
        recorder.announce(
            "disks_acquired",
            f"Disks acquired: {len(items)} volumes",
            lines=[
                f"{e.origin.volume_id} ({e.origin.device}): snapshot {e.origin.snapshot_id}, copy {e.origin.copy_id}"
                for e in items
            ],
            facts={"copies": [e.origin.copy_id for e in items]},
        )

    def _raise_uncopied(self, recorder: CaseRecorder) -> None:
        left = [e for e in recorder.disks() if e.origin.snapshot_id and e.outcome is not Outcome.ACQUIRED]
        if left:
            named = "; ".join(f"{e.origin.volume_id}: {e.reason}" for e in left)
            actions = [str(e.origin.next_action) for e in left if e.origin.next_action]
            raise SnapshotError(
                f"not copied to the forensic account: {named}",
                next_action="; ".join(dict.fromkeys(actions))
                or "give the forensic account access to the volume's KMS key, then clear this task",
            )

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """A copy that fails or never ends."""
        return SnapshotError(cause, next_action=next_action or None)

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """No disk without a complete copy is called acquired."""
        fail_open_disks(recorder, cause)
