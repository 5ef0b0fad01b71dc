"""Release a contained target: from its signed restore point, after a second person's approval.

**Triage notes.** *plan_release* shows every call and asks; nobody's answer means that the target stays contained. With
`dry_run` it only shows. *release_target* stops at the first call that fails, and what is not released stays contained:
mend the cause that it names, then clear it. A target that changed after the approval is refused: start again. Releasing
twice, or after a containment that was never finished, is safe: only what differs from the restore point is changed.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, Param

from forensics.containment.release_operators import PlanReleaseOperator, ReleaseTargetOperator
from forensics.task_defaults import CASE_TASKS

with DAG(
    dag_id="forensic_release",
    description="Undo the containment of one case's target, with approval",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=4,
    tags=["forensics", "release"],
    doc_md=__doc__,
    params={
        "case_id": Param("", type="string", pattern=r"^fc-[0-9]{8}-[0-9a-f]{10}$", title="Case"),
        "reason": Param("", type="string", maxLength=500, title="Reason", description="goes into the custody ledger"),
        "requester": Param("", type="string", maxLength=100, title="Requester", description="your name or ticket"),
        "dry_run": Param(False, type="boolean", title="Dry run", description="only show what would be changed"),
    },
    default_args=CASE_TASKS,
):
    case = "{{ params.case_id }}"
    PlanReleaseOperator(task_id="plan_release", case_id=case) >> ReleaseTargetOperator(
        task_id="release_target", case_id=case
    )
