"""Disks: one crash-consistent snapshot set, locked while it is pending (seed step 6, disk flow)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.ebs import EbsGateway, Snapshot
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.disk.triggers import SnapshotsCompletedTrigger
from forensics.errors import AwsError, ForensicsError, SnapshotError
from forensics.models.case import Milestone, TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.evidence import DiskEvidence, DiskOrigin, EvidenceKind, Outcome
from forensics.models.target import Target
from forensics.naming import TAG_CASE, TAG_PURPOSE, evidence_id, tags

PURPOSE = "evidence-snapshot"


class SnapshotVolumesOperator(ForensicOperator):
    """Snapshot all volumes with one CreateSnapshots, lock each snapshot while it is pending, wait for completion.

    A retry finds the set that an earlier try made, by its case tag; snapshots that ended in error are taken again.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Start (or find) the set and wait."""
        plan, target = recorder.plan(), recorder.target()
        if plan is None or target is None:
            msg = "there is no response plan: triage did not end"
            raise AirflowSkipException(msg)
        if not plan.disk.go:
            self._not_taken(recorder, target)
        account = self.sessions.target("acquire")
        found = self._usable(
            EbsGateway.of(account).find_snapshots(tags={TAG_CASE: recorder.case_id, TAG_PURPOSE: PURPOSE})
        )
        if not {v.id for v in target.volumes} <= {s.volume_id for s in found}:
            found = EbsGateway.of(account).create_snapshots(
                recorder.case.instance_id,
                description=f"Forensic evidence of case {recorder.case_id}",
                tags=tags(recorder.case_id, PURPOSE, instance=recorder.case.instance_id),
            )
        recorder.milestone(Milestone.SNAPSHOTS_STARTED)
        locks = {s.id: EbsGateway.of(account).lock(s.id, days=self.settings.retention_days).model_dump() for s in found}
        self._record(recorder, target, found, locks)
        self._instance_store(recorder, target, EbsGateway.of(account))
        scope = self.sessions.target_scope("acquire").as_dict()
        ids = sorted(s.id for s in found)
        timing = self.timing(self.settings.snapshot_timeout_seconds, ends_task=True)
        self.wait(SnapshotsCompletedTrigger(scope=scope, snapshot_ids=ids, **timing))
        return None

    def _usable(self, found: list[Snapshot]) -> list[Snapshot]:
        """The newest snapshot of each volume that has not failed."""
        newest: dict[str, Snapshot] = {}
        for snapshot in sorted((s for s in found if s.state != "error"), key=lambda s: str(s.started_at)):
            newest[snapshot.volume_id] = snapshot
        return list(newest.values())

    def _not_taken(self, recorder: CaseRecorder, target: Target) -> None:
        plan = recorder.plan()
        reason = "; ".join(plan.disk.reasons) if plan else "no plan"
        outcome = Outcome.NOT_APPLICABLE if plan and plan.disk.wanted else Outcome.SKIPPED
        for subject in [v.id for v in target.volumes] or [recorder.case.instance_id]:
            item = evidence_id(EvidenceKind.DISK, subject)
            if recorder.evidence_item(item) is None:
                recorder.fail_evidence(
                    DiskEvidence(evidence_id=item, outcome=outcome),
                    reason=reason,
                    outcome=outcome,
                )
        raise AirflowSkipException(f"disks are not acquired: {reason}")

    def _record(
        self, recorder: CaseRecorder, target: Target, found: list[Snapshot], locks: dict[str, dict[str, Any]]
    ) -> None:
        volumes = {v.id: v for v in target.volumes}
        for snapshot in found:
            item = evidence_id(EvidenceKind.DISK, snapshot.volume_id)
            earlier = recorder.evidence_item(item)
            if earlier and earlier.outcome is Outcome.ACQUIRED:
                continue
            volume = volumes.get(snapshot.volume_id)
            recorder.save_evidence(
                DiskEvidence(
                    evidence_id=item,
                    outcome=Outcome.PENDING,
                    account_id=recorder.case.account_id,
                    region=recorder.case.region,
                    started_at=snapshot.started_at or datetime.now(UTC),
                    origin=DiskOrigin(
                        volume_id=snapshot.volume_id,
                        device=volume.device if volume else "",
                        size_gib=snapshot.size_gib,
                        snapshot_id=snapshot.id,
                        encrypted=snapshot.encrypted,
                        consistency="crash-consistent set",
                    ),
                    lock={"snapshot": locks[snapshot.id]},
                )
            )
            recorder.custody(
                CustodyAction.EVIDENCE_LOCKED,
                evidence_id=item,
                detail={
                    "snapshot_id": snapshot.id,
                    "volume_id": snapshot.volume_id,
                    "lock": locks[snapshot.id],
                },
                once=f"locked-{snapshot.id}",
            )
            recorder.note(
                f"snapshot {snapshot.id} of {snapshot.volume_id} started and locked",
                kind=TimelineKind.EVIDENCE,
                evidence_id=item,
            )

    def _instance_store(self, recorder: CaseRecorder, target: Target, ebs: EbsGateway) -> None:
        """Say what no snapshot can hold: the instance store is lost when the instance stops (R1)."""
        item = evidence_id(EvidenceKind.DISK, f"{recorder.case.instance_id}-store")
        if recorder.evidence_item(item) is not None:
            return
        try:
            size = ebs.instance_store_gb(target.instance_type)
        except AwsError as error:
            recorder.note(f"whether {target.instance_type} has an instance store is not known: {error}"[:600])
            return
        if size:
            recorder.fail_evidence(
                DiskEvidence(evidence_id=item, outcome=Outcome.NOT_APPLICABLE),
                reason=f"the instance store ({size} GB of {target.instance_type}) cannot be snapshotted: its content was "
                "not acquired and is lost when the instance stops or is terminated; do not stop it before it is copied by hand",
                outcome=Outcome.NOT_APPLICABLE,
            )

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """A snapshot that fails or never ends."""
        return SnapshotError(cause, next_action=next_action or None)

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """No disk is called acquired."""
        fail_open_disks(recorder, cause)


def fail_open_disks(recorder: CaseRecorder, cause: str) -> None:
    """Mark every disk that is not acquired as failed; when none was started, one for the instance."""
    items = recorder.evidence(EvidenceKind.DISK)
    if not items:
        target = recorder.target()
        subjects = [v.id for v in target.volumes] if target else [recorder.case.instance_id]
        items = [DiskEvidence(evidence_id=evidence_id(EvidenceKind.DISK, s), outcome=Outcome.PENDING) for s in subjects]
    for evidence in items:
        if evidence.outcome is Outcome.PENDING:
            recorder.fail_evidence(evidence, reason=cause)
