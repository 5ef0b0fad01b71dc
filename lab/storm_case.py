"""The storm's stand-in for the DAG ``forensic_case``: the real first step, and nothing after it.

The storm proves the intake. The steps after ``open_case`` would take hours for its 120 instances on two cores; they are
proven by the end-to-end tests. The case stays open, as a real one does while it is worked.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from forensics.intake.operators import OpenCaseOperator

with DAG(
    dag_id="forensic_case",
    description="stand-in of the storm: opens the case and ends",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=50,
    tags=["storm"],
    params={name: Param("", type="string") for name in ("account_id", "region", "instance_id", "case_id")},
    default_args={"owner": "forensics", "retries": 12, "retry_delay": timedelta(seconds=2)},
):
    OpenCaseOperator(task_id="open_case")
