"""Release a contained target: from its signed restore point, after another person's approval.

**Triage notes.** *plan_release* shows every call and asks under **Browse → Required Actions**; without an answer the target stays
contained. With `dry_run` it only shows. *release_target* stops at the first call that fails, and what is not released stays
contained: fix the cause that it names, then clear it. Where the approval was used or has ended, or the target has changed, it asks
again. Releasing twice is safe: only what differs from the restore point is changed.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, Param

from forensics.containment.release_operators import PlanReleaseOperator, ReleaseTargetOperator
from forensics.task_defaults import CASE_TASKS
from forensics.task_docs import TASKS

with DAG(
    dag_id="forensic_release",
    dag_display_name="Forensic release",
    description="Undo the containment of one case's target, with approval",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=4,
    tags=["forensics", "release"],
    doc_md=__doc__,
    params={
        "case_id": Param(
            "",
            type="string",
            pattern=r"^fc-[0-9]{8}-[0-9a-f]{10}$",
            title="Case",
            description="fc-…, as on the case page; another person than you has to approve the release",
        ),
        "reason": Param(
            "",
            type=["null", "string"],
            maxLength=500,
            title="Reason",
            description="optional: why; recorded in the custody ledger",
        ),
        "requester": Param(
            "", type=["null", "string"], maxLength=100, title="Requester", description="optional: your name or ticket"
        ),
        "dry_run": Param(False, type="boolean", title="Dry run", description="only show what would be changed"),
    },
    default_args=CASE_TASKS,
):
    case = "{{ params.case_id }}"
    plan = PlanReleaseOperator(task_id="plan_release", doc_md=TASKS["plan_release"], case_id=case)
    plan >> ReleaseTargetOperator(task_id="release_target", doc_md=TASKS["release_target"], case_id=case)
