"""Removal of forensic instances and analysis volumes that outlived their case.

Every case removes its own at its end, also after a failure or a cancel. This is the safety net behind that, every half
hour: for a case that is closed or unknown, or when the age of `forensics.orphan_after_hours` is exceeded. Evidence
(snapshots, objects) is never touched.

**Triage notes**: SNS says that something was removed? Look at the named case's run: the log of its task
`terminate_forensic_instance` says why it was left over. Canaries and snapshots of drills are removed here too. Red: the message names what is still running and costs money.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from forensics.drill.operators import RemoveOldDrillsOperator
from forensics.investigation.reaper_operators import ReapOrphansOperator
from forensics.task_docs import TASKS

with DAG(
    dag_id="orphan_reaper",
    dag_display_name="Orphan reaper",
    description="Remove forensic instances and volumes that outlived their case",
    schedule="*/30 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["forensics", "upkeep"],
    doc_md=__doc__,
    default_args={
        "owner": "forensics",
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(hours=1),
    },
):
    ReapOrphansOperator(task_id="reap_orphans", doc_md=TASKS["reap_orphans"])
    RemoveOldDrillsOperator(task_id="remove_old_drills", doc_md=TASKS["remove_old_drills"])
