"""Keeps evidence as long as it has to be kept, daily and on request.

While a case is open its objects and snapshots are locked again before half of the retention is over, and objects that
have lost their legal hold get it back. Once it is closed, retention counts from the closing; what the closing could not
extend (a role that was refused, a snapshot that AWS did not answer for) is done here.

**Triage notes**: a red task names the objects and snapshots that are not kept long enough, and AWS's reason. Everything else
was done; the next run tries only what is missing. Clearing is safe. A case id as parameter sees to that case only.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from forensics.case.retention_operators import KeepEvidenceOperator, ListDueCasesOperator
from forensics.task_docs import TASKS

with DAG(
    dag_id="evidence_retention",
    dag_display_name="Evidence retention",
    description="Hold evidence while its case is open; count retention from the closing",
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["forensics", "custody"],
    doc_md=__doc__,
    params={
        "case_id": Param(
            "",
            type=["null", "string"],
            pattern=r"^(fc-[0-9]{8}-[0-9a-f]{10})?$",
            title="Case",
            description="optional: one case; empty: all whose retention has to be seen to",
        )
    },
    default_args={
        "owner": "forensics",
        "retries": 3,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(hours=2),
    },
):
    due = ListDueCasesOperator(
        task_id="list_due_cases", case_id="{{ params.case_id or '' }}", doc_md=TASKS["list_due_cases"]
    )
    KeepEvidenceOperator.partial(
        task_id="keep_evidence", doc_md=TASKS["keep_evidence"], max_active_tis_per_dagrun=4
    ).expand(case_id=due.output)
