"""Pulse of the pipeline, digests and reminders.

Every five minutes one short wait goes through scheduler, worker and triggerer, as every wait of a case does. Its log says
when it came back, and which runs of cases, extensions and releases have not started. Two alarms count these lines:
`forensics-triggerer-silent` (no wait comes back) and `forensics-runs-wait` (runs do not start).

`send_notices` sends what waits for others to be one message (findings that joined a case, steps that ended well), and reminds people of what
waits for them: an open question, a message in the dead-letter queue, a case without its seal. Paused, this DAG sends neither.

`measure_operations` puts the product's figures to CloudWatch: open cases, what waits for a person, runs that stand still, targets that drifted, locks that end soon.

**Triage notes**: `measure_pulse` red or still deferred after a minute? Waits do not come back: see the runbook `triggerer-silent`. Cases
that wait lose nothing meanwhile, but nothing of them continues. `send_notices` red? Its log names what was not sent; it is sent in five minutes.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from forensics.intake.notice_operators import SendNoticesOperator
from forensics.intake.pulse_operators import PulseOperator
from forensics.preflight.operations_operators import MeasureOperationsOperator
from forensics.task_docs import TASKS

with DAG(
    dag_id="forensic_pulse",
    dag_display_name="Forensic pulse",
    description="Show that waits come back and that runs start; send digests and reminders",
    schedule="*/5 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["forensics", "upkeep"],
    doc_md=__doc__,
    default_args={
        "owner": "forensics",
        "retries": 1,
        "retry_delay": timedelta(seconds=2),
        "execution_timeout": timedelta(minutes=10),
    },
):
    PulseOperator(
        task_id="measure_pulse",
        doc_md=TASKS["measure_pulse"],
        watched=["forensic_case", "forensic_extension", "forensic_release"],
    )
    MeasureOperationsOperator(task_id="measure_operations", doc_md=TASKS["measure_operations"])
    SendNoticesOperator(task_id="send_notices", doc_md=TASKS["send_notices"])
