"""Step that finds and removes orphans: forensic instances and analysis volumes that outlived their case."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from forensics.aws.case_store import CaseStore
from forensics.aws.hook import ForensicsHook
from forensics.aws.sns import Notifier
from forensics.investigation.orphan_removal import OrphanRemoval


class ReapOrphansOperator(BaseOperator):
    """Terminate orphaned forensic instances, delete orphaned analysis volumes, notify people of each.

    A volume that is still attached is deleted by the next run, when its instance is gone. Snapshots are evidence: they
    are not considered. The step fails, and says so, when an orphan could not be removed.
    """

    def execute(self, context: Context) -> list[dict[str, str]]:
        """Return what was removed, and why."""
        hook = ForensicsHook()
        own, limit = hook.own(), timedelta(hours=hook.settings.orphan_after_hours)
        store, notifier = CaseStore.of(own, hook.settings), Notifier.of(own, hook.settings)
        removal = OrphanRemoval(store, notifier, session_of=hook.forensic, limit=limit)
        removed, failed = removal.run(datetime.now(UTC))
        if failed:
            msg = f"{len(failed)} orphans could not be removed: {'; '.join(failed)}"
            raise AirflowFailException(f"{msg}. What to do next: remove them manually in the forensic account")
        return [orphan.model_dump() for orphan in removed]
