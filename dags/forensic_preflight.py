"""Would a case succeed today? Tried from where cases run, harmless, everything removed afterwards.

Every line is in order, broken or not tried, and says what to do next. The quick part takes about a minute. The full part
also makes a security group, and on a spare instance that you name asks for every containment call and copies its disks.
The last result is on **Forensic cases → Preflight**, beside the running instances that could not be captured today. `measure_ages` puts the ages of keys, secrets, AMI and symbol library to CloudWatch.

**Triage notes**: red means that a case could fail today. The page, the task's log and a message name each broken line with
its next action; repair it and start the DAG again. Nothing here touches a case.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from forensics.preflight.age_operators import MeasureAgesOperator
from forensics.preflight.operators import ListReadinessOperator, RemoveLeftoversOperator, RunPreflightOperator
from forensics.task_docs import TASKS

with DAG(
    dag_id="forensic_preflight",
    dag_display_name="Forensic preflight",
    description="Try what cases need: reach, roles, documents, stores, intake; list instances that could not be captured",
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["forensics", "upkeep"],
    doc_md=__doc__,
    params={
        "part": Param(
            "quick",
            type="string",
            enum=["quick", "full"],
            title="Part",
            description="quick: about a minute; full: minutes",
        ),
        "account_id": Param(
            "",
            type=["null", "string"],
            pattern=r"^([0-9]{12})?$",
            title="Account",
            description="optional: account of a spare instance, for the full part",
        ),
        "region": Param(
            "",
            type=["null", "string"],
            title="Region",
            description="optional: the spare instance's Region; empty: home",
        ),
        "instance_id": Param(
            "",
            type=["null", "string"],
            pattern=r"^(i-[0-9a-f]{8}([0-9a-f]{9})?)?$",
            title="Spare instance",
            description="optional: an instance made for this, with a small disk; it is described and its disks are copied",
        ),
    },
    default_args={
        "owner": "forensics",
        "retries": 1,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(hours=1),
    },
):
    RunPreflightOperator(task_id="run_preflight", doc_md=TASKS["run_preflight"])
    ListReadinessOperator(task_id="list_readiness", doc_md=TASKS["list_readiness"])
    MeasureAgesOperator(task_id="measure_ages", doc_md=TASKS["measure_ages"])
    RemoveLeftoversOperator(task_id="remove_leftovers", doc_md=TASKS["remove_leftovers"])
