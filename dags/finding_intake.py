"""Intake of findings.

Waits (deferred, without a worker slot) for findings on the forensic queue, opens exactly one case for each and starts
one run of `forensic_case`. A message leaves the queue only when both exist.

**Triage notes**: messages that cannot be worked are in the dead-letter queue with the attribute `reason`. If this DAG
is paused, findings wait in the queue (14 days) and are worked when it is resumed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from forensics.intake.sensors import FindingQueueSensor

with DAG(
    dag_id="finding_intake",
    description="Findings from SQS become cases (seed step 3)",
    schedule="@continuous",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["forensics", "intake"],
    doc_md=__doc__,
    default_args={"owner": "forensics", "retries": 10, "retry_delay": timedelta(seconds=2)},
):
    FindingQueueSensor(
        task_id="receive_findings",
        target_dag_id="forensic_case",
        extension_dag_id="forensic_extension",
        release_dag_id="forensic_release",
    )
