"""Disks: one crash-consistent snapshot set, locked, copied to the forensic account (seed step 6, disk flow)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.desk import CaseDesk
from forensics.aws.ebs import EbsGateway, Snapshot, raise_if_failed
from forensics.domain.naming import TAG_CASE, TAG_PURPOSE, TAG_SOURCE, evidence_id, tags
from forensics.errors import AwsError, ForensicsError, SnapshotError
from forensics.models.case import Milestone, TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Evidence, EvidenceKind, Outcome
from forensics.models.target import Target
from forensics.operators.base import ForensicOperator, Json
from forensics.triggers.aws import SnapshotsCompletedTrigger

PURPOSE = "evidence-snapshot"
COPY_PURPOSE = "evidence-copy"


class SnapshotVolumesOperator(ForensicOperator):
    """Snapshot all volumes with one CreateSnapshots, lock each snapshot while it is pending, wait for completion.

    A retry finds the set that an earlier try made, by its case tag; snapshots that ended in error are taken again.
    """

    def act(self, desk: CaseDesk, context: Any) -> Json:
        """Start (or find) the set and wait."""
        plan, target = desk.plan(), desk.target()
        if plan is None or target is None:
            msg = "there is no response plan: triage did not end"
            raise AirflowSkipException(msg)
        if not plan.disk.go:
            self._not_taken(desk, target)
        account = self.hook.account(self.hook.scope(desk.case, "acquire"))
        found = self._usable(account.ebs.find_snapshots(tags={TAG_CASE: desk.case_id, TAG_PURPOSE: PURPOSE}))
        if not {v.id for v in target.volumes} <= {s.volume_id for s in found}:
            found = account.ebs.create_snapshots(
                desk.case.instance_id,
                description=f"Forensic evidence of case {desk.case_id}",
                tags=tags(desk.case_id, PURPOSE, instance=desk.case.instance_id),
            )
        desk.milestone(Milestone.SNAPSHOTS_STARTED)
        locks = {s.id: account.ebs.lock(s.id, days=self.hook.settings.retention_days) for s in found}
        self._record(desk, target, found, locks)
        scope = self.hook.scope(desk.case, "acquire").as_dict()
        ids = sorted(s.id for s in found)
        timing = self.timing(self.hook.settings.snapshot_timeout_seconds, ends_task=True)
        self.wait(SnapshotsCompletedTrigger(scope=scope, snapshot_ids=ids, **timing))
        return None

    def _usable(self, found: list[Snapshot]) -> list[Snapshot]:
        """The newest snapshot of each volume that has not failed."""
        newest: dict[str, Snapshot] = {}
        for snapshot in sorted((s for s in found if s.state != "error"), key=lambda s: str(s.started_at)):
            newest[snapshot.volume_id] = snapshot
        return list(newest.values())

    def _not_taken(self, desk: CaseDesk, target: Target) -> None:
        plan = desk.plan()
        reason = "; ".join(plan.disk.reasons) if plan else "no plan"
        outcome = Outcome.NOT_APPLICABLE if plan and plan.disk.wanted else Outcome.SKIPPED
        for subject in [v.id for v in target.volumes] or [desk.case.instance_id]:
            item = evidence_id(EvidenceKind.DISK, subject)
            if desk.evidence_item(item) is None:
                desk.fail_evidence(
                    Evidence(evidence_id=item, kind=EvidenceKind.DISK, outcome=outcome),
                    reason=reason,
                    outcome=outcome,
                )
        raise AirflowSkipException(f"disks are not acquired: {reason}")

    def _record(self, desk: CaseDesk, target: Target, found: list[Snapshot], locks: dict[str, dict[str, Any]]) -> None:
        volumes = {v.id: v for v in target.volumes}
        for snapshot in found:
            item = evidence_id(EvidenceKind.DISK, snapshot.volume_id)
            earlier = desk.evidence_item(item)
            if earlier and earlier.outcome is Outcome.ACQUIRED:
                continue
            volume = volumes.get(snapshot.volume_id)
            desk.save_evidence(
                Evidence(
                    evidence_id=item,
                    kind=EvidenceKind.DISK,
                    outcome=Outcome.PENDING,
                    account_id=desk.case.account_id,
                    region=desk.case.region,
                    started_at=snapshot.started_at or datetime.now(UTC),
                    origin={
                        "volume_id": snapshot.volume_id,
                        "device": volume.device if volume else "",
                        "size_gib": snapshot.size_gib,
                        "snapshot_id": snapshot.id,
                        "encrypted": snapshot.encrypted,
                        "consistency": "crash-consistent set",
                    },
                    lock={"snapshot": locks[snapshot.id]},
                )
            )
            desk.custody(
                CustodyAction.EVIDENCE_LOCKED,
                evidence_id=item,
                detail={
                    "snapshot_id": snapshot.id,
                    "volume_id": snapshot.volume_id,
                    "lock": locks[snapshot.id],
                },
                once=f"locked-{snapshot.id}",
            )
            desk.note(
                f"snapshot {snapshot.id} of {snapshot.volume_id} started and locked",
                kind=TimelineKind.EVIDENCE,
                evidence_id=item,
            )

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """A snapshot that fails or never ends."""
        return SnapshotError(cause, next_action=next_action or None)

    def on_final_failure(self, desk: CaseDesk, cause: str) -> None:
        """No disk is called acquired."""
        fail_open_disks(desk, cause)


class CopySnapshotsOperator(ForensicOperator):
    """Share the snapshots with the forensic account, copy them there under its key, lock the copies.

    The copy is the evidence that the investigation uses; the locked original stays in the target's account.
    """

    def act(self, desk: CaseDesk, context: Any) -> Json:
        """Share, copy (once), wait."""
        items = [e for e in desk.evidence(EvidenceKind.DISK) if "snapshot_id" in e.origin]
        if not items:
            msg = "there is no snapshot to copy"
            raise SnapshotError(msg, next_action="clear disk.snapshot_volumes")
        source = self.hook.account(self.hook.scope(desk.case, "acquire")).ebs
        raise_if_failed(source.snapshots([e.origin["snapshot_id"] for e in items]), what="snapshot")
        desk.milestone(Milestone.SNAPSHOTS_COMPLETE)
        own = self.hook.account(self.hook.forensic_scope(desk.case_id)).ebs
        copies = []
        for evidence in items:
            try:
                copies.append(self._copy(desk, evidence, source=source, own=own))
            except AwsError as error:
                # One volume that cannot be shared or copied must not keep the others from being copied.
                desk.save_evidence(evidence.model_copy(update={"reason": str(error)[:1000]}))
                self.log.warning("%s: %s", evidence.evidence_id, error)
        if not copies:
            self._raise_uncopied(desk)
        scope = self.hook.forensic_scope(desk.case_id).as_dict()
        self.wait(
            SnapshotsCompletedTrigger(
                scope=scope,
                snapshot_ids=sorted(copies),
                **self.timing(self.hook.settings.snapshot_timeout_seconds),
            )
        )
        return None

    def _copy(self, desk: CaseDesk, evidence: Evidence, *, source: EbsGateway, own: EbsGateway) -> str:
        origin_id = evidence.origin["snapshot_id"]
        marks = {TAG_CASE: desk.case_id, TAG_PURPOSE: COPY_PURPOSE, TAG_SOURCE: origin_id}
        found = [s for s in own.find_snapshots(tags=marks) if s.state != "error"]
        if found:
            copy_id = found[0].id
        else:
            source.share(origin_id, account_id=self.hook.settings.forensic_account_id)
            copy_id = own.copy(
                origin_id,
                source_region=desk.case.region,
                kms_key_id=self.hook.settings.evidence_key_arn,
                description=f"Forensic evidence of case {desk.case_id}: copy of {origin_id}",
                tags=tags(desk.case_id, COPY_PURPOSE, source=origin_id, volume=evidence.origin["volume_id"]),
            )
        lock = own.lock(copy_id, days=self.hook.settings.retention_days)
        desk.save_evidence(
            evidence.model_copy(
                update={
                    "origin": {**evidence.origin, "copy_id": copy_id},
                    "lock": {**evidence.lock, "copy": lock},
                }
            )
        )
        return copy_id

    def resume(self, desk: CaseDesk, payload: dict[str, Any], context: Any) -> Json:
        """All copies are complete: the disks are acquired."""
        now = datetime.now(UTC)
        settings = self.hook.settings
        items = [e for e in desk.evidence(EvidenceKind.DISK) if "copy_id" in e.origin]
        for evidence in items:
            if evidence.outcome is Outcome.ACQUIRED:
                continue
            # The ledger first: a kill between the two repeats the step without a double entry.
            uri = f"arn:aws:ec2:{settings.region}:{settings.forensic_account_id}:snapshot/{evidence.origin['copy_id']}"
            desk.custody(
                CustodyAction.EVIDENCE_ACQUIRED,
                evidence_id=evidence.evidence_id,
                detail={k: evidence.origin[k] for k in ("volume_id", "snapshot_id", "copy_id", "device")},
                once=f"acquired-{evidence.origin['copy_id']}",
            )
            desk.save_evidence(
                evidence.model_copy(update={"outcome": Outcome.ACQUIRED, "reason": None, "ended_at": now, "uri": uri})
            )
            desk.note(
                f"{evidence.origin['volume_id']} acquired: copy {evidence.origin['copy_id']} complete",
                kind=TimelineKind.EVIDENCE,
                evidence_id=evidence.evidence_id,
            )
        desk.milestone(Milestone.COPIES_COMPLETE, now)
        desk.sign_ledger("disk")
        desk.announce(
            "disks_acquired",
            f"Disks acquired: {len(items)} volumes",
            lines=[
                f"{e.origin['volume_id']} ({e.origin['device']}): snapshot {e.origin['snapshot_id']}, copy {e.origin['copy_id']}"
                for e in items
            ],
            facts={"copies": [e.origin["copy_id"] for e in items]},
        )
        self._raise_uncopied(desk)
        return {"copies": [e.origin["copy_id"] for e in items]}

    def _raise_uncopied(self, desk: CaseDesk) -> None:
        left = [e for e in desk.evidence(EvidenceKind.DISK) if "snapshot_id" in e.origin and "copy_id" not in e.origin]
        if left:
            named = "; ".join(f"{e.origin['volume_id']}: {e.reason}" for e in left)
            raise SnapshotError(
                f"not copied to the forensic account: {named}",
                next_action="give the forensic account access to the volume's KMS key, then clear this task",
            )

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """A copy that fails or never ends."""
        return SnapshotError(cause, next_action=next_action or None)

    def on_final_failure(self, desk: CaseDesk, cause: str) -> None:
        """No disk without a complete copy is called acquired."""
        fail_open_disks(desk, cause)


def fail_open_disks(desk: CaseDesk, cause: str) -> None:
    """Mark every disk that is not acquired as failed; when none was started, one for the instance."""
    items = desk.evidence(EvidenceKind.DISK)
    if not items:
        target = desk.target()
        subjects = [v.id for v in target.volumes] if target else [desk.case.instance_id]
        items = [
            Evidence(evidence_id=evidence_id(EvidenceKind.DISK, s), kind=EvidenceKind.DISK, outcome=Outcome.PENDING)
            for s in subjects
        ]
    for evidence in items:
        if evidence.outcome is Outcome.PENDING:
            desk.fail_evidence(evidence, reason=cause)
