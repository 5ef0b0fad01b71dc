"""What the DAG files say to people and to Airflow: stable versions, documented tasks, forms that can be filled in."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from forensics.task_docs import TASKS
from tests.unit.dags.conftest import DAGS

FILES = sorted(DAGS.glob("*.py"))
PRIVATE_WORDS = re.compile(r"\b(mend\w*|seed step|by hand|is no|came new|be worked|works? them|goes? on|taken up)\b")
CHANGING = """
from datetime import datetime
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator

with DAG("changing", start_date=datetime.now()):
    EmptyOperator(task_id="a")
"""


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow refuses DAG files whose constructors get values that change (in Airflow since 3.2)."""
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_VERSION_INFLATION_CHECK_LEVEL", "error")


def refused(file: Path) -> Any:
    """What Airflow's DAG processor says against a file before it loads it."""
    from airflow.utils.dag_version_inflation_checker import check_dag_file_stability

    return check_dag_file_stability(file).get_error_format_dict(str(file), None)


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("file", [*FILES, DAGS.parent / "plugins/forensics/flows.py"], ids=lambda f: f.stem)
def test_no_constructor_gets_a_value_that_changes_at_run_time(file: Path) -> None:
    assert refused(file) is None


@pytest.mark.usefixtures("strict")
def test_airflow_would_refuse_such_a_value(tmp_path: Path) -> None:
    file = tmp_path / "changing.py"
    file.write_text(CHANGING)
    assert "runtime-varying value" in str(refused(file))


def test_loading_the_files_again_gives_the_same_versions(bag: Any) -> None:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    time.sleep(0.01)
    again = DagBag(dag_folder=DAGS, load_op_links=False)
    for name, dag in bag.dags.items():
        assert DagSerialization.to_dict(dag) == DagSerialization.to_dict(again.dags[name]), name


def test_every_task_says_what_it_does_and_what_to_do(bag: Any) -> None:
    documented = {task.task_id: task.doc_md for dag in bag.dags.values() for task in dag.tasks}
    assert documented == TASKS


@pytest.mark.parametrize(("task_id", "text"), TASKS.items(), ids=list(TASKS))
def test_a_tasks_text_is_short_and_says_what_clearing_does(task_id: str, text: str) -> None:
    sentences = [s for s in re.split(r"(?<=[.!?]) ", text) if s]
    assert 3 <= len(sentences) <= 4
    assert re.search(r"\b[Cc]lear", text)
    assert not PRIVATE_WORDS.search(text)


def test_a_task_that_a_text_names_exists() -> None:
    names = {name for task_id in TASKS for name in (task_id, task_id.rsplit(".", 1)[-1])}
    known = names | {file.stem for file in FILES} | {"acquire", "logs", "triage", "forensics-verify"}
    for task_id, text in TASKS.items():
        for named in re.findall(r"`([^`]+)`", text):
            assert named in known or named.startswith("forensics."), f"{task_id}: {named}"


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_dag_is_shown_by_its_own_name_in_plain_words(bag: Any, file: Path) -> None:
    dag = bag.dags[file.stem]
    assert dag.dag_display_name.lower() == file.stem.replace("_", " ")
    assert not PRIVATE_WORDS.search(f"{dag.doc_md} {dag.description}")
    for name in dag.params:
        param = dag.params.get_param(name)
        assert param.schema.get("title") and param.description, f"{name} has no title or description"
        assert not PRIVATE_WORDS.search(f"{param.schema['title']} {param.description}")


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_form_marks_as_required_what_the_run_needs_and_nothing_else(bag: Any, file: Path) -> None:
    """Airflow's form insists on every parameter whose type does not include null."""
    params = bag.dags[file.stem].params
    optional = {name for name in params if "null" in params.get_param(name).schema["type"]}
    assert optional == OPTIONAL.get(file.stem, set())
    for name in optional:
        assert re.search("optional|leave empty", params.get_param(name).description)
        params.get_param(name).resolve(None)


OPTIONAL = {
    "forensic_case": {"reason", "requester", "case_id"},
    "forensic_release": {"reason", "requester"},
    "case_export": {"requester"},
    "case_push": {"case_id"},
    "evidence_audit": {"case_id"},
    "forensic_preflight": {"account_id", "region", "instance_id"},
    "evidence_retention": {"case_id"},
    "ledger_restore": {"case_id"},
    "finding_catchup": {"end", "region"},
    "evidence_hold_lift": {"requester"},
    "forensic_sweep": {"case_id", "indicators", "instances", "snapshots", "account_id", "region", "reason"},
}


def test_the_form_says_that_the_default_may_isolate(bag: Any) -> None:
    actions = bag.dags["forensic_case"].params.get_param("actions")
    assert actions.value == "by-policy"
    assert "may isolate" in actions.description and "without asking" in actions.description


@pytest.mark.parametrize(
    ("dag_id", "task_id", "field", "text"),
    [("case_export", "export_case", "requester", ""), ("evidence_audit", "list_cases", "case_id", "")],
)
def test_a_parameter_left_empty_reaches_the_task_as_nothing(
    bag: Any, dag_id: str, task_id: str, field: str, text: str
) -> None:
    dag = bag.dags[dag_id]
    task = dag.get_task(task_id)
    rendered = task.render_template(getattr(task, field), {"params": {field: None}})
    assert rendered == text


def test_groups_are_explained_in_whole_words(bag: Any) -> None:
    groups = bag.dags["forensic_case"].task_group.get_task_group_dict()
    shown = {name: (group.group_display_name, group.tooltip) for name, group in groups.items() if name}
    assert set(shown) == {"triage", "memory", "disk", "cloud_evidence", "containment", "investigation", "report"}
    for name, (title, tooltip) in shown.items():
        assert title[:4].lower() == name[:4] and tooltip[0].isupper() and len(tooltip) >= 40


@pytest.mark.parametrize(
    ("dag_id", "task_id"), [("forensic_sweep", "conclude_sweep"), ("evidence_audit", "summarize_audit")]
)
def test_a_teardown_that_says_how_the_run_ended_makes_it_red(bag: Any, dag_id: str, task_id: str) -> None:
    """Airflow leaves a failed teardown out of a run's state (Airflow docs, "Setup and Teardown"), and these two fail to say something."""
    task = bag.dags[dag_id].get_task(task_id)
    assert task.is_teardown and task.on_failure_fail_dagrun
