"""Fetches findings of a time in which none arrived.

After an outage of the way from Security Hub to here (a rule that was disabled, a bus or queue that was lost, a Region that
was down), start it with the time of the gap. Security Hub, to which GuardDuty and Config send theirs, is asked for every active finding that was
changed in that time; each goes into the findings' queue as if it had just arrived, and `finding_intake` takes it.

**Triage notes**: safe to run at any time, for any time, as often as you like: a finding whose case exists joins it. Choose the
time generously. The task's result names the moment to go on from when there were more findings than the limit.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from forensics.intake.catch_up_operators import CatchUpFindingsOperator
from forensics.task_docs import TASKS

with DAG(
    dag_id="finding_catchup",
    dag_display_name="Finding catchup",
    description="Fetch the findings of a time in which none arrived",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["forensics", "intake"],
    doc_md=__doc__,
    params={
        "start": Param(
            type="string", format="date-time", title="From", description="findings that were changed at or after this"
        ),
        "end": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="To",
            description="optional: now when it is left empty",
        ),
        "region": Param(
            "",
            type=["null", "string"],
            pattern=r"^([a-z]{2,4}(-[a-z]+)+-[0-9]{1,2})?$",
            title="Region",
            description="optional: the home Region, where Security Hub aggregates, when it is left empty",
        ),
        "service": Param(
            "securityhub",
            type="string",
            enum=["securityhub", "guardduty"],
            title="From",
            description="Security Hub has the findings of GuardDuty too, unless that integration is off",
        ),
        "limit": Param(
            10_000, type="integer", minimum=1, maximum=100_000, title="At most", description="number of findings"
        ),
    },
    default_args={
        "owner": "forensics",
        "retries": 3,
        "retry_delay": timedelta(seconds=30),
        "execution_timeout": timedelta(hours=1),
    },
):
    CatchUpFindingsOperator(task_id="catch_up_findings", doc_md=TASKS["catch_up_findings"])
