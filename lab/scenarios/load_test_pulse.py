"""The load test's ``forensic_pulse``: the product's own operator, with less patience and started by hand."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG

from forensics.intake.pulse_operators import PulseOperator

with DAG(
    dag_id="forensic_pulse",
    description="pulse of the load test",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["load-test"],
    default_args={"owner": "forensics", "retries": 0},
):
    PulseOperator(task_id="measure_pulse", watched=["forensic_case"], wait_seconds=1, patience_seconds=20)
