"""Step of the disk flow: snapshot all volumes of the target."""

from __future__ import annotations

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.ebs import EbsGateway
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.disk.snapshot_set import SnapshotSet, fail_pending_disks, record_not_acquired
from forensics.disk.triggers import SnapshotsCompletedTrigger
from forensics.errors import ForensicsError, SnapshotError


class SnapshotVolumesOperator(ForensicOperator):
    """Snapshot all volumes with one CreateSnapshots, lock each snapshot while it is pending, wait for completion.

    A retry finds the set that an earlier try made; snapshots that ended in error are taken again.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Start (or find) the set and wait."""
        plan, target = recorder.plan(), recorder.target()
        if plan is None or target is None:
            raise AirflowSkipException("there is no response plan: triage did not end")
        if not plan.disk.go:
            reason = record_not_acquired(recorder, plan.disk, target)
            raise AirflowSkipException(f"disks are not acquired: {reason}")
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
        return None

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """A snapshot failed or did not complete in time."""
        return SnapshotError(cause, next_action=next_action or None)

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """Record every disk as failed."""
        fail_pending_disks(recorder, cause)
