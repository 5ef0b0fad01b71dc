"""The forensic AMI, by EC2 Image Builder.

Runs the pipeline of `forensics.image_pipeline_arn`: the components of `ami/` build, validate and test an image. Its AMI id goes
to the SSM parameter `forensics.ami_parameter`, from which every case launches, only when all of that ended well.

**Triage notes**: red means that the parameter was not touched and cases go on with the AMI before. The message names component
and step; `make ami-check` plays the same phases on a machine of your own. Skipped: no pipeline is set.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from forensics.investigation.ami_operators import BuildForensicAmiOperator

with DAG(
    dag_id="forensic_ami_build",
    description="Build and test the forensic AMI, then let cases use it (seed step 13)",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["forensics", "upkeep"],
    doc_md=__doc__,
    default_args={"owner": "forensics", "retries": 2, "retry_delay": timedelta(minutes=1)},
):
    BuildForensicAmiOperator(task_id="build_forensic_ami")
