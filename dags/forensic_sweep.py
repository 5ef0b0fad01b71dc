"""Look for indicators on other instances and on snapshots: whom else has the intruder been to?

Started by a person, with the indicators of a case or with their own (digests, addresses, domains, users, names of files). Instances are
asked by SSM, which reads files and changes none; snapshots are searched by the EBS direct APIs. Each target has a budget, and a result of
its own: found, not found, not all examined, not examined with the reason. What is found is a message, with the command that opens a case there.

**Triage notes**: an instance's answer is the word of a machine that may be the intruder's: what it finds is a reason to open a case, what it
does not find proves nothing. An instance with an open case is not swept. To look again, start the DAG again: a cleared task reads the same answer.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, Param

from forensics.incident.sweep_operators import ConcludeSweepOperator, PlanSweepOperator, SweepTargetOperator
from forensics.task_defaults import CASE_TASKS
from forensics.task_docs import TASKS

with DAG(
    dag_id="forensic_sweep",
    dag_display_name="Forensic sweep",
    description="Look for the indicators of a case on other instances and on snapshots",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=4,
    tags=["forensics", "case"],
    doc_md=__doc__,
    params={
        "case_id": Param(
            "", type=["null", "string"], pattern=r"^(fc-[0-9]{8}-[0-9a-f]{10})?$", title="Case", description="optional: its indicators are looked for"
        ),
        "indicators": Param(
            "", type=["null", "string"], format="multiline", maxLength=20_000, title="Indicators",
            description="optional, one a line: SHA-256, address, domain; user: NAME, file: NAME",
        ),
        "instances": Param(
            "", type=["null", "string"], format="multiline", maxLength=20_000, title="Instances", description="optional, one a line: i-…, or account/Region/i-…"
        ),
        "snapshots": Param(
            "", type=["null", "string"], format="multiline", maxLength=20_000, title="Snapshots", description="optional, one a line: snap-…, or account/Region/snap-…"
        ),
        "account_id": Param("", type=["null", "string"], pattern=r"^([0-9]{12})?$", title="Account", description="optional: account of the targets that are written without one"),
        "region": Param("", type=["null", "string"], title="Region", description="optional: their Region; the home Region when it is left empty"),
        "files": Param(200_000, type="integer", minimum=1, maximum=2_000_000, title="Files", description="that are hashed on an instance, at most"),
        "mib": Param(20_480, type="integer", minimum=1, maximum=1_000_000, title="MiB", description="that are hashed on an instance, at most"),
        "seconds": Param(900, type="integer", minimum=30, maximum=3600, title="Seconds", description="for one target, at most"),
        "blocks": Param(16_384, type="integer", minimum=1, maximum=1_000_000, title="Blocks", description="of 512 KiB that are read of a snapshot, at most"),
        "reason": Param("", type=["null", "string"], maxLength=500, title="Reason", description="optional; goes into the custody ledger"),
    },
    default_args=CASE_TASKS,
):  # fmt: skip
    plan = PlanSweepOperator(task_id="plan_sweep", doc_md=TASKS["plan_sweep"])
    swept = SweepTargetOperator.partial(
        task_id="sweep_target", doc_md=TASKS["sweep_target"], max_active_tis_per_dagrun=8
    ).expand(target=plan.output)
    conclude = ConcludeSweepOperator(task_id="conclude_sweep", doc_md=TASKS["conclude_sweep"])
    # a teardown: it runs whatever became of the targets; Airflow calls a run green although its teardown failed, unless it is told not to
    swept >> conclude.as_teardown(on_failure_fail_dagrun=True)
