"""What nobody looks at by themselves: open cases whose run does nothing more, and targets that do not stay contained.

Every five minutes, two steps that do not depend on each other. A case whose run has ended before the case was closed, was
deleted by a person or was never started is announced and started again from where it is, `forensics.case_restarts` times in a
day at most. After that it is given up: its status is FAILED, its findings say so, and a new finding on its instance opens a new
case. A run that lives and whose task stands still for longer than its time limits is announced. A contained target that others
have changed (groups, addresses, profile, policies, started again) is announced once, and closed again when
`forensics.drift_response` is `close`.

**Triage notes**: a run stands still? The message names the task and where to look. A run was deleted? Airflow's audit log says by
whom. A case given up continues when `forensic_case` is triggered with its id and instance, once the cause is removed. Red: the log
names what could not be seen to.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from forensics.containment.watch_operators import LookAtContainedOperator
from forensics.intake.watch_operators import ResumeCasesOperator
from forensics.task_docs import TASKS

with DAG(
    dag_id="case_watchdog",
    dag_display_name="Case watchdog",
    description="Start open cases again whose run was lost; tell what others changed on contained targets",
    schedule="*/5 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["forensics", "case"],
    doc_md=__doc__,
    default_args={
        "owner": "forensics",
        "retries": 1,
        "retry_delay": timedelta(seconds=30),
        "execution_timeout": timedelta(minutes=15),
    },
):
    LookAtContainedOperator(task_id="look_at_contained", doc_md=TASKS["look_at_contained"])
    ResumeCasesOperator(task_id="resume_cases", doc_md=TASKS["resume_cases"], target_dag_id="forensic_case")
