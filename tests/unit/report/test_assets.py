"""What other DAGs can wait for."""

from __future__ import annotations

from airflow.serialization.serialized_objects import DagSerialization

from forensics.report.assets import CASE_REPORT
from forensics.timeline.assets import CASE_TIMELINE
from tests.unit.dags.conftest import DAGS


def test_the_real_dag_promises_the_asset_through_serialisation() -> None:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=DAGS / "forensic_case.py", load_op_links=False)
    dag = DagSerialization.from_dict(DagSerialization.to_dict(bag.dags["forensic_case"]))
    promised = {task.task_id: [asset.name for asset in task.outlets] for task in dag.tasks if task.outlets}
    assert promised == {"report.write_report": [CASE_REPORT.name], "report.store_timeline": [CASE_TIMELINE.name]}
