"""Audit of all stored evidence, daily and on request.

For every case: each object is read and hashed again and compared with the custody ledger; the ledger's chain and the
signatures of its heads are checked; Object Lock, legal hold and snapshot locks are read from AWS and must be as
recorded. One task for each case.

**Triage notes**: a red task is an alarm and is not retried: it names each part that differs, and the same was sent by SNS.
Do not clear it before an examiner has looked (CloudTrail says who wrote). A case id as parameter audits that case only.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from forensics.case.audit_operators import AuditCaseOperator, ListCasesOperator
from forensics.task_docs import TASKS

with DAG(
    dag_id="evidence_audit",
    dag_display_name="Evidence audit",
    description="Hash all evidence again; check ledger, signatures and locks",
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
            description="optional: audit one case; empty: all cases",
        )
    },
    default_args={"owner": "forensics", "retries": 3, "retry_delay": timedelta(minutes=1)},
):
    cases = ListCasesOperator(task_id="list_cases", case_id="{{ params.case_id or '' }}", doc_md=TASKS["list_cases"])
    AuditCaseOperator.partial(task_id="audit_case", doc_md=TASKS["audit_case"], max_active_tis_per_dagrun=4).expand(
        case_id=cases.output
    )
