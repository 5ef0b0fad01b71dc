"""The load test's stand-in for the DAG ``forensic_case``: the real first step, and nothing after it.

The load test is about the intake. The steps after ``open_case`` would take hours for its 120 instances on two cores; the
end-to-end tests cover them. The case stays open, as a real one does while it is investigated.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from forensics.intake.operators import OpenCaseOperator

with DAG(
    dag_id="forensic_case",
    description="stand-in of the load test: opens the case and ends",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=50,
    tags=["load-test"],
    params={name: Param("", type="string") for name in ("account_id", "region", "instance_id", "case_id")},
    default_args={"owner": "forensics", "retries": 12, "retry_delay": timedelta(seconds=2)},
):
    OpenCaseOperator(task_id="open_case")
