"""Audit of all stored evidence, daily and by hand.

For every case: each object is read and hashed again and compared with the custody ledger; the ledger's chain and the
signatures of its heads are checked; Object Lock, legal hold and snapshot locks are read from AWS and must be as
recorded. One task for each case.

**Triage notes**: a red task is an alarm, not a hiccup, and is not retried: it names each part that differs, and the same
was sent by SNS. Do not clear it before an examiner has looked (CloudTrail says who). A case id as parameter audits that
case only.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from forensics.case.audit_operators import AuditCaseOperator, ListCasesOperator

with DAG(
    dag_id="evidence_audit",
    description="Re-hash evidence, check ledger, signatures and locks",
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["forensics", "custody"],
    doc_md=__doc__,
    params={
        "case_id": Param(
            "",
            type="string",
            pattern=r"^(fc-[0-9]{8}-[0-9a-f]{10})?$",
            title="Case",
            description="one case; empty: all cases",
        )
    },
    default_args={"owner": "forensics", "retries": 3, "retry_delay": timedelta(minutes=1)},
):
    cases = ListCasesOperator(task_id="list_cases", case_id="{{ params.case_id }}")
    AuditCaseOperator.partial(task_id="audit_case", max_active_tis_per_dagrun=4).expand(case_id=cases.output)
