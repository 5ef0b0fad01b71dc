"""Puts the custody ledgers right after the table was restored to an earlier time.

A table that was restored is behind what was signed: the evidence store holds, under Object Lock, every signed head with all
events up to it. They are verified and put back, each case gets a ledger event and a gap that name what is missing, and cases
that only the evidence store knows are listed. Until then no head of such a case is signed.

**Triage notes**: run it once after a restore, before anything else. It is safe to repeat and changes nothing where nothing is
missing. A red task names the ledgers that have gone on beside the signed one; the others are done.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from forensics.case.ledger_restore_operators import RestoreLedgersOperator
from forensics.task_docs import TASKS

with DAG(
    dag_id="ledger_restore",
    dag_display_name="Ledger restore",
    description="After a restore of the table: put the signed events of the ledgers back",
    schedule=None,
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
            description="optional: one case; empty: all",
        )
    },
    default_args={
        "owner": "forensics",
        "retries": 3,
        "retry_delay": timedelta(seconds=30),
        "execution_timeout": timedelta(hours=4),
    },
):
    RestoreLedgersOperator(
        task_id="restore_ledgers", case_id="{{ params.case_id or '' }}", doc_md=TASKS["restore_ledgers"]
    )
