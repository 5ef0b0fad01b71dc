"""Intake of findings.

Waits (deferred, without a worker slot) for findings on the forensic queue, opens exactly one case for each and starts
one run of `forensic_case`. A message leaves the queue only when both exist.

**Triage notes**: messages that cannot be processed are in the dead-letter queue with the attribute `reason`. If this DAG
is paused, findings wait in the queue (14 days) and are processed when it is unpaused.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from forensics.intake.sensors import FindingQueueSensor
from forensics.task_docs import TASKS

with DAG(
    dag_id="finding_intake",
    dag_display_name="Finding intake",
    description="Open a case for each finding that arrives on the queue",
    schedule="@continuous",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["forensics", "intake"],
    doc_md=__doc__,
    default_args={
        "owner": "forensics",
        "retries": 10,
        "retry_delay": timedelta(seconds=2),
        "execution_timeout": timedelta(hours=6),
    },
):
    FindingQueueSensor(
        task_id="receive_findings",
        doc_md=TASKS["receive_findings"],
        target_dag_id="forensic_case",
        extension_dag_id="forensic_extension",
        release_dag_id="forensic_release",
    )
