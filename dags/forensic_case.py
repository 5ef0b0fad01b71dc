"""One case, from triage to report.

Started by `finding_intake` for a finding, or by hand for one instance (**Trigger**, fill in account, Region and instance).

1. **triage**: describe the target, decide the response plan, each decision with its reasons
2. **memory** and **disk** in parallel: capture memory by SSM; snapshot, lock, copy all volumes to the forensic account
3. **containment**: isolate the target when memory capture and live response have ended, whatever their outcome
4. **investigation**: forensic instance; Volatility on the memory, without waiting for the disk copies; file-system
   timeline and log analysis on the disks
5. **report**: HTML and JSON in the evidence store; `close_case` fails when anything that the plan wanted is missing

**Triage notes**: a red run means the case has gaps; `report.close_case` names them and the SNS message repeats them. Mend
the cause and clear the failed task: every step can be repeated safely.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, Param

from forensics import flows
from forensics.intake.operators import OpenCaseOperator
from forensics.task_defaults import CASE_TASKS

ACTIONS = ["by-policy", "memory+disk+isolate", "memory+disk", "disk+isolate", "memory", "disk", "isolate"]

with DAG(
    dag_id="forensic_case",
    description="Triage, acquisition, containment, investigation and report of one instance (seed steps 4 to 12)",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=50,
    tags=["forensics", "case"],
    doc_md=__doc__,
    params={
        "account_id": Param(
            "",
            type="string",
            pattern=r"^(\d{12})?$",
            title="Account",
            description="12-digit account of the instance",
        ),
        "region": Param("", type="string", title="Region", description="for instance eu-central-1"),
        "instance_id": Param(
            "",
            type="string",
            pattern=r"^(i-([0-9a-f]{8}|[0-9a-f]{17}))?$",
            title="Instance",
            description="i-…",
        ),
        "actions": Param(
            "by-policy", type="string", enum=ACTIONS, title="Actions", description="by-policy: triage decides"
        ),
        "reason": Param(
            "", type="string", maxLength=500, title="Reason", description="why; goes into the custody ledger"
        ),
        "requester": Param("", type="string", maxLength=100, title="Requester", description="your name or ticket"),
        "case_id": Param(None, type=["null", "string"], pattern=r"^fc-\d{8}-[0-9a-f]{10}$", title="Case: leave empty"),
    },
    default_args=CASE_TASKS,
):
    triage, memory, disk = flows.triage(), flows.memory(), flows.disk()
    (containment, watch), investigation, report = flows.containment(), flows.investigation(), flows.report()

    OpenCaseOperator(task_id="open_case") >> triage.first
    triage.last >> [memory.first, disk.first, watch]
    memory.touched >> containment.first
    memory.captured >> investigation.first
    memory.last >> investigation.memory
    [memory.last, disk.last] >> investigation.disks
    [*investigation.tools, memory.last, disk.digest, containment.last, watch] >> report.first
    investigation.last >> report.last
