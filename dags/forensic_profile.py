"""Examine the evidence of an ended case by one more activity of the registry: a full profile, a collection, a tool of your own.

Started by a person, from the case's page or here. A forensic instance of its own is launched, the activity runs on every item of
evidence that it reads, also where the registry switches it off for cases, and a new report is stored. The case stays closed as it was.

**Triage notes**: *check_profile* refuses while the case is still processed, and names what it lacks. A full profile takes minutes to hours for each item, and may need a
component of the forensic AMI: the message of *analyse_disk* or *analyse_memory* names it. Clearing is safe: what has succeeded is not run again.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, Param

from forensics import flows
from forensics.task_defaults import CASE_TASKS

with DAG(
    dag_id="forensic_profile",
    dag_display_name="Forensic profile",
    description="Run one more activity on the evidence of a case that has ended",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["forensics", "case"],
    doc_md=__doc__,
    params={
        "case_id": Param(
            "",
            type="string",
            pattern=r"^fc-[0-9]{8}-[0-9a-f]{10}$",
            title="Case",
            description="fc-…, as on the case page; it has to have ended",
        ),
        "activity": Param(
            "investigate_disk_full",
            type="string",
            enum=[*flows.PROFILES],
            title="Activity",
            description="as in ssm_documents/registry.yaml, which says what each does and how long it takes",
        ),
        "disk_keys": Param(
            "",
            type="string",
            pattern=flows.DISK_KEYS,
            title="Keys of encrypted disks",
            description="names, never keys: /forensics/disk-keys/… (SSM parameter) or forensics/disk-keys/… (secret), with commas between them",
        ),
    },
    default_args=CASE_TASKS,
):
    flows.profile("{{ params.case_id }}", "{{ params.activity }}", "{{ params.disk_keys }}")
