"""Disks: share the snapshots, copy them to the forensic account under its key, lock the copies (seed steps 6 and 7)."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from forensics.aws.desk import CaseDesk
from forensics.aws.ebs import EbsGateway, Snapshot, raise_if_failed
from forensics.domain.kms import CopyRoute, Route, destination, route_for
from forensics.domain.naming import TAG_CASE, TAG_PURPOSE, TAG_SOURCE, tags
from forensics.errors import AccessDeniedError, AwsError, ForensicsError, SnapshotError, ThrottledError
from forensics.hooks.session import AccountGateways
from forensics.models.case import Milestone, TimelineKind
from forensics.models.custody import CustodyAction, CustodyFacts
from forensics.models.evidence import Evidence, EvidenceKind, Outcome
from forensics.operators.base import ForensicOperator, Json
from forensics.operators.disk import fail_open_disks
from forensics.settings import names
from forensics.triggers.aws import QuotaPauseTrigger, SnapshotsCompletedTrigger

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

    The way follows the snapshot's key (``domain/kms.py``). The copy is the evidence that the investigation uses; the
    locked original stays in the target's account. Each look goes on from what AWS shows: a retry repeats nothing.
    """

    def act(self, desk: CaseDesk, context: Any) -> Json:
        """Start or go on with every disk, then wait for what is under way."""
        items = [e for e in desk.evidence(EvidenceKind.DISK) if "snapshot_id" in e.origin]
        if not items:
            msg = "there is no snapshot to copy"
            raise SnapshotError(msg, next_action="clear disk.snapshot_volumes")
        source = self.hook.account(self.hook.scope(desk.case, "acquire"))
        originals = source.ebs.snapshots([e.origin["snapshot_id"] for e in items])
        raise_if_failed(originals, what="snapshot")
        desk.milestone(Milestone.SNAPSHOTS_COMPLETE)
        by_id = {s.id: s for s in originals}
        left = _Round()
        for evidence in items:
            if evidence.outcome is Outcome.ACQUIRED:
                continue
            try:
                self._advance(desk, evidence, by_id[evidence.origin["snapshot_id"]], source=source, left=left)
            except ThrottledError as error:
                left.without_room.append(f"{evidence.evidence_id}: {error}")
            except AwsError as error:
                # One volume that cannot be shared or copied must not keep the others from being copied.
                self._save(desk, evidence.evidence_id, reason=str(error)[:1000])
                self.log.warning("%s: %s", evidence.evidence_id, error)
        self._wait_for(desk, left)
        return self._finish(desk, left.complete)

    def resume(self, desk: CaseDesk, payload: dict[str, Any], context: Any) -> Json:
        """Look again: what was awaited is there."""
        return self.act(desk, context)

    # ------------------------------------------------------------------ one disk
    def _advance(
        self, desk: CaseDesk, evidence: Evidence, original: Snapshot, *, source: AccountGateways, left: _Round
    ) -> None:
        own = self._own(desk).ebs
        marks = {TAG_CASE: desk.case_id, TAG_PURPOSE: COPY_PURPOSE, TAG_SOURCE: original.id}
        made = own.find_snapshots(tags=marks)
        failed = [s for s in made if s.state == "error"]
        usable = [s for s in made if s.state != "error"]
        if usable:
            self._took(desk, evidence, usable[0], own=own, left=left)
            return
        route = self._route(desk, evidence, original, source=source, failed=failed)
        if route.route is Route.BLOCKED:
            self._save(desk, evidence.evidence_id, reason=route.reason, next_action=route.next_action)
            return
        shared, settings = original, self.hook.settings
        if route.route is Route.REENCRYPT:
            again = self._in_account(
                desk, evidence, original, ebs=source.ebs, key=source.keys.resolve(settings.member_key_alias)
            )
            if again.state != "completed":
                left.in_account.append(again.id)
                return
            shared = again
        source.ebs.share(shared.id, account_id=settings.forensic_account_id)
        copy_id = own.copy(
            shared.id,
            source_region=desk.case.region,
            kms_key_id=self._evidence_key(desk),
            description=f"Forensic evidence of case {desk.case_id}: copy of {original.id}",
            tags=tags(desk.case_id, COPY_PURPOSE, source=original.id, volume=evidence.origin["volume_id"]),
        )
        self._took(desk, evidence, own.snapshots([copy_id])[0], own=own, left=left)

    def _took(self, desk: CaseDesk, evidence: Evidence, copy: Snapshot, *, own: EbsGateway, left: _Round) -> None:
        """Lock a copy (once) and note it; wait for it unless it is complete."""
        known = desk.evidence_item(evidence.evidence_id) or evidence
        if known.origin.get("copy_id") != copy.id or "copy" not in known.lock:
            lock = own.lock(copy.id, days=self.hook.settings.retention_days)
            origin = {**known.origin, "copy_id": copy.id, "copy_region": own.region}
            desk.save_evidence(known.model_copy(update={"origin": origin, "lock": {**known.lock, "copy": lock}}))
        if copy.state == "completed":
            left.complete.add(evidence.evidence_id)
        else:
            left.copies.append(copy.id)

    def _route(
        self,
        desk: CaseDesk,
        evidence: Evidence,
        original: Snapshot,
        *,
        source: AccountGateways,
        failed: list[Snapshot],
    ) -> CopyRoute:
        settings = self.hook.settings
        key = source.keys.describe(original.kms_key_id) if original.encrypted and original.kms_key_id else None
        facts = {"account_id": desk.case.account_id, "forensic_account_id": settings.forensic_account_id}
        of_key = any("key" in s.message.lower() for s in failed)
        route = route_for(encrypted=original.encrypted, key=key, failed_before=of_key, **facts)
        if route.route is Route.GRANT and key:
            try:
                grantee = self.hook.role_arn(self.hook.forensic_scope(desk.case_id))
                source.keys.grant(key.arn, principal=grantee, name=desk.case_id)
            except AccessDeniedError as error:
                self.log.warning("%s", error)
                route = route_for(encrypted=True, key=key, failed_before=True, **facts)
        messages = [f"copy {s.id} ended in error: {s.message or 'AWS gave no reason'}" for s in failed]
        self._save(desk, evidence.evidence_id, key_case=route.case.value, route=route.route.value, why=route.reason)
        said = "; ".join([f"{original.id} → {route.route.value}: {route.reason}", *messages])
        desk.note(said[:900], kind=TimelineKind.EVIDENCE, evidence_id=evidence.evidence_id)
        return route

    def _in_account(
        self, desk: CaseDesk, evidence: Evidence, original: Snapshot, *, ebs: EbsGateway, key: str
    ) -> Snapshot:
        """The copy in the target's own account under its forensic key: made once, locked while it is pending."""
        marks = {TAG_CASE: desk.case_id, TAG_PURPOSE: MEMBER_COPY_PURPOSE, TAG_SOURCE: original.id}
        found = [s for s in ebs.find_snapshots(tags=marks) if s.state != "error"]
        if found:
            made = found[0]
        else:
            made_id = ebs.copy(
                original.id,
                source_region=ebs.region,
                kms_key_id=key,
                description=f"Forensic evidence of case {desk.case_id}: {original.id} under the forensic key",
                tags=tags(desk.case_id, MEMBER_COPY_PURPOSE, source=original.id),
            )
            made = ebs.snapshots([made_id])[0]
        known = desk.evidence_item(evidence.evidence_id) or evidence
        if known.origin.get("member_copy_id") != made.id:
            lock = ebs.lock(made.id, days=self.hook.settings.retention_days)
            update = {
                "origin": {**known.origin, "member_copy_id": made.id},
                "lock": {**known.lock, "member_copy": lock},
            }
            desk.save_evidence(known.model_copy(update=update))
        return made

    def _own(self, desk: CaseDesk) -> AccountGateways:
        """The forensic account in the Region that the copies go to."""
        return self.hook.account(self._scope(desk))

    def _scope(self, desk: CaseDesk) -> Any:
        settings = self.hook.settings
        region = destination(desk.case.region, home=settings.region, may_leave=names(settings.cross_region_from))
        return self.hook.forensic_scope(desk.case_id, region=region)

    def _evidence_key(self, desk: CaseDesk) -> str:
        settings, region = self.hook.settings, self._scope(desk).region
        if region == settings.region:
            return settings.evidence_key_arn
        return self._own(desk).keys.resolve(settings.evidence_key_alias)

    def _save(self, desk: CaseDesk, item: str, *, reason: str | None = None, **origin: Any) -> None:
        known = desk.evidence_item(item)
        if known is not None:
            update = {"origin": {**known.origin, **origin}, "reason": reason or known.reason}
            desk.save_evidence(known.model_copy(update=update))

    # ------------------------------------------------------------------ all disks
    def _wait_for(self, desk: CaseDesk, left: _Round) -> None:
        """Defer until the next thing happens; returns when there is nothing to wait for."""
        timing = self.timing(self.hook.settings.snapshot_timeout_seconds)
        if left.in_account:
            scope = self.hook.scope(desk.case, "acquire").as_dict()
            self.wait(SnapshotsCompletedTrigger(scope=scope, snapshot_ids=sorted(left.in_account), **timing))
        if left.without_room and not left.copies:
            desk.note(f"waiting for room in a quota: {'; '.join(left.without_room)[:600]}", kind=TimelineKind.EVIDENCE)
            until = datetime.now(UTC).timestamp() + random.uniform(*QUOTA_PAUSE)
            self.wait(QuotaPauseTrigger(until=until, **timing))
        if left.copies:
            scope = self._scope(desk).as_dict()
            self.wait(SnapshotsCompletedTrigger(scope=scope, snapshot_ids=sorted(left.copies), **timing))

    def _finish(self, desk: CaseDesk, complete: set[str]) -> Json:
        """Acquired is a disk whose copy this look has seen complete; a copy id on record may be that of a failed one."""
        now = datetime.now(UTC)
        for evidence in desk.evidence(EvidenceKind.DISK):
            if evidence.evidence_id in complete:
                self._acquired(desk, evidence, now)
        items = [e for e in desk.evidence(EvidenceKind.DISK) if e.outcome is Outcome.ACQUIRED and "copy_id" in e.origin]
        if items:
            desk.milestone(Milestone.COPIES_COMPLETE, now)
            desk.sign_ledger("disk")
            self._announce(desk, items)
        self._raise_uncopied(desk)
        return {"copies": [e.origin["copy_id"] for e in items]}

    def _acquired(self, desk: CaseDesk, evidence: Evidence, now: datetime) -> None:
        origin, account = evidence.origin, self.hook.settings.forensic_account_id
        uri = f"arn:aws:ec2:{origin['copy_region']}:{account}:snapshot/{origin['copy_id']}"
        kept = ("volume_id", "snapshot_id", "member_copy_id", "copy_id", "device", "key_case", "route")
        # The ledger first: a kill between the two repeats the step without a double entry.
        desk.custody(
            CustodyAction.EVIDENCE_ACQUIRED,
            evidence_id=evidence.evidence_id,
            detail={k: origin[k] for k in kept if k in origin},
            facts=CustodyFacts(
                moved_from=f"account {desk.case.account_id}, {desk.case.region}, {origin['snapshot_id']}", moved_to=uri
            ),
            once=f"acquired-{origin['copy_id']}",
        )
        desk.custody(
            CustodyAction.EVIDENCE_LOCKED,
            evidence_id=evidence.evidence_id,
            detail={"snapshot_id": origin["copy_id"], "lock": evidence.lock.get("copy", {})},
            once=f"locked-{origin['copy_id']}",
        )
        done = {"outcome": Outcome.ACQUIRED, "reason": None, "ended_at": now, "uri": uri}
        desk.save_evidence(evidence.model_copy(update=done))
        desk.note(
            f"{origin['volume_id']} acquired: copy {origin['copy_id']} complete",
            kind=TimelineKind.EVIDENCE,
            evidence_id=evidence.evidence_id,
        )

    def _announce(self, desk: CaseDesk, items: list[Evidence]) -> None:
        desk.announce(
            "disks_acquired",
            f"Disks acquired: {len(items)} volumes",
            lines=[
                f"{e.origin['volume_id']} ({e.origin['device']}): snapshot {e.origin['snapshot_id']}, copy {e.origin['copy_id']}"
                for e in items
            ],
            facts={"copies": [e.origin["copy_id"] for e in items]},
        )

    def _raise_uncopied(self, desk: CaseDesk) -> None:
        left = [
            e
            for e in desk.evidence(EvidenceKind.DISK)
            if "snapshot_id" in e.origin and e.outcome is not Outcome.ACQUIRED
        ]
        if left:
            named = "; ".join(f"{e.origin['volume_id']}: {e.reason}" for e in left)
            actions = [str(e.origin["next_action"]) for e in left if e.origin.get("next_action")]
            raise SnapshotError(
                f"not copied to the forensic account: {named}",
                next_action="; ".join(dict.fromkeys(actions))
                or "give the forensic account access to the volume's KMS key, then clear this task",
            )

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """A copy that fails or never ends."""
        return SnapshotError(cause, next_action=next_action or None)

    def on_final_failure(self, desk: CaseDesk, cause: str) -> None:
        """No disk without a complete copy is called acquired."""
        fail_open_disks(desk, cause)
