"""Push ended cases to other systems: the stored timeline to Timesketch, artifacts and pointers to the evidence to OpenRelik, or by a plug of yours.

Off until `forensics.pushes` names a system. Then it runs each time that the whole timeline of a case is stored (at the end of a case, after a
profile), or for the case that you name. What leaves the deployment is in the custody ledger.

**Triage notes**: red means that a system did not take the case; the case itself is complete and closed without it. The case's timeline and the
message say why and what to do next. Start the DAG again with the case's id once the cause is gone: what is there already is not sent twice.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from forensics.push.operators import ListPushesOperator, PushCaseOperator, push_schedule
from forensics.task_docs import TASKS

with DAG(
    dag_id="case_push",
    dag_display_name="Case push",
    description="Push ended cases to Timesketch, OpenRelik or a system of yours",
    schedule=push_schedule(),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["forensics", "custody"],
    doc_md=__doc__,
    params={
        "case_id": Param(
            "",
            type=["null", "string"],
            pattern=r"^(fc-[0-9]{8}-[0-9a-f]{10})?$",
            title="Case",
            description="optional: fc-…, as on the case page; runs that Airflow starts have their cases from what started them",
        )
    },
    default_args={
        "owner": "forensics",
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
        "execution_timeout": timedelta(hours=6),
    },
) as dag:
    cases = ListPushesOperator(task_id="list_pushes", case_id="{{ params.case_id or '' }}", doc_md=TASKS["list_pushes"])
    PushCaseOperator.partial(task_id="push_case", doc_md=TASKS["push_case"], max_active_tis_per_dag=2).expand(
        case_id=cases.output
    )
