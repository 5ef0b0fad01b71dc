"""A drill: a whole case on a canary that is launched for it, judged, and removed.

The canary comes from the launch template `forensics-drill-canary` (stack forensics-drill), which plants a process, a socket, a file and a way
of persistence. Its case is marked DRILL in subjects, on the board, in report and ledger. The result is on **Forensic cases →
Preflight**, in one message, and as metrics. Monthly by default (`forensics.drill_schedule`); skipped where `forensics.drill_account` is empty.

**Triage notes**: red means that a line of the pass/fail list did not pass: the message and the log of `judge_drill` name each with its
next action. Nothing of yours is concerned. What `remove_canary` could not remove, the orphan reaper removes. Start the DAG again once the cause is gone.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from forensics.drill.operators import (
    AwaitDrillCaseOperator,
    JudgeDrillOperator,
    LaunchCanaryOperator,
    OpenDrillCaseOperator,
    RemoveCanaryOperator,
)
from forensics.task_defaults import drill_schedule
from forensics.task_docs import TASKS

with DAG(
    dag_id="forensic_drill",
    dag_display_name="Forensic drill",
    description="Play a whole case on a canary, judge it, remove everything",
    schedule=drill_schedule(),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["forensics", "upkeep"],
    doc_md=__doc__,
    default_args={
        "owner": "forensics",
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "execution_timeout": timedelta(hours=1),
    },
):
    launch = LaunchCanaryOperator(task_id="launch_canary", doc_md=TASKS["launch_canary"])
    case = OpenDrillCaseOperator(task_id="open_drill_case", doc_md=TASKS["open_drill_case"])
    ended = AwaitDrillCaseOperator(task_id="await_drill_case", doc_md=TASKS["await_drill_case"])
    remove = RemoveCanaryOperator(task_id="remove_canary", doc_md=TASKS["remove_canary"], trigger_rule="all_done")
    judged = JudgeDrillOperator(task_id="judge_drill", doc_md=TASKS["judge_drill"], trigger_rule="all_done")
    launch >> case >> ended >> remove >> judged
