"""Audit of all stored evidence, daily and on request.

For every case the ledger's chain, the signatures of its heads, the objects' versions and the snapshots with their locks are
checked; objects are read and hashed again, with their Object Lock and legal hold, within a budget (`audit_gib`,
`audit_requests`): new ones at once, each at least once in `audit_every_days`, and a sample of the rest. One task for each
case; the page **Evidence audit** shows what was read, what is due and how far the evidence is covered.

**Triage notes**: a red task is an alarm and is not retried: it names each part that differs, and the same was sent by SNS.
Do not clear it before an examiner has looked (CloudTrail says who wrote). A case id as parameter reads that case only, as a whole.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from forensics.case.audit_operators import AuditCaseOperator, ListCasesOperator, SummarizeAuditOperator
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
    default_args={
        "owner": "forensics",
        "retries": 3,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(hours=12),
    },
):
    cases = ListCasesOperator(task_id="list_cases", case_id="{{ params.case_id or '' }}", doc_md=TASKS["list_cases"])
    audited = AuditCaseOperator.partial(
        task_id="audit_case", doc_md=TASKS["audit_case"], max_active_tis_per_dagrun=4
    ).expand(case_id=cases.output)
    # a teardown: it runs whatever became of the cases, and the run is as red as they are
    audited >> SummarizeAuditOperator(task_id="summarize_audit", doc_md=TASKS["summarize_audit"]).as_teardown(
        on_failure_fail_dagrun=True
    )
