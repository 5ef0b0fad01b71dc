"""The forensic AMI, by EC2 Image Builder.

Runs the pipeline of `forensics.image_pipeline_arn`: the components of `ami/` build, validate and test an image. Its AMI id goes
to the SSM parameter `forensics.ami_parameter`, from which every case launches, only when all of that succeeded.

**Triage notes**: red means that the parameter was not changed and cases continue with the previous AMI. The message names
component and step; `make ami-check` runs the same phases on a machine of your own. Skipped: no pipeline is configured.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from forensics.investigation.ami_operators import BuildForensicAmiOperator
from forensics.task_docs import TASKS

with DAG(
    dag_id="forensic_ami_build",
    dag_display_name="Forensic AMI build",
    description="Build and test the forensic AMI, then let cases use it",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["forensics", "upkeep"],
    doc_md=__doc__,
    default_args={
        "owner": "forensics",
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(hours=1),
    },
):
    BuildForensicAmiOperator(task_id="build_forensic_ami", doc_md=TASKS["build_forensic_ami"])
