"""Lift the legal holds of one closed case, after another person's approval.

Evidence has a legal hold beside its retention: a hold has no end. When the matter is over, one person asks here and another
answers under **Browse → Required Actions**; without an answer the holds stay. The retention of the objects is not touched: what
is locked until a date stays locked until then. A case that is opened again is held again.

**Triage notes.** *plan_hold_lift* refuses an open case. *lift_holds* lifts what was approved and nothing else: where other objects are
held, or the approval was used or has ended, it asks again. When it fails it names the objects that are still held; clearing continues with those. Both
people, the reason and the number of objects are in the custody ledger (`HOLDS_LIFTED`), signed.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, Param

from forensics.report.hold_operators import LiftHoldsOperator, PlanHoldLiftOperator
from forensics.task_defaults import CASE_TASKS
from forensics.task_docs import TASKS

with DAG(
    dag_id="evidence_hold_lift",
    dag_display_name="Evidence hold lift",
    description="Lift the legal holds of one closed case, with approval",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=4,
    tags=["forensics", "custody"],
    doc_md=__doc__,
    params={
        "case_id": Param(
            "",
            type="string",
            pattern=r"^fc-[0-9]{8}-[0-9a-f]{10}$",
            title="Case",
            description="fc-…, as on the case page; another person than you has to approve",
        ),
        "reason": Param(
            "",
            type="string",
            minLength=3,
            maxLength=500,
            title="Reason",
            description="why the holds are lifted; recorded in the custody ledger",
        ),
        "requester": Param(
            "", type=["null", "string"], maxLength=100, title="Requester", description="optional: your name or ticket"
        ),
    },
    default_args=CASE_TASKS,
):
    case = "{{ params.case_id }}"
    plan = PlanHoldLiftOperator(task_id="plan_hold_lift", doc_md=TASKS["plan_hold_lift"], case_id=case)
    plan >> LiftHoldsOperator(task_id="lift_holds", doc_md=TASKS["lift_holds"], case_id=case)
