"""Extend a case's plan by findings that joined it later, and isolate when they ask for it.

Started by `finding_intake` when a finding joins a case that has a plan already. `extend_plan` writes the extended plan: steps of
the case's run that have not started yet follow it. When *isolate_target* of that run has already ended without isolating, it is
done here. The notice names acquisitions that were added after their steps had ended: clear those steps in the case's run.

**Triage notes**: clearing is always safe. An isolation that needs approval is not done here: clear
`containment.plan_containment` in the case's run, which asks.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from forensics.case.sensors import CaseStepSensor
from forensics.containment.operators import IsolateTargetOperator
from forensics.task_defaults import CASE_TASKS
from forensics.task_docs import TASKS
from forensics.triage.operators import ExtendPlanOperator

with DAG(
    dag_id="forensic_extension",
    dag_display_name="Forensic extension",
    description="Extend a case's plan by later findings; isolate when they ask for it",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=16,
    tags=["forensics", "case"],
    doc_md=__doc__,
    params={
        "case_id": Param(
            "",
            type="string",
            pattern=r"^fc-[0-9]{8}-[0-9a-f]{10}$",
            title="Case",
            description="fc-…; set by finding_intake",
        )
    },
    default_args=CASE_TASKS,
):
    case = "{{ params.case_id }}"
    extend = ExtendPlanOperator(task_id="extend_plan", doc_md=TASKS["extend_plan"], case_id=case)
    waited = CaseStepSensor(
        task_id="case_has_not_isolated",
        doc_md=TASKS["case_has_not_isolated"],
        case_id=case,
        step="containment.isolate_target",
        poke_interval=5,
        timeout=timedelta(hours=12).total_seconds(),
    )
    isolate = IsolateTargetOperator(task_id="isolate_target", doc_md=TASKS["isolate_target"], case_id=case)
    extend >> waited >> isolate
