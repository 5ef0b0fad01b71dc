"""The DAGs: they load, and their shape is the one that responders rely on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from forensics.memory.capture_setup import COMMAND_SECONDS
from forensics.report.orders import orders
from forensics.task_defaults import CAPTURE_TIME, LONG_TASKS, STEP_TIME
from tests.unit.dags.conftest import DAGS
from tests.unit.report import sample

FILES = sorted(DAGS.glob("*.py"))
CASE = {
    "open_case": set(),
    "triage.describe_target": {"open_case"},
    "triage.plan_response": {"triage.describe_target"},
    "triage.protect_target": {"triage.plan_response"},
    "memory.probe_target": {"triage.protect_target"},
    "memory.capture_memory": {"memory.probe_target"},
    "memory.verify_memory": {"memory.capture_memory"},
    "memory.live_response": {"memory.capture_memory"},
    "disk.snapshot_volumes": {"triage.protect_target"},
    "disk.copy_snapshots": {"disk.snapshot_volumes"},
    "containment.plan_containment": {"triage.plan_response"},
    "cloud_evidence.collect_trail": {"triage.plan_response"},
    "cloud_evidence.collect_flows": {"triage.plan_response"},
    "cloud_evidence.collect_queries": {"triage.plan_response"},
    "cloud_evidence.collect_state": {"triage.plan_response"},
    "cloud_evidence.extend_records": {
        "cloud_evidence.collect_trail",
        "cloud_evidence.collect_flows",
        "cloud_evidence.collect_queries",
        "cloud_evidence.collect_state",
        "investigation.analyse_memory",
        "investigation.analyse_disk",
    },
    "disk.digest_disks": {"disk.copy_snapshots"},
    "containment.isolate_target": {"memory.live_response"},
    "investigation.launch_forensic_instance": {"memory.capture_memory"},
    "investigation.memory_ended": {"memory.verify_memory"},
    "investigation.disks_ended": {"memory.verify_memory", "disk.copy_snapshots"},
    "investigation.attach_evidence_volumes": {"investigation.launch_forensic_instance", "investigation.disks_ended"},
    "investigation.analyse_memory": {"investigation.launch_forensic_instance", "investigation.memory_ended"},
    "investigation.analyse_disk": {"investigation.attach_evidence_volumes"},
    "investigation.compare_disk": {"investigation.analyse_disk"},
    "investigation.terminate_forensic_instance": {
        "investigation.launch_forensic_instance",
        "investigation.attach_evidence_volumes",
        "investigation.analyse_memory",
        "investigation.analyse_disk",
        "investigation.compare_disk",
    },
    "report.write_report": {
        "investigation.analyse_memory",
        "investigation.analyse_disk",
        "memory.verify_memory",
        "containment.isolate_target",
        "containment.plan_containment",
    },
    "report.store_timeline": {
        "report.write_report",
        "cloud_evidence.collect_trail",
        "cloud_evidence.collect_flows",
        "cloud_evidence.collect_queries",
        "cloud_evidence.collect_state",
        "cloud_evidence.extend_records",
        "investigation.terminate_forensic_instance",
    },
    "report.link_cases": {"report.write_report"},
    "report.close_case": {
        "report.link_cases",
        "report.store_timeline",
        "disk.digest_disks",
        "investigation.terminate_forensic_instance",
    },
}
# These run whatever became of what is before them.
WHATEVER = {
    "cloud_evidence.extend_records",
    "memory.probe_target",
    "disk.snapshot_volumes",
    "memory.capture_memory",
    "memory.live_response",
    "containment.isolate_target",
    "investigation.launch_forensic_instance",
    "investigation.memory_ended",
    "investigation.disks_ended",
    "disk.digest_disks",
    "report.write_report",
    "report.store_timeline",
    "report.link_cases",
    "report.close_case",
}


@pytest.fixture
def case(bag: Any) -> Any:
    """The case DAG."""
    return bag.dags["forensic_case"]


def above(dag: Any, task_id: str) -> set[str]:
    """Every task upstream of one."""
    return set(dag.get_task(task_id).get_flat_relative_ids(upstream=True))


def test_every_file_loads(bag: Any) -> None:
    assert bag.import_errors == {}
    assert set(bag.dags) == {file.stem for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_every_dag_says_what_it_is(bag: Any, file: Path) -> None:
    dag = bag.dags[file.stem]
    assert "Triage notes" in (dag.doc_md or "")
    assert dag.description and "forensics" in dag.tags
    assert not dag.catchup
    for task in dag.tasks:
        assert task.owner == "forensics"
        assert task.retries >= 1, f"{task.task_id}: a deferred task without retries is lost to a race in Airflow"


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_no_task_may_stay_on_a_worker_for_ever(bag: Any, file: Path) -> None:
    """Also those that ask people: HITLOperator removes the limit of a task that has no time for the answer."""
    for task in bag.dags[file.stem].tasks:
        assert task.execution_timeout is not None, task.task_id
        assert timedelta(0) < task.execution_timeout <= timedelta(days=1), task.task_id


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_dag_files_are_short(file: Path) -> None:
    assert len(file.read_text("utf-8").splitlines()) <= 80


def test_the_whole_case_is_wired_like_this(case: Any) -> None:
    assert {task.task_id: set(task.upstream_task_ids) for task in case.tasks} == CASE


def test_isolation_never_starts_before_capture_and_live_response_have_ended_and_waits_for_nothing_else(
    case: Any,
) -> None:
    before = above(case, "containment.isolate_target")
    assert {"memory.capture_memory", "memory.live_response"} <= before
    assert not before & {"disk.snapshot_volumes", "disk.copy_snapshots", "memory.verify_memory"}
    assert case.get_task("containment.isolate_target").trigger_rule == "all_done"


def test_planning_containment_is_not_on_the_way_of_anything_but_the_report(case: Any) -> None:
    assert above(case, "containment.plan_containment") == {
        "open_case",
        "triage.describe_target",
        "triage.plan_response",
    }
    assert case.get_task("containment.plan_containment").downstream_task_ids == {"report.write_report"}


def test_control_plane_evidence_is_on_the_way_of_nothing_but_the_closing(case: Any) -> None:
    for name in ("collect_trail", "collect_flows", "collect_queries", "collect_state"):
        task = case.get_task(f"cloud_evidence.{name}")
        assert task.upstream_task_ids == {"triage.plan_response"}
        assert task.downstream_task_ids == {"report.store_timeline", "cloud_evidence.extend_records"}
    # it reads what the two analyses found, and nothing of the second opinion or of the end of the instance
    assert case.get_task("cloud_evidence.extend_records").downstream_task_ids == {"report.store_timeline"}
    assert "investigation.compare_disk" not in above(case, "cloud_evidence.extend_records")
    assert "report.close_case" in case.get_task("report.store_timeline").downstream_task_ids
    for name in ("store_timeline", "close_case"):
        assert case.get_task(f"report.{name}").trigger_rule == "all_done"


def test_the_target_is_protected_before_it_is_acquired_and_acquired_whatever_became_of_that(case: Any) -> None:
    for task_id in ("memory.probe_target", "disk.snapshot_volumes"):
        assert case.get_task(task_id).upstream_task_ids == {"triage.protect_target"}
        assert case.get_task(task_id).trigger_rule == "all_done"
    assert case.get_task("triage.protect_target").execution_timeout <= timedelta(minutes=3)


def test_a_release_is_planned_and_approved_before_anything_is_changed(bag: Any) -> None:
    dag = bag.dags["forensic_release"]
    assert {t.task_id: set(t.upstream_task_ids) for t in dag.tasks} == {
        "plan_release": set(),
        "release_target": {"plan_release"},
    }
    assert dag.get_task("release_target").trigger_rule == "all_success"


def test_memory_and_disk_are_independent(case: Any) -> None:
    for task_id in CASE:
        if task_id.startswith("disk."):
            assert not any(other.startswith("memory.") for other in above(case, task_id))
        if task_id.startswith("memory."):
            assert not any(other.startswith("disk.") for other in above(case, task_id))


def test_what_runs_whatever_happened_before(case: Any) -> None:
    rules = {task.task_id: task.trigger_rule for task in case.tasks if not task.is_teardown}
    assert {t for t, rule in rules.items() if rule == "all_done"} == WHATEVER
    others = {t: rule for t, rule in rules.items() if t not in WHATEVER and rule != "all_success"}
    assert others == {"investigation.compare_disk": "none_skipped"}


def test_closing_is_the_only_leaf_so_that_its_state_is_the_runs(case: Any) -> None:
    leaves = {task.task_id for task in case.tasks if not task.downstream_task_ids and not task.is_teardown}
    assert leaves == {"report.close_case"}
    assert above(case, "report.close_case") == set(CASE) - {"report.close_case"}


def test_the_forensic_instance_is_torn_down(case: Any) -> None:
    launch = case.get_task("investigation.launch_forensic_instance")
    terminate = case.get_task("investigation.terminate_forensic_instance")
    assert launch.is_setup and terminate.is_teardown
    assert launch.task_id in terminate.upstream_task_ids
    tools = {"investigation.analyse_memory", "investigation.analyse_disk"}
    assert tools <= above(case, terminate.task_id)


def test_the_disk_digest_is_beside_investigation_and_report_and_before_the_closing(case: Any) -> None:
    """Reading a disk of some TiB takes hours: no first answer and no report waits for it."""
    assert "disk.digest_disks" in above(case, "report.close_case")
    assert "disk.digest_disks" not in above(case, "report.write_report")
    for task in case.tasks:
        if task.task_id.startswith(("investigation.", "containment.", "memory.")):
            assert "disk.digest_disks" not in above(case, task.task_id)


def test_the_report_waits_for_every_step_that_takes_checks_or_examines_evidence(case: Any) -> None:
    assert above(case, "report.write_report") == set(CASE) - {
        "report.write_report",
        "report.store_timeline",
        "report.link_cases",
        "report.close_case",
        "investigation.compare_disk",
        "investigation.terminate_forensic_instance",
        "disk.digest_disks",
        "cloud_evidence.collect_trail",
        "cloud_evidence.collect_flows",
        "cloud_evidence.collect_queries",
        "cloud_evidence.collect_state",
        "cloud_evidence.extend_records",
    }


def test_the_second_opinion_is_on_the_way_of_nothing_but_the_end_of_the_instance_and_the_closing(case: Any) -> None:
    compare = case.get_task("investigation.compare_disk")
    assert compare.downstream_task_ids == {"investigation.terminate_forensic_instance"}
    waiting = {task.task_id for task in case.tasks if compare.task_id in above(case, task.task_id)}
    assert waiting == {
        "investigation.terminate_forensic_instance",
        "report.store_timeline",
        "report.close_case",
    }


def test_closing_waits_until_the_forensic_instance_is_gone(case: Any) -> None:
    assert "investigation.terminate_forensic_instance" in above(case, "report.close_case")


def test_nothing_touches_the_target_before_its_control_plane_facts_are_stored(case: Any) -> None:
    for task_id in ("memory.probe_target", "disk.snapshot_volumes", "containment.plan_containment"):
        assert "triage.describe_target" in above(case, task_id)


def test_disk_tools_wait_for_the_copies_and_memory_tools_do_not(case: Any) -> None:
    assert "disk.copy_snapshots" in above(case, "investigation.analyse_disk")
    assert "disk.copy_snapshots" not in above(case, "investigation.analyse_memory")
    assert "memory.verify_memory" in above(case, "investigation.analyse_memory")


def test_retries_and_priorities_are_the_ones_that_races_and_urgency_ask_for(case: Any) -> None:
    retries = {task.task_id: task.retries for task in case.tasks if task.retries != 2}
    assert retries == {
        "triage.protect_target": 1,
        "memory.probe_target": 1,
        "memory.capture_memory": 4,
        "memory.live_response": 4,
    }
    urgent = {task.task_id: task.priority_weight for task in case.tasks if task.priority_weight != 1}
    assert urgent == {"containment.isolate_target": 10}


def test_every_step_takes_its_case_from_a_template(case: Any) -> None:
    for task in case.tasks:
        if task.task_type != "EmptyOperator" and task.task_id != "open_case":
            assert "case_id" in task.template_fields, task.task_id


@pytest.mark.parametrize(
    ("conf", "valid"),
    [
        ({}, True),
        (
            {"account_id": "333344445555", "region": "eu-central-1", "instance_id": "i-0123456789abcdef0"},
            True,
        ),
        ({"account_id": "33334444555"}, False),
        ({"instance_id": "snap-0123456789abcdef0"}, True),
        ({"instance_id": "ami-01234567"}, True),
        ({"instance_id": "vol-0123456789abcdef0"}, False),
        ({"instance_id": "i-0123"}, False),
        ({"instance_id": "i-0123456789abcdef0; rm"}, False),
        ({"actions": "everything"}, False),
        ({"actions": "memory+disk"}, True),
        ({"reason": "x" * 501}, False),
        ({"reason": None, "requester": None}, True),
        ({"account_id": None}, False),
        ({"case_id": None}, True),
        ({"case_id": "fc-20261124-0123456789"}, True),
        ({"case_id": ""}, False),
        ({"case_id": "fc-20261124-0123456789/../x"}, False),
    ],
)
def test_a_persons_parameters_are_checked_before_the_run_starts(case: Any, conf: dict[str, Any], valid: bool) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    try:
        for name in case.params:
            param = case.params.get_param(name)
            param.resolve(conf.get(name, param.value))
        accepted = True
    except ParamValidationError:
        accepted = False
    assert accepted is valid


def test_the_intake_runs_one_at_a_time_and_without_end(bag: Any) -> None:
    dag = bag.dags["finding_intake"]
    assert dag.max_active_runs == 1
    assert type(dag.timetable).__name__ == "ContinuousTimetable"
    assert [task.task_id for task in dag.tasks] == ["receive_findings"]
    assert dag.get_task("receive_findings").target_dag_id in {f.stem for f in FILES}


def test_the_watchdog_knows_how_long_each_task_of_a_case_may_be_at_work(bag: Any) -> None:
    """Otherwise it would call a task that works a task that stands still (forensics.intake.standing_rules)."""
    for task in bag.dags["forensic_case"].tasks:
        if task.execution_timeout is not None:
            assert task.execution_timeout <= LONG_TASKS.get(task.task_id, STEP_TIME), task.task_id
    assert set(LONG_TASKS) <= {task.task_id for task in bag.dags["forensic_case"].tasks}
    assert timedelta(seconds=COMMAND_SECONDS) <= CAPTURE_TIME


def test_contained_targets_and_runs_of_cases_are_looked_at_every_five_minutes_and_neither_waits_for_the_other(
    bag: Any,
) -> None:
    watchdog = bag.dags["case_watchdog"]
    assert watchdog.schedule == "*/5 * * * *" and not watchdog.catchup
    assert {t.task_id: t.upstream_task_ids for t in watchdog.tasks} == {
        "look_at_contained": set(),
        "resume_cases": set(),
    }


def test_one_clear_sets_up_again_what_the_teardown_removed(case: Any) -> None:
    """Clear each task with what follows it, as Airflow's own form does: nothing that needs instance or volumes runs without them."""
    from airflow.serialization.serialized_objects import DagSerialization

    stored = DagSerialization.from_dict(DagSerialization.to_dict(case))
    setups = {t.task_id for t in case.tasks if t.is_setup}
    assert setups == {"investigation.launch_forensic_instance", "investigation.attach_evidence_volumes"}
    for task_id in CASE:
        cleared = set(
            stored.partial_subset(task_ids=[task_id], include_downstream=True, include_upstream=False).task_ids
        )
        for other in cleared - {"investigation.terminate_forensic_instance"}:
            if other.startswith("investigation."):
                assert above(case, other) & setups <= cleared, (
                    f"{task_id} cleared: {other} runs again without its setup"
                )


def test_the_launch_knows_every_task_that_acquires_what_is_examined(case: Any) -> None:
    known = case.get_task("investigation.launch_forensic_instance").acquiring
    assert set(known) == {"memory", "disk"}
    assert {task for tasks in known.values() for task in tasks} <= set(CASE)
    assert set(known["memory"]) == above(case, "investigation.memory_ended") & {
        t for t in CASE if t.startswith("memory.")
    } - {"memory.probe_target"}
    assert set(known["disk"]) == above(case, "investigation.disks_ended") & {t for t in CASE if t.startswith("disk.")}


def test_what_the_pages_start_is_a_configuration_that_each_dag_takes(bag: Any) -> None:
    """The pages send the case's id and the fields of their forms, and leave out what is empty."""
    found = orders(sample.rich_view(), dags=frozenset(bag.dags))
    assert {order.dag_id for order in found} >= {"forensic_release", "case_export", "forensic_sweep"}
    for order in found:
        given = {f.name: f.choices[-1][0] if f.choices else f.value or "x" for f in order.fields}
        given["case_id"] = order.case_id
        params = bag.dags[order.dag_id].params
        assert set(given) <= set(params), order.dag_id
        for name, value in given.items():
            params.get_param(name).resolve(value)
