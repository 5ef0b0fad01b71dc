"""Extend a case's plan by findings that joined it, and isolate when that is what came new.

Started by `finding_intake` when a finding joins a case that has a plan already. `extend_plan` writes the extended plan: steps of
the case's run that have not started yet follow it. When *isolate_target* of that run has already ended without isolating,
it is done here. Acquisitions that came new and whose steps are over are named in the notice: clear them in the case's run.

**Triage notes**: clearing is always safe. An isolation that needs approval is not done here: clear
`containment.plan_containment` in the case's run, which asks.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from forensics.case.sensors import CaseStepSensor
from forensics.containment.operators import IsolateTargetOperator
from forensics.task_defaults import CASE_TASKS
from forensics.triage.operators import ExtendPlanOperator

with DAG(
    dag_id="forensic_extension",
    description="Extend a case's plan by later findings; isolate when that came new",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=16,
    tags=["forensics", "case"],
    doc_md=__doc__,
    params={"case_id": Param("", type="string", pattern=r"^fc-[0-9]{8}-[0-9a-f]{10}$", title="Case")},
    default_args=CASE_TASKS,
):
    case = "{{ params.case_id }}"
    extend = ExtendPlanOperator(task_id="extend_plan", case_id=case)
    waited = CaseStepSensor(
        task_id="case_has_not_isolated",
        case_id=case,
        step="containment.isolate_target",
        poke_interval=5,
        timeout=timedelta(hours=12).total_seconds(),
    )
    extend >> waited >> IsolateTargetOperator(task_id="isolate_target", case_id=case)
