"""Step of the disk flow: snapshot all volumes of the target, or copy the snapshots of an artifact."""

from __future__ import annotations

from collections.abc import Mapping

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.ebs import EbsGateway
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.disk.artifact_snapshots import ArtifactAccount, ArtifactSnapshots
from forensics.disk.snapshot_set import (
    SnapshotSet,
    disk_subjects,
    disks_again,
    fail_pending_disks,
    record_not_acquired,
)
from forensics.disk.triggers import SnapshotsCompletedTrigger
from forensics.errors import ForensicsError, SnapshotError
from forensics.models.artifact import ArtifactDescription
from forensics.models.target import Target


class SnapshotVolumesOperator(ForensicOperator):
    """Snapshot all volumes with one CreateSnapshots, lock each snapshot while it is pending, wait for completion.

    In the case of an artifact its snapshots are copied in their own account instead, and the copies locked. A retry finds
    what an earlier try made; snapshots that ended in error are taken again.
    """

    takes_artifacts = True

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Start (or find) the set and wait."""
        plan, target, artifact = recorder.plan(), recorder.target(), recorder.artifact()
        if plan is None or not (target or artifact):
            raise AirflowSkipException("there is no response plan: triage did not end")
        if not plan.disk.go:
            reason = record_not_acquired(recorder, plan.disk, disk_subjects(recorder))
            raise AirflowSkipException(f"disks are not acquired: {reason}")
        disks_again(recorder)
        if artifact is not None:
            return self._copy_artifact(recorder, artifact, after_wait=False)
        if target is not None:
            self._snapshot(recorder, target)
        return None

    def resume(self, recorder: CaseRecorder, payload: Mapping[str, object], context: Context) -> Json:
        """Snapshots of an artifact, or their copies, have completed: make another pass."""
        artifact = recorder.artifact()
        return self._copy_artifact(recorder, artifact, after_wait=True) if artifact else None

    def _copy_artifact(self, recorder: CaseRecorder, artifact: ArtifactDescription, *, after_wait: bool) -> Json:
        """Copy each snapshot of the artifact in its own account; the copies count as originals."""
        work = ArtifactSnapshots(recorder, ArtifactAccount.of(self.sessions), self.settings)
        if waiting := work.advance(artifact.disks, after_wait=after_wait):
            scope = self.sessions.target_scope("acquire").as_dict()
            timing = self.timing(self.settings.snapshot_timeout_seconds)
            self.wait(SnapshotsCompletedTrigger(scope=scope, snapshot_ids=waiting, until_ended=True, **timing))
        return {"snapshots": work.originals()}

    def _snapshot(self, recorder: CaseRecorder, target: Target) -> None:
        ebs = EbsGateway.of(self.sessions.target("acquire"))
        settings = self.settings
        ids = SnapshotSet(
            recorder,
            ebs,
            retention_days=settings.retention_days,
            lock_mode=settings.lock_mode,
            cool_off_hours=settings.snapshot_cool_off_hours,
        ).take(target)
        scope = self.sessions.target_scope("acquire").as_dict()
        timing = self.timing(self.settings.snapshot_timeout_seconds, ends_task=True)
        self.wait(SnapshotsCompletedTrigger(scope=scope, snapshot_ids=ids, **timing))

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """A snapshot failed or did not complete in time."""
        return SnapshotError(cause, next_action=next_action or None)

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """Record every disk as failed."""
        fail_pending_disks(recorder, cause)
