"""One case, from triage to report.

Started by `finding_intake` for a finding, or by a person (**Trigger**: fill in account, Region and the
id of an instance, a snapshot or a machine image). Of a snapshot or an image the disks are acquired and examined; the steps that
are about a machine end skipped, because they do not apply.

1. **triage**: describe the target, decide the response plan, each decision with its reasons; protect the target from being ended
2. **memory** and **disk** in parallel: capture memory by SSM; snapshot, lock, copy all volumes to the forensic account. Beside
   them **cloud_evidence**: what CloudTrail, flow and query logs have
3. **containment**: isolate the target when memory capture and live response have ended, whatever their outcome
4. **investigation**: forensic instance; Volatility on the memory, without waiting for the disk copies; file-system timeline and log analysis on the disks
5. **report**: HTML and JSON in the evidence store when the tools have ended, then the whole timeline; when the digests of the disks are there too, `close_case` writes the version that has them, and fails when anything that the plan wanted is missing

**Triage notes**: a red run means that the case has gaps; `report.close_case` names them and the SNS message repeats them. Fix
the cause and clear the failed task: every step can be repeated safely.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, Param

from forensics import flows
from forensics.intake.operators import OpenCaseOperator
from forensics.task_defaults import CASE_TASKS
from forensics.task_docs import TASKS

ACTIONS = ["by-policy", "memory+disk+isolate", "memory+disk", "disk+isolate", "memory", "disk", "isolate"]
BY_POLICY = "by-policy: triage decides, and may isolate the instance within a minute, without asking anybody"
OPTIONAL = ["null", "string"]

with DAG(
    dag_id="forensic_case",
    dag_display_name="Forensic case",
    description="Triage, acquisition, containment, investigation and report of one instance",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=50,
    tags=["forensics", "case"],
    doc_md=__doc__,
    params={
        "account_id": Param("", type="string", pattern=r"^(\d{12})?$", title="Account", description="12 digits"),
        "region": Param("", type="string", title="Region", description="of the instance, for example eu-central-1"),
        "instance_id": Param(
            "",
            type="string",
            pattern=r"^((i|snap|ami)-([0-9a-f]{8}|[0-9a-f]{17}))?$",
            title="Instance, snapshot or image",
            description="i-, snap- or ami- and 17 (older ones: 8) hexadecimal digits",
        ),
        "actions": Param("by-policy", type="string", enum=ACTIONS, title="Actions", description=BY_POLICY),
        "reason": Param("", type=OPTIONAL, maxLength=500, title="Reason", description="optional; goes into the ledger"),
        "requester": Param("", type=OPTIONAL, maxLength=100, title="Requester", description="optional: name or ticket"),
        "case_id": Param(
            None,
            type=OPTIONAL,
            pattern=r"^fc-\d{8}-[0-9a-f]{10}$",
            title="Case",
            description="leave empty: finding_intake fills it in",
        ),
    },
    default_args=CASE_TASKS,
):
    triage, memory, disk, cloud = flows.triage(), flows.memory(), flows.disk(), flows.cloud_evidence()
    (containment, watch), investigation, report = flows.containment(), flows.investigation(), flows.report()

    OpenCaseOperator(task_id="open_case", doc_md=TASKS["open_case"]) >> triage.first
    triage.planned >> [watch, *cloud.tasks]
    triage.last >> [memory.first, disk.first]
    memory.touched >> containment.first
    memory.captured >> investigation.first
    memory.last >> investigation.memory
    [memory.last, disk.last] >> investigation.disks
    [*investigation.tools, memory.last, containment.last, watch] >> report.first
    # digests of large disks take hours, a quiet trail delivers after many minutes: the report waits for neither, the closing does
    [*investigation.tools] >> cloud.extended
    [*cloud.tasks, cloud.extended, investigation.last] >> report.timeline
    [investigation.last, disk.digest] >> report.last
