"""Put findings back that could not be worked.

Moves the messages of the dead-letter queue back to the findings' queue, where `finding_intake` works them again. Start it by
hand once the cause is mended: the page **Forensic cases → Intake** and the messages' attribute `reason` name it.

**Triage notes**: safe to run at any time and as often as you like: a finding whose case exists joins it. Malformed messages stay
where they are unless `quarantined` is on.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from forensics.intake.redrive_operators import RedriveFindingsOperator

with DAG(
    dag_id="finding_redrive",
    description="Findings from the dead-letter queue are worked again",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["forensics", "intake"],
    doc_md=__doc__,
    params={
        "quarantined": Param(False, type="boolean", title="Malformed ones too", description="after a mended parser"),
        "limit": Param(1000, type="integer", minimum=1, maximum=100_000, title="At most", description="messages"),
    },
    default_args={"owner": "forensics", "retries": 3, "retry_delay": timedelta(seconds=10)},
):
    RedriveFindingsOperator(task_id="redrive_findings")
