"""Step of the disk flow: copy the snapshots to the forensic account."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime

from airflow.sdk import Context

from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.disk.copied_disks import record_copied
from forensics.disk.snapshot_copies import CopyRound, SnapshotCopies, copy_region
from forensics.disk.snapshot_set import disks_again, fail_pending_disks
from forensics.disk.triggers import QuotaPauseTrigger, SnapshotsCompletedTrigger
from forensics.errors import ForensicsError, SnapshotError
from forensics.models.case import TimelineKind

QUOTA_PAUSE = (20.0, 60.0)  # seconds; random, so that cases that wait for the same quota do not retry at the same time


class CopySnapshotsOperator(ForensicOperator):
    """Share the snapshots with the forensic account, copy them there under its key, lock the copies.

    The route follows the snapshot's key (``disk/kms_rules.py``). The copy is the evidence that the investigation uses;
    the locked original stays in the target's account. Each pass continues from what AWS shows: a retry repeats nothing.
    """

    takes_artifacts = True

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Start or continue with every disk, then wait for what is under way."""
        disks_again(recorder)
        return self._pass(recorder, after_wait=False)

    def resume(self, recorder: CaseRecorder, payload: Mapping[str, object], context: Context) -> Json:
        """The wait is over: make another pass."""
        return self._pass(recorder, after_wait=True)

    def _pass(self, recorder: CaseRecorder, *, after_wait: bool) -> Json:
        outcome = SnapshotCopies.of(recorder, self.sessions).advance(after_wait=after_wait)
        self._wait_for(recorder, outcome)
        return {"copies": record_copied(recorder, outcome.complete, account_id=self.settings.forensic_account_id)}

    def _wait_for(self, recorder: CaseRecorder, found: CopyRound) -> None:
        """Defer until something changes; returns when there is nothing to wait for."""
        timing = self.timing(self.settings.snapshot_timeout_seconds)
        if found.in_account:
            scope = self.sessions.target_scope("acquire").as_dict()
            self.wait(SnapshotsCompletedTrigger(scope=scope, snapshot_ids=sorted(found.in_account), **timing))
        if found.over_quota and not found.copies:
            recorder.note(
                f"waiting for room in a quota: {'; '.join(found.over_quota)[:600]}", kind=TimelineKind.EVIDENCE
            )
            until = datetime.now(UTC).timestamp() + random.uniform(*QUOTA_PAUSE)
            self.wait(QuotaPauseTrigger(until=until, **timing))
        if found.copies:
            scope = self.sessions.forensic_scope(region=copy_region(recorder.case, self.settings)).as_dict()
            self.wait(
                SnapshotsCompletedTrigger(scope=scope, snapshot_ids=sorted(found.copies), until_ended=True, **timing)
            )

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """A copy failed or did not complete in time."""
        return SnapshotError(cause, next_action=next_action or None)

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """Record every disk without a complete copy as failed."""
        fail_pending_disks(recorder, cause)
