"""Links on a case's tasks: where they lead, that they survive Airflow's serialisation, and who writes them."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from airflow.serialization.serialized_objects import DagSerialization

from forensics.case import ui_address
from forensics.case.links import CaseLink, ReleaseRunLink, ReportLink
from forensics.case.step import ForensicOperator
from forensics.errors import ConfigurationError
from tests.unit.builders import CASE_ID
from tests.unit.case.test_step import make, waits
from tests.unit.dags.conftest import DAGS
from tests.unit.recorders import FakeRecorder, context


class Task:
    """What a link reads of its task."""

    def __init__(self, case_id: str) -> None:
        self.case_id = case_id


class Configured:
    """Settings of which only the UI's address matters."""

    def __init__(self, ui_url: str) -> None:
        self.ui_url = ui_url


@pytest.mark.parametrize(
    ("link", "address"),
    [
        (CaseLink(), f"https://airflow.example/forensics/case/{CASE_ID}"),
        (ReportLink(), f"https://airflow.example/forensics/case/{CASE_ID}#next"),
        (ReleaseRunLink(), f"https://airflow.example/dags/forensic_release/runs?conf_contains={CASE_ID}"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_links_lead_to_the_case(link: Any, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ui_address, "get_settings", lambda: Configured("https://airflow.example/"))
    assert link.get_link(Task(CASE_ID), ti_key=None) == address
    for without in ("", "None", "{{ ti.xcom_pull(task_ids='open_case') }}", f"{CASE_ID}/../x"):
        assert link.get_link(Task(without), ti_key=None) == ""


@pytest.mark.parametrize(
    ("base_url", "path"), [("http://localhost:8080/", ""), ("https://x.example/airflow/", "/airflow")]
)
def test_without_the_setting_a_link_is_a_path_below_airflows_own(
    base_url: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unset() -> None:
        raise ConfigurationError("nothing is set")

    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    monkeypatch.setattr(ui_address, "get_settings", unset)
    assert CaseLink().get_link(Task(CASE_ID), ti_key=None) == f"{path}/forensics/case/{CASE_ID}"  # type: ignore[arg-type]


def test_the_tasks_of_the_real_dags_keep_their_links_through_serialisation() -> None:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=DAGS)
    assert bag.import_errors == {}
    links = {
        (dag_id, task.task_id): {link.name: link.xcom_key for link in task.operator_extra_links}
        for dag_id, dag in bag.dags.items()
        for task in DagSerialization.from_dict(DagSerialization.to_dict(dag)).tasks
    }
    case, report, release = ({link.name: link.xcom_key} for link in (CaseLink(), ReportLink(), ReleaseRunLink()))
    expected = {
        ("forensic_case", "report.write_report"): case | report,
        ("forensic_case", "containment.isolate_target"): case | release,
        ("forensic_case", "memory.capture_memory"): case,
        ("forensic_release", "release_target"): case,
        ("case_export", "export_case"): case,
        ("evidence_audit", "audit_case"): case,
        ("forensic_case", "investigation.memory_ended"): {},
    }
    assert {key: links[key] for key in expected} == expected
    steps = {
        (dag_id, task.task_id)
        for dag_id, dag in bag.dags.items()
        for task in dag.tasks
        if issubclass(getattr(task, "operator_class", type(task)), ForensicOperator)
    }
    assert len(steps) >= 20
    assert [step for step in steps if "Case" not in links[step]] == []


@pytest.mark.parametrize(("ends_task", "stored"), [(True, {"_link_CaseLink"}), (False, set())])
def test_a_task_that_may_end_in_the_triggerer_stores_its_links_before_it_waits(
    ends_task: bool, stored: set[str]
) -> None:
    step = make(lambda _: None, FakeRecorder())
    step.work = waits(step, seconds=60, ends_task=ends_task)
    task_context = context()
    with pytest.raises(TaskDeferred):
        step.execute(task_context)
    assert set(task_context["ti"].pushed) == stored
    assert all(str(link).endswith(f"/forensics/case/{CASE_ID}") for link in task_context["ti"].pushed.values())
