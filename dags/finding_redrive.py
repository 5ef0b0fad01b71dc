"""Process findings again that failed.

Moves the messages of the dead-letter queue back to the findings' queue, where `finding_intake` takes them again. Trigger it
once the cause is fixed: the page **Forensic cases → Intake** and the messages' attribute `reason` name it.

**Triage notes**: safe to run at any time and as often as you like: a finding whose case exists joins it. Malformed messages stay
where they are unless `quarantined` is on.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from forensics.intake.redrive_operators import RedriveFindingsOperator
from forensics.task_docs import TASKS

with DAG(
    dag_id="finding_redrive",
    dag_display_name="Finding redrive",
    description="Send findings from the dead-letter queue through the intake again",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["forensics", "intake"],
    doc_md=__doc__,
    params={
        "quarantined": Param(
            False,
            type="boolean",
            title="Malformed messages too",
            description="only useful after the parser was fixed",
        ),
        "limit": Param(
            1000, type="integer", minimum=1, maximum=100_000, title="At most", description="number of messages"
        ),
    },
    default_args={
        "owner": "forensics",
        "retries": 3,
        "retry_delay": timedelta(seconds=10),
        "execution_timeout": timedelta(hours=1),
    },
):
    RedriveFindingsOperator(task_id="redrive_findings", doc_md=TASKS["redrive_findings"])
